"""Runs whose files are not all there, read back: told what is missing, never taken for a smaller run."""

import pytest
from chain import chain_forces, chain_start
from trial import CONFIG, begin

from cgprot.errors import StorageError
from cgprot.files.growing import check_tail
from cgprot.files.marks import read_marks
from cgprot.files.sources import read_source
from cgprot.simulate.run import simulate


@pytest.fixture
def run(tmp_path):
    """Done; its second replica was stopped."""
    begin(tmp_path / "run")
    return tmp_path / "run"


def lengths(folder):
    return [len(frames) for frames in read_source(folder)]


def cut(path, n_bytes):
    with open(path, "rb+") as stream:
        stream.truncate(n_bytes)


def refusal(folder):
    with pytest.raises(StorageError) as caught:
        read_source(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_replica_that_was_stopped_is_whole(run, capsys):
    whole, stopped = lengths(run)
    assert 0 < stopped < whole == 8
    assert [frames.temperature for frames in read_source(run)] == [None, None]  # they were exchanged
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("name", ["replica_000.dcd", "replica_001.dcd"])
def test_a_replica_that_is_gone_is_missed(run, name):
    (run / name).unlink()
    assert refusal(run).startswith(f"{run / name}: missing: restore it")


@pytest.mark.parametrize("lost", [1, 150])
def test_a_trajectory_that_was_cut_is_refused(run, lost):
    path = run / "replica_001.dcd"
    cut(path, path.stat().st_size - lost)
    said = refusal(run)
    assert said.startswith(f"{path}: ")
    assert "restore it" in said
    assert len(read_source(path)[0]) > 0  # by itself, as it is


def test_a_killed_run_is_read_as_far_as_it_went(tmp_path):
    """Behind its checkpoint one replica may have more frames than another."""
    calls = iter(range(20))

    def dies(positions):
        if next(calls, None) is None:
            raise KeyboardInterrupt
        return chain_forces(positions)

    run = tmp_path / "run"
    with pytest.raises(KeyboardInterrupt):
        simulate(chain_start(), dies, CONFIG, run, {}, [])
    assert lengths(run) == [4, 4]
    path, mark = run / "replica_001.dcd", read_marks(run)["replica_001.dcd"]
    cut(path, mark.size)
    check_tail(path, mark)
    assert lengths(run) == [4, 3]
    cut(path, mark.size - 1)
    assert "the checkpoint needs" in refusal(run)


def test_one_file_too_many_is_no_replica(run):
    (run / "replica_002.dcd").write_bytes((run / "replica_000.dcd").read_bytes())
    with pytest.raises(ValueError, match=r"replica_002.dcd: not of the run, which has 2 replicas"):
        read_source(run)


def test_without_a_checkpoint_it_is_said_that_nothing_was_checked(run, capsys):
    (run / "checkpoint.safetensors").write_bytes(b"torn")
    assert lengths(run)
    assert capsys.readouterr().err == ""  # there is one before it
    (run / "checkpoint.previous.safetensors").unlink()
    assert lengths(run)
    assert "no checkpoint to be read" in capsys.readouterr().err
