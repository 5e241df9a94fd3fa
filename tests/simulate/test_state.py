import numpy as np
import pytest

from cgprot.errors import StorageError
from cgprot.simulate.state import (
    CHECKPOINT,
    PREVIOUS_CHECKPOINT,
    SimulationState,
    load_state,
    read_checkpoint,
    save_state,
    write_checkpoint,
)


def _state(step=7):
    generator = np.random.default_rng(step)
    return SimulationState(
        generator.normal(size=(2, 5, 3)), generator.normal(size=(2, 5, 3)), step, 2**64 - 1
    )


def _same(one, other):
    arrays = (one.positions == other.positions).all() and (one.velocities == other.velocities).all()
    return bool(arrays) and (one.step, one.seed) == (other.step, other.seed)


def test_round_trip_is_exact(tmp_path):
    save_state(tmp_path / "a", _state())
    assert _same(load_state(tmp_path / "a"), _state())


def test_equal_states_are_equal_files(tmp_path):
    for name in "ab":
        save_state(tmp_path / name, _state())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_flipped_byte_is_noticed(tmp_path):
    save_state(tmp_path / "a", _state())
    data = (tmp_path / "a").read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0b100
        (tmp_path / "b").write_bytes(damaged)
        try:
            assert _same(load_state(tmp_path / "b"), _state())  # as in the padding of the header
        except StorageError:
            continue


def test_flipped_bit_in_a_position_is_refused(tmp_path):
    save_state(tmp_path / "a", _state())
    data = bytearray((tmp_path / "a").read_bytes())
    data[-1] ^= 1
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(StorageError, match="SHA-256 does not fit"):
        load_state(tmp_path / "a")


def test_two_generations(tmp_path):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, _state(step))
    assert load_state(tmp_path / CHECKPOINT).step == 3
    assert load_state(tmp_path / PREVIOUS_CHECKPOINT).step == 2
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, PREVIOUS_CHECKPOINT}


def test_damaged_newest_falls_back_and_says_so(tmp_path, capsys):
    for step in (1, 2):
        write_checkpoint(tmp_path, _state(step))
    (tmp_path / CHECKPOINT).write_bytes(b"torn")
    assert _same(read_checkpoint(tmp_path), _state(1))
    assert "going on from checkpoint.previous.safetensors, step 1" in capsys.readouterr().err


def test_failed_write_leaves_both_generations(tmp_path, monkeypatch):
    for step in (1, 2):
        write_checkpoint(tmp_path, _state(step))

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("cgprot.simulate.state.save_file", full)
    with pytest.raises(StorageError, match="No space left"):
        write_checkpoint(tmp_path, _state(3))
    assert [load_state(tmp_path / name).step for name in (CHECKPOINT, PREVIOUS_CHECKPOINT)] == [2, 1]


def test_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(StorageError, match="not a readable checkpoint"):
        read_checkpoint(tmp_path)
