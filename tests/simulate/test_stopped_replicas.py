import numpy as np
import pytest
from chain import chain_forces, chain_start
from chain_runs import REPLICAS, At, Killed, kill, results, simulate_chain, too_strong

from cgprot.errors import InputError, UnstableError, UsageError
from cgprot.files.dcd import read_dcd
from cgprot.files.folder import read_run
from cgprot.simulate.run import resume
from cgprot.simulate.state import CHECKPOINT, load_checkpoint

pytestmark = pytest.mark.usefixtures("synced")


def _others(folder, *bad):
    """Bytes of the trajectories, and rows of the log, of all replicas but the bad ones."""
    names = {f"replica_{replica:03d}.dcd" for replica in range(REPLICAS) if replica not in bad}
    rows = (folder / "log.csv").read_text().splitlines()
    return {name: (folder / name).read_bytes() for name in names}, [
        row for row in rows if row.split(",")[2] not in map(str, bad)
    ]


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """Replica 1 stops at step 120; and what was said."""
    folder = tmp_path_factory.mktemp("stopped") / "run"
    with pytest.raises(UnstableError) as caught:
        simulate_chain(folder, At(121, too_strong))
    return folder, caught.value


def test_bad_replica_stops_alone(whole, stopped):
    folder, error = stopped
    assert _others(folder, 1) == _others(whole, 1)
    frames = read_dcd(folder / "replica_001.dcd")[0]
    np.testing.assert_array_equal(frames, read_dcd(whole / "replica_001.dcd")[0][:12])
    assert np.fromfile(folder / "replica_001.dcd", dtype="<i4", count=3)[2] == 12
    rows = [row.split(",")[:3] for row in (folder / "log.csv").read_text().splitlines()]
    assert [row[0] for row in rows if row[2] == "1"] == [str(10 * k) for k in range(12)]
    state = load_checkpoint(folder / CHECKPOINT).state
    np.testing.assert_array_equal(state.positions[1].astype(np.float32), frames[11])
    assert error.exit_code == 4
    assert str(error) == (
        f"{folder}: 1 of 3 replicas stopped, the others reached 0.4 ps: replica 1: force on O of GLY 1 A is "
        "5000 kcal/mol/Å (limit 1000) at 0.24 ps; last good frames in last_good_replica_001.pdb: shorten "
        "the time step or start from a structure that the model knows"
    )


def test_stopped_replica_is_told_at_once_and_recorded(tmp_path, stopped, capsys):
    with pytest.raises(UnstableError):
        simulate_chain(tmp_path / "run", At(121, too_strong))
    said = f"{tmp_path / 'run'}: step 120 (0.24 ps): replica 1: force on O of GLY 1 A is 5000"
    assert capsys.readouterr().err.startswith(said)
    (entry,) = read_run(stopped[0])["stopped"]
    assert (entry["replica"], entry["step"], entry["good_step"]) == (1, 120, 110)
    assert load_checkpoint(stopped[0] / CHECKPOINT).state.stopped == (tuple(entry.values()),)


def test_last_good_frame_is_kept(stopped):
    assert [path.name for path in stopped[0].glob("last_good*")] == ["last_good_replica_001.pdb"]
    lines = (stopped[0] / "last_good_replica_001.pdb").read_text().splitlines()
    atoms = [line for line in lines if line.startswith("ATOM")]
    written = np.array([[float(line[30 + 8 * k : 38 + 8 * k]) for k in range(3)] for line in atoms])
    last = read_dcd(stopped[0] / "replica_001.dcd")[0][11]
    np.testing.assert_allclose(written, last - last.mean(axis=0), atol=2e-3)


# Before the stop, between it and the next checkpoint, and after that.
@pytest.mark.parametrize("call", [111, 134, 181])
def test_stopped_replica_stays_stopped_on_resume(stopped, tmp_path, call):
    bad, killed = At(121, too_strong), At(call, kill)

    def forces(positions):
        killed(positions)
        return bad(positions)

    with pytest.raises(Killed):
        simulate_chain(tmp_path / "run", forces)
    begun = load_checkpoint(tmp_path / "run" / CHECKPOINT).state.step
    again = At(121 - begun, too_strong)
    with pytest.raises(UnstableError) as caught:
        resume(tmp_path / "run", again)
    assert str(caught.value) == str(stopped[1]).replace(str(stopped[0]), str(tmp_path / "run"))
    assert results(tmp_path / "run") == results(stopped[0])
    assert read_run(tmp_path / "run")["stopped"] == read_run(stopped[0])["stopped"]


def test_run_ends_when_all_have_stopped(tmp_path):
    def bad(energy, forces):
        energy[:] = np.nan
        return energy, forces

    calls = At(11, bad)
    with pytest.raises(UnstableError, match=r"3 of 3 replicas stopped: replica 0: energy is nan"):
        simulate_chain(tmp_path / "run", calls)
    assert calls.calls == 11
    names = sorted(path.name for path in (tmp_path / "run").glob("last_good*"))
    assert names == [f"last_good_replica_{replica:03d}.pdb" for replica in range(REPLICAS)]
    with pytest.raises(UsageError, match="all its replicas have stopped"):
        resume(tmp_path / "run", chain_forces, time_ps=0.8)


def test_explosion_is_caught_between_the_guards_steps(tmp_path):
    """A well far too stiff for the time step: positions grow beyond all numbers."""

    def stiff(positions):
        if not np.isfinite(positions).all():
            raise InputError("a position is not finite")
        return np.zeros(len(positions)), -1e3 * (positions - chain_start().positions)

    with np.errstate(all="ignore"), pytest.raises(UnstableError, match="change of bond"):
        simulate_chain(tmp_path / "a", stiff, timestep_fs=20.0, guard_every_steps=1000, output_every_ps=0.4)


def test_only_the_replica_without_forces_stops(whole, tmp_path):
    """Positions that no graph can be built of: the force call fails for all, one is to blame."""
    nan = At(3, lambda energy, forces: (energy, forces * np.array([1.0, 1.0, np.nan])[:, None, None]))

    def then_nan(positions):
        if not np.isfinite(positions).all():
            raise InputError("a position is not finite")
        return nan(positions)

    with pytest.raises(UnstableError, match=r"replica 2: position of N of GLY 1 A is nan Å at 0.006 ps"):
        simulate_chain(tmp_path / "run", then_nan)
    assert _others(tmp_path / "run", 2) == _others(whole, 2)


def test_replica_that_only_the_model_refuses_stops_alone(whole, tmp_path):
    calls = At(0, None)

    def refusing(positions):
        calls.calls += 1
        if calls.calls in (16, 17):  # the step, then replica 0 tried alone
            raise InputError("beads 3 and 5 coincide")
        return chain_forces(positions)

    with pytest.raises(UnstableError, match=r"replica 0: no forces \(beads 3 and 5 coincide\) at 0.03 ps"):
        simulate_chain(tmp_path / "run", refusing)
    assert _others(tmp_path / "run", 0) == _others(whole, 0)


def test_failure_that_is_no_replicas_fault_ends_the_run(tmp_path):
    calls = At(0, None)

    def once(positions):
        calls.calls += 1
        if calls.calls == 16:
            raise InputError("the card is gone")
        return chain_forces(positions)

    with pytest.raises(InputError, match="the card is gone"):
        simulate_chain(tmp_path / "run", once)
