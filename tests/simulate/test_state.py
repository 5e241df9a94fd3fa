import numpy as np
import pytest

from cgprot.errors import StorageError
from cgprot.files.growing import Mark
from cgprot.simulate.state import (
    CHECKPOINT,
    PREVIOUS_CHECKPOINT,
    Checkpoint,
    SimulationState,
    Stopped,
    load_checkpoint,
    read_checkpoint,
    save_checkpoint,
    write_checkpoint,
)

ARRAYS = ("positions", "velocities", "temperature")


def _checkpoint(step=7):
    generator = np.random.default_rng(step)
    positions, velocities = generator.normal(size=(2, 2, 5, 3))
    stopped = (Stopped(1, 5, 4, "replica 1: energy is nan kcal/mol"),)
    state = SimulationState(positions, velocities, np.array([300.0, 1 / 3]), step, stopped)
    return Checkpoint(state, {"log.csv": Mark(100, 20, 2**32 - 1)}, {"seed": 2**64 - 1}, "0" * 64)


def _same(one, other):
    pairs = [(getattr(one.state, name), getattr(other.state, name)) for name in ARRAYS]
    rest = [(c.state.step, c.state.stopped, c.files, c.config, c.system_sha256) for c in (one, other)]
    return all((a == b).all() for a, b in pairs) and rest[0] == rest[1]


def _read(folder, check=lambda checkpoint: None):
    return read_checkpoint(folder, check, print)


def test_round_trip_is_exact(tmp_path):
    save_checkpoint(tmp_path / "a", _checkpoint())
    assert _same(load_checkpoint(tmp_path / "a"), _checkpoint())


def test_equal_states_are_equal_files(tmp_path):
    for name in "ab":
        save_checkpoint(tmp_path / name, _checkpoint())
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_every_flipped_byte_is_noticed(tmp_path):
    save_checkpoint(tmp_path / "a", _checkpoint())
    data = (tmp_path / "a").read_bytes()
    for place in range(len(data)):
        damaged = bytearray(data)
        damaged[place] ^= 0b100
        (tmp_path / "b").write_bytes(damaged)
        try:
            assert _same(load_checkpoint(tmp_path / "b"), _checkpoint())  # as in the padding of the header
        except StorageError:
            continue


def test_flipped_bit_in_a_position_is_refused(tmp_path):
    save_checkpoint(tmp_path / "a", _checkpoint())
    data = bytearray((tmp_path / "a").read_bytes())
    data[-1] ^= 1
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(StorageError, match="SHA-256 does not fit"):
        load_checkpoint(tmp_path / "a")


def test_two_generations(tmp_path):
    for step in (1, 2, 3):
        write_checkpoint(tmp_path, _checkpoint(step))
    assert load_checkpoint(tmp_path / CHECKPOINT).state.step == 3
    assert load_checkpoint(tmp_path / PREVIOUS_CHECKPOINT).state.step == 2
    assert {path.name for path in tmp_path.iterdir()} == {CHECKPOINT, PREVIOUS_CHECKPOINT}


def test_damaged_newest_falls_back_and_says_so(tmp_path, capsys):
    for step in (1, 2):
        write_checkpoint(tmp_path, _checkpoint(step))
    (tmp_path / CHECKPOINT).write_bytes(b"torn")
    assert _same(_read(tmp_path), _checkpoint(1))
    assert "going on from checkpoint.previous.safetensors, step 1" in capsys.readouterr().out


def test_generation_that_took_over_is_not_lost_to_the_next_write(tmp_path, monkeypatch):
    """Killed between the renames of the write after a fall-back: the good generation is still there."""
    for step in (1, 2):
        write_checkpoint(tmp_path, _checkpoint(step))
    (tmp_path / CHECKPOINT).write_bytes(b"torn")
    _read(tmp_path)
    (tmp_path / CHECKPOINT).rename(tmp_path / PREVIOUS_CHECKPOINT)
    assert _same(_read(tmp_path), _checkpoint(1))


def test_newest_that_its_folder_does_not_bear_out_falls_back(tmp_path):
    def check(checkpoint):
        if checkpoint.state.step > 1:
            raise StorageError("a trajectory is too short")

    for step in (1, 2):
        write_checkpoint(tmp_path, _checkpoint(step))
    assert _read(tmp_path, check).state.step == 1
    for step in (2, 3):
        write_checkpoint(tmp_path, _checkpoint(step))
    with pytest.raises(StorageError, match="too short"):
        _read(tmp_path, check)


def test_failed_write_leaves_both_generations(tmp_path, monkeypatch):
    for step in (1, 2):
        write_checkpoint(tmp_path, _checkpoint(step))

    def full(*_, **__):
        raise OSError("No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(StorageError, match="No space left"):
        write_checkpoint(tmp_path, _checkpoint(3))
    assert [load_checkpoint(tmp_path / name).state.step for name in (CHECKPOINT, PREVIOUS_CHECKPOINT)] == [
        2,
        1,
    ]


def test_no_checkpoint_is_refused(tmp_path):
    with pytest.raises(StorageError, match="not a readable checkpoint"):
        _read(tmp_path)
