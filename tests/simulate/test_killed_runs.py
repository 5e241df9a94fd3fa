import multiprocessing
import os
import signal

import pytest
from chain import chain_forces
from chain_runs import At, killed, results, simulate_chain

from cgprot.errors import StorageError, UsageError
from cgprot.files.folder import read_run
from cgprot.files.stop import Interrupted
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.run import resume
from cgprot.simulate.state import CHECKPOINT, load_checkpoint

pytestmark = pytest.mark.usefixtures("synced")


def _flip_bit(path, place):
    """Of one byte; returns how many there are."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    return len(data)


# Step n is the force call n + 1; checkpoints are at steps 0, 50, 100, 150, 200.
@pytest.mark.parametrize("call", [2, 51, 52, 134, 201])
def test_killed_and_resumed_is_bytewise_the_same(whole, tmp_path, call):
    folder = killed(tmp_path / "run", call)
    assert load_checkpoint(folder / CHECKPOINT).state.step == (call - 2) // 50 * 50
    resume(folder, chain_forces)
    assert results(folder) == results(whole)
    assert [entry["step"] for entry in read_run(folder)["resumed"]] == [(call - 2) // 50 * 50]


def test_resume_catches_reused_noise(whole, tmp_path, monkeypatch):
    """The comparison of bytes sees a noise that starts over at every resumption."""
    folder = killed(tmp_path / "run", 134)
    fresh = Integrator.step
    monkeypatch.setattr(
        Integrator, "step", lambda self, x, v, forces, step: fresh(self, x, v, forces, step - 100)
    )
    resume(folder, chain_forces)
    assert results(folder)["replica_000.dcd"] != results(whole)["replica_000.dcd"]


def test_torn_files_are_cut_on_resume(whole, tmp_path):
    folder = killed(tmp_path / "run", 134)
    with open(folder / "replica_002.dcd", "rb+") as stream:
        stream.truncate(stream.seek(0, os.SEEK_END) - 11)
    with open(folder / "log.csv", "a") as stream:
        stream.write("130,0.2")
    resume(folder, chain_forces)
    assert results(folder) == results(whole)


def test_damaged_checkpoint_resumes_from_the_previous_one(whole, tmp_path, capsys):
    folder = killed(tmp_path / "run", 134)
    _flip_bit(folder / CHECKPOINT, -3)
    resume(folder, chain_forces)
    assert "step 50" in capsys.readouterr().err
    assert results(folder) == results(whole)


@pytest.mark.parametrize("name", ["replica_001.dcd", "log.csv"])
@pytest.mark.parametrize("n_bytes", [1, 2])
def test_file_that_lost_its_end_goes_on_from_the_previous_checkpoint(whole, tmp_path, name, n_bytes, capsys):
    folder = killed(tmp_path / "run", 102)
    with open(folder / name, "rb+") as stream:
        stream.truncate(stream.seek(0, os.SEEK_END) - n_bytes)
    resume(folder, chain_forces)
    assert "going on from checkpoint.previous.safetensors, step 50" in capsys.readouterr().err
    assert results(folder) == results(whole)


@pytest.mark.parametrize("name", ["replica_001.dcd", "log.csv"])
def test_file_that_ends_in_other_bytes_is_noticed(tmp_path, name, capsys):
    folder = killed(tmp_path / "run", 102)
    n_bytes = _flip_bit(folder / name, -9)
    resume(folder, chain_forces)
    assert f"{name}: changed before byte {n_bytes}" in capsys.readouterr().err


def test_missing_frames_are_refused(tmp_path):
    folder = killed(tmp_path / "run", 134)
    with open(folder / "replica_001.dcd", "rb+") as stream:
        stream.truncate(stream.seek(0, os.SEEK_END) // 2)
    with pytest.raises(StorageError, match=r"replica_001.dcd: holds 5 whole frames, not 11"):
        resume(folder, chain_forces)


def _run_until_killed(folder):
    simulate_chain(folder, At(134, lambda *_: os.kill(os.getpid(), signal.SIGKILL)))


def test_sigkill_and_resume(whole, tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_run_until_killed, args=(tmp_path / "run",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    resume(tmp_path / "run", chain_forces)
    assert results(tmp_path / "run") == results(whole)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signal_writes_a_checkpoint(whole, tmp_path, number, exit_code):
    folder = tmp_path / "run"
    before = signal.getsignal(number)

    def send(energy, forces):
        os.kill(os.getpid(), number)
        return energy, forces

    with pytest.raises(Interrupted, match=f"{number.name}, checkpoint written at 0.26 ps") as caught:
        simulate_chain(folder, At(134, send))
    assert caught.value.exit_code == exit_code
    assert signal.getsignal(number) is before
    assert load_checkpoint(folder / CHECKPOINT).state.step == 130
    resume(folder, chain_forces)
    assert results(folder) == results(whole)


def test_finished_run_can_be_extended(whole, tmp_path):
    folder = tmp_path / "run"
    simulate_chain(folder, time_ps=0.26)
    with pytest.raises(UsageError, match=r"reached 0.26 ps: give a longer --time-ps"):
        resume(folder, chain_forces)
    with pytest.raises(UsageError, match="whole number of steps"):
        resume(folder, chain_forces, time_ps=0.3001)
    resume(folder, chain_forces, time_ps=0.4)
    assert results(folder) == results(whole)
    assert read_run(folder)["config"]["time_ps"] == 0.4
