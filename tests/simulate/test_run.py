import csv
import multiprocessing
import os
import re
import shutil
import signal
import warnings
from pathlib import Path

import numpy as np
import pytest
from chain import N_BEADS, chain_forces, chain_start
from pydantic import ValidationError

from cgprot.errors import InputError, StorageError, UnstableError, UsageError
from cgprot.files.dcd import read_dcd
from cgprot.files.folder import read_run
from cgprot.files.lock import locked
from cgprot.files.psf import read_psf, write_psf
from cgprot.files.stop import Interrupted
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.record import Record
from cgprot.simulate.run import resume, simulate
from cgprot.simulate.state import CHECKPOINT, load_checkpoint

REPLICAS = 3


def _config(**changed):
    settings = {"temperature": 300.0, "time_ps": 0.4, "replicas": REPLICAS, "output_every_ps": 0.02}
    return SimulateConfig(**(settings | {"checkpoint_every_ps": 0.1, "seed": 5} | changed))


def _simulate(folder, forces=chain_forces, start=None, **changed):
    changed = {name.rstrip("_"): value for name, value in changed.items()}
    simulate(start or chain_start(), forces, _config(**changed), folder, {"model": {"name": "chain"}}, [])


def _results(folder):
    names = [path.name for path in folder.iterdir() if path.suffix in (".dcd", ".csv", ".psf", ".pdb")]
    return {name: (folder / name).read_bytes() for name in [*names, CHECKPOINT]}


@pytest.fixture(autouse=True)
def synced(monkeypatch):
    """Names of the files brought to the disk, without the wait: these tests kill processes, not machines."""
    names = []
    monkeypatch.setattr(
        os, "fsync", lambda number: names.append(Path(f"/proc/self/fd/{number}").readlink().name)
    )
    return names


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    _simulate(folder)
    return folder


class _At:
    """chain_forces, but for one call."""

    def __init__(self, call, action):
        self.call, self.action, self.calls = call, action, 0

    def __call__(self, positions):
        self.calls += 1
        energy, forces = chain_forces(positions)
        return self.action(energy, forces) if self.calls == self.call else (energy, forces)


class _Killed(Exception):
    pass


def _raise(*_):
    raise _Killed


def test_folder_holds_what_it_says(whole):
    names = {path.name for path in whole.iterdir()}
    trajectories = {f"replica_{replica:03d}.dcd" for replica in range(REPLICAS)}
    kept = {"run.json", "log.csv", "system.psf", "system.pdb", CHECKPOINT, "checkpoint.previous.safetensors"}
    assert names == trajectories | kept | {".lock"}
    run = read_run(whole)
    assert (run["verb"], run["device"], run["model"]["name"], run["config"]["seed"]) == (
        "simulate",
        "cpu",
        "chain",
        5,
    )


def test_frames_and_times(whole):
    positions, time = read_dcd(whole / "replica_001.dcd")
    np.testing.assert_allclose(time, np.arange(21) * 0.02, rtol=1e-6)
    np.testing.assert_array_equal(positions[0], chain_start().positions[0].astype(np.float32))
    state = load_checkpoint(whole / CHECKPOINT).state
    assert state.step == 200
    np.testing.assert_array_equal(positions[-1], state.positions[1].astype(np.float32))


def test_mdanalysis_and_mdtraj_open_the_folder(whole):
    import MDAnalysis
    import mdtraj

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe(str(whole / "system.psf"), str(whole / "replica_000.dcd"))
        assert (len(universe.atoms), len(universe.trajectory), len(universe.bonds)) == (
            N_BEADS,
            21,
            N_BEADS - 1,
        )
        assert universe.trajectory[-1].time == pytest.approx(0.4, rel=1e-6)
        loaded = mdtraj.load_dcd(str(whole / "replica_000.dcd"), top=str(whole / "system.pdb"))
    np.testing.assert_allclose(loaded.xyz * 10, read_dcd(whole / "replica_000.dcd")[0], rtol=1e-6)


def test_log_agrees_with_frames(whole):
    with open(whole / "log.csv") as stream:
        rows = list(csv.DictReader(stream))
    columns = "step time_ps replica temperature_K potential_energy_kcal_mol kinetic_energy_kcal_mol"
    assert list(rows[0]) == [*columns.split(), "bath_temperature_K"]
    assert len(rows) == 21 * REPLICAS
    for row in rows:
        frame, replica = int(row["step"]) // 10, int(row["replica"])
        assert float(row["time_ps"]) == pytest.approx(0.02 * frame, rel=1e-9)
        positions = read_dcd(whole / f"replica_{replica:03d}.dcd")[0][frame].astype(float)
        energy = chain_forces(positions[None])[0][0]
        assert float(row["potential_energy_kcal_mol"]) == pytest.approx(energy, rel=1e-4, abs=1e-4)
        kinetic = 1.5 * N_BEADS * 0.0019872042586 * float(row["temperature_K"])
        assert float(row["kinetic_energy_kcal_mol"]) == pytest.approx(kinetic, rel=1e-4)


def test_frames_and_log_reach_the_disk_before_the_checkpoint_that_counts_on_them(tmp_path, synced):
    with pytest.raises(_Killed):
        _simulate(tmp_path / "run", _At(101, _raise))
    trajectories = [f"replica_{replica:03d}.dcd" for replica in range(REPLICAS)]
    first = synced.index("replica_000.dcd")
    later = [name for name in synced[first:] if name.startswith(("replica", "log", "checkpoint"))]
    assert later == [*trajectories, "log.csv", "checkpoint.next.safetensors.partial"] * 2


@pytest.mark.parametrize("call", [52, 134])
def test_velocities_and_forces_have_files_of_their_own_that_resume_cuts_too(tmp_path, call):
    _simulate(tmp_path / "whole", velocities=True, forces_=True)
    with pytest.raises(_Killed):
        _simulate(tmp_path / "run", _At(call, _raise), velocities=True, forces_=True)
    resume(tmp_path / "run", chain_forces)
    assert _results(tmp_path / "run") == _results(tmp_path / "whole")
    state = load_checkpoint(tmp_path / "run" / CHECKPOINT).state
    for replica in range(REPLICAS):
        positions, velocities, forces = (
            read_dcd(tmp_path / "run" / f"{name}_{replica:03d}.dcd")[0]
            for name in ("replica", "velocities", "forces")
        )
        np.testing.assert_array_equal(velocities[-1], state.velocities[replica].astype(np.float32))
        np.testing.assert_allclose(forces, chain_forces(positions.astype(float))[1], atol=1e-3)
    units = {"replica": "Å", "velocities": "Å/ps", "forces": "kcal/mol/Å"}
    assert read_run(tmp_path / "run")["units"] == units


def test_xtc_that_a_kill_left_out_is_made_up_for(tmp_path):
    _simulate(tmp_path / "run", xtc=True)
    whole = (tmp_path / "run" / "replica_001.xtc").read_bytes()
    (tmp_path / "run" / "replica_001.xtc").unlink()
    resume(tmp_path / "run", chain_forces)
    assert (tmp_path / "run" / "replica_001.xtc").read_bytes() == whole
    with pytest.raises(UsageError, match="has reached"):
        resume(tmp_path / "run", chain_forces)
    with pytest.raises(_Killed):
        resume(tmp_path / "run", _At(20, _raise), time_ps=0.6)
    assert not list((tmp_path / "run").glob("*.xtc"))  # they would lack what the trajectories have


def test_xtc_is_a_copy_of_the_trajectory(tmp_path):
    import MDAnalysis

    _simulate(tmp_path / "run", xtc=True)
    for replica in range(REPLICAS):
        positions, time = read_dcd(tmp_path / "run" / f"replica_{replica:03d}.dcd")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            universe = MDAnalysis.Universe.empty(N_BEADS, trajectory=True)
            universe.load_new(str(tmp_path / "run" / f"replica_{replica:03d}.xtc"))
            frames = [(step.positions.copy(), step.time) for step in universe.trajectory]
        np.testing.assert_allclose([frame for frame, _ in frames], positions, atol=0.0051)
        np.testing.assert_allclose([ps for _, ps in frames], time, rtol=1e-6)


def test_each_replica_has_its_own_temperature_friction_and_seed(whole, tmp_path):
    """What is given as a list equals a run of that value, replica by replica."""
    each = {"temperature": [300.0, 250.0, 300.0], "friction_per_ps": [1.0, 1.0, 3.0], "seed": [5, 5, 5]}
    _simulate(tmp_path / "each", **each)
    _simulate(tmp_path / "cold", temperature=250.0)
    _simulate(tmp_path / "damped", friction_per_ps=3.0)
    for replica, same in enumerate((whole, tmp_path / "cold", tmp_path / "damped")):
        name = f"replica_{replica:03d}.dcd"
        assert (tmp_path / "each" / name).read_bytes() == (same / name).read_bytes()
    assert (tmp_path / "cold" / "replica_001.dcd").read_bytes() != (whole / "replica_001.dcd").read_bytes()
    assert (tmp_path / "damped" / "replica_002.dcd").read_bytes() != (whole / "replica_002.dcd").read_bytes()


@pytest.mark.parametrize("scheme", ["verlet", "brownian"])
def test_other_schemes_run_and_resume(tmp_path, scheme):
    asked = {"scheme": scheme, "friction_per_ps": 50.0}
    _simulate(tmp_path / "whole", **asked)
    with pytest.raises(_Killed):
        _simulate(tmp_path / "run", _At(134, _raise), **asked)
    resume(tmp_path / "run", chain_forces)
    assert _results(tmp_path / "run") == _results(tmp_path / "whole")


def test_velocities_without_a_thermostat_are_those_at_the_time_of_the_positions(tmp_path):
    _simulate(tmp_path / "run", scheme="verlet", velocities=True)
    mass, conversion = read_psf(tmp_path / "run" / "system.psf").mass, 418.4  # Da Å²/ps² in kcal/mol
    with open(tmp_path / "run" / "log.csv") as stream:
        logged = [float(row["kinetic_energy_kcal_mol"]) for row in csv.DictReader(stream)]
    for replica in range(REPLICAS):
        velocities, _ = read_dcd(tmp_path / "run" / f"velocities_{replica:03d}.dcd")
        energy = 0.5 * (mass[:, None] * velocities.astype(float) ** 2).sum(axis=(1, 2)) / conversion
        np.testing.assert_allclose(energy, logged[replica::REPLICAS], rtol=1e-5, atol=1e-5)


def test_seed_decides(whole, tmp_path):
    _simulate(tmp_path / "same")
    assert _results(tmp_path / "same") == _results(whole)
    _simulate(tmp_path / "other", seed=6)
    assert _results(tmp_path / "other")["replica_000.dcd"] != _results(whole)["replica_000.dcd"]


def test_replica_is_the_same_alone_or_among_others(whole, tmp_path):
    _simulate(tmp_path / "alone", replicas=1)
    alone, among = _results(tmp_path / "alone"), _results(whole)
    assert alone["replica_000.dcd"] == among["replica_000.dcd"] != among["replica_001.dcd"]


def test_one_frame_a_replica(tmp_path):
    start = chain_start(REPLICAS)
    _simulate(tmp_path / "run", start=start)
    for replica in range(REPLICAS):
        first = read_dcd(tmp_path / "run" / f"replica_{replica:03d}.dcd")[0][0]
        np.testing.assert_array_equal(first, start.positions[replica].astype(np.float32))


# Step n is the force call n + 1; checkpoints are at steps 0, 50, 100, 150, 200.
@pytest.mark.parametrize("call", [2, 51, 52, 134, 201])
def test_killed_and_resumed_is_bytewise_the_same(whole, tmp_path, call):
    folder = tmp_path / "run"
    with pytest.raises(_Killed):
        _simulate(folder, _At(call, _raise))
    assert load_checkpoint(folder / CHECKPOINT).state.step == (call - 2) // 50 * 50
    resume(folder, chain_forces)
    assert _results(folder) == _results(whole)
    assert [entry["step"] for entry in read_run(folder)["resumed"]] == [(call - 2) // 50 * 50]


def test_resume_catches_reused_noise(whole, tmp_path, monkeypatch):
    """The comparison of bytes sees a noise that starts over at every resumption."""
    folder = tmp_path / "run"
    with pytest.raises(_Killed):
        _simulate(folder, _At(134, _raise))
    fresh = Integrator.step
    monkeypatch.setattr(
        Integrator, "step", lambda self, x, v, forces, step: fresh(self, x, v, forces, step - 100)
    )
    resume(folder, chain_forces)
    assert _results(folder)["replica_000.dcd"] != _results(whole)["replica_000.dcd"]


def test_torn_files_are_cut_on_resume(whole, tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(_Killed):
        _simulate(folder, _At(134, _raise))
    with open(folder / "replica_002.dcd", "rb+") as stream:
        stream.truncate(stream.seek(0, os.SEEK_END) - 11)
    with open(folder / "log.csv", "a") as stream:
        stream.write("130,0.2")
    resume(folder, chain_forces)
    assert _results(folder) == _results(whole)


def test_damaged_checkpoint_resumes_from_the_previous_one(whole, tmp_path, capsys):
    folder = tmp_path / "run"
    with pytest.raises(_Killed):
        _simulate(folder, _At(134, _raise))
    data = bytearray((folder / CHECKPOINT).read_bytes())
    data[-3] ^= 1
    (folder / CHECKPOINT).write_bytes(data)
    resume(folder, chain_forces)
    assert "step 50" in capsys.readouterr().err
    assert _results(folder) == _results(whole)


@pytest.mark.parametrize("name", ["replica_001.dcd", "log.csv"])
@pytest.mark.parametrize("n_bytes", [1, 2])
def test_file_that_lost_its_end_goes_on_from_the_previous_checkpoint(whole, tmp_path, name, n_bytes, capsys):
    folder = tmp_path / "run"
    with pytest.raises(_Killed):
        _simulate(folder, _At(102, _raise))
    with open(folder / name, "rb+") as stream:
        stream.truncate(stream.seek(0, os.SEEK_END) - n_bytes)
    resume(folder, chain_forces)
    assert "going on from checkpoint.previous.safetensors, step 50" in capsys.readouterr().err
    assert _results(folder) == _results(whole)


@pytest.mark.parametrize("name", ["replica_001.dcd", "log.csv"])
def test_file_that_ends_in_other_bytes_is_noticed(tmp_path, name, capsys):
    folder = tmp_path / "run"
    with pytest.raises(_Killed):
        _simulate(folder, _At(102, _raise))
    data = bytearray((folder / name).read_bytes())
    data[-9] ^= 1
    (folder / name).write_bytes(data)
    resume(folder, chain_forces)
    assert f"{name}: changed before byte {len(data)}" in capsys.readouterr().err


def test_missing_frames_are_refused(tmp_path):
    folder = tmp_path / "run"
    with pytest.raises(_Killed):
        _simulate(folder, _At(134, _raise))
    with open(folder / "replica_001.dcd", "rb+") as stream:
        stream.truncate(stream.seek(0, os.SEEK_END) // 2)
    with pytest.raises(StorageError, match=r"replica_001.dcd: holds 5 whole frames, not 11"):
        resume(folder, chain_forces)


def _run_until_killed(folder):
    _simulate(folder, _At(134, lambda *_: os.kill(os.getpid(), signal.SIGKILL)))


def test_sigkill_and_resume(whole, tmp_path):
    process = multiprocessing.get_context("fork").Process(target=_run_until_killed, args=(tmp_path / "run",))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    resume(tmp_path / "run", chain_forces)
    assert _results(tmp_path / "run") == _results(whole)


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signal_writes_a_checkpoint(whole, tmp_path, number, exit_code):
    folder = tmp_path / "run"
    before = signal.getsignal(number)

    def send(energy, forces):
        os.kill(os.getpid(), number)
        return energy, forces

    with pytest.raises(Interrupted, match=f"{number.name}, checkpoint written at 0.26 ps") as caught:
        _simulate(folder, _At(134, send))
    assert caught.value.exit_code == exit_code
    assert signal.getsignal(number) is before
    assert load_checkpoint(folder / CHECKPOINT).state.step == 130
    resume(folder, chain_forces)
    assert _results(folder) == _results(whole)


def test_finished_run_can_be_extended(whole, tmp_path):
    folder = tmp_path / "run"
    _simulate(folder, time_ps=0.26)
    with pytest.raises(UsageError, match=r"reached 0.26 ps: give a longer --time-ps"):
        resume(folder, chain_forces)
    with pytest.raises(UsageError, match="whole number of steps"):
        resume(folder, chain_forces, time_ps=0.3001)
    resume(folder, chain_forces, time_ps=0.4)
    assert _results(folder) == _results(whole)
    assert read_run(folder)["config"]["time_ps"] == 0.4


def _too_strong(energy, forces):
    forces[1, 3] = [0.0, 3000.0, 4000.0]
    return energy, forces


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
        _simulate(folder, _At(121, _too_strong))
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
        _simulate(tmp_path / "run", _At(121, _too_strong))
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
    bad, killed = _At(121, _too_strong), _At(call, _raise)

    def forces(positions):
        killed(positions)
        return bad(positions)

    with pytest.raises(_Killed):
        _simulate(tmp_path / "run", forces)
    begun = load_checkpoint(tmp_path / "run" / CHECKPOINT).state.step
    again = _At(121 - begun, _too_strong)
    with pytest.raises(UnstableError) as caught:
        resume(tmp_path / "run", again)
    assert str(caught.value) == str(stopped[1]).replace(str(stopped[0]), str(tmp_path / "run"))
    assert _results(tmp_path / "run") == _results(stopped[0])
    assert read_run(tmp_path / "run")["stopped"] == read_run(stopped[0])["stopped"]


def test_run_ends_when_all_have_stopped(tmp_path):
    def bad(energy, forces):
        energy[:] = np.nan
        return energy, forces

    calls = _At(11, bad)
    with pytest.raises(UnstableError, match=r"3 of 3 replicas stopped: replica 0: energy is nan"):
        _simulate(tmp_path / "run", calls)
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
        _simulate(tmp_path / "a", stiff, timestep_fs=20.0, guard_every_steps=1000, output_every_ps=0.4)


def test_only_the_replica_without_forces_stops(whole, tmp_path):
    """Positions that no graph can be built of: the force call fails for all, one is to blame."""
    nan = _At(3, lambda energy, forces: (energy, forces * np.array([1.0, 1.0, np.nan])[:, None, None]))

    def then_nan(positions):
        if not np.isfinite(positions).all():
            raise InputError("a position is not finite")
        return nan(positions)

    with pytest.raises(UnstableError, match=r"replica 2: position of N of GLY 1 A is nan Å at 0.006 ps"):
        _simulate(tmp_path / "run", then_nan)
    assert _others(tmp_path / "run", 2) == _others(whole, 2)


def test_replica_that_only_the_model_refuses_stops_alone(whole, tmp_path):
    calls = _At(0, None)

    def refusing(positions):
        calls.calls += 1
        if calls.calls in (16, 17):  # the step, then replica 0 tried alone
            raise InputError("beads 3 and 5 coincide")
        return chain_forces(positions)

    with pytest.raises(UnstableError, match=r"replica 0: no forces \(beads 3 and 5 coincide\) at 0.03 ps"):
        _simulate(tmp_path / "run", refusing)
    assert _others(tmp_path / "run", 0) == _others(whole, 0)


def test_failure_that_is_no_replicas_fault_ends_the_run(tmp_path):
    calls = _At(0, None)

    def once(positions):
        calls.calls += 1
        if calls.calls == 16:
            raise InputError("the card is gone")
        return chain_forces(positions)

    with pytest.raises(InputError, match="the card is gone"):
        _simulate(tmp_path / "run", once)


def _apart(positions):
    energy, forces = chain_forces(positions)
    return energy, forces[:, :-1]


@pytest.mark.parametrize(
    ("error", "said", "asked"),
    [
        (UsageError, "2 starting frames for 3 replicas", {"start": chain_start(2)}),
        (InputError, "belongs to another system", {"forces": _apart}),
        (UnstableError, "starting structure: replica 1: force on O", {"forces": _At(1, _too_strong)}),
        (ValidationError, "replicas", {"replicas": 0}),
    ],
)
def test_refused_before_the_folder_is_created(tmp_path, error, said, asked):
    with pytest.raises(error, match=said):
        _simulate(tmp_path / "run", **asked)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("temperature", {"temperature": -1.0}),
        ("temperature", {"temperature": float("nan")}),
        ("timestep_fs", {"timestep_fs": 0.0}),
        ("timestep_fs", {"timestep_fs": 20.1}),
        ("seed", {"seed": 2**64}),
        ("friction_per_ps", {"friction_per_ps": -1.0}),
        ("time_ps 0.401 is 200.5 steps of 2 fs: choose a whole number", {"time_ps": 0.401}),
        ("it would never happen", {"output_every_ps": 1.0}),
        ("Extra inputs", {"temprature": 300.0}),
        ("replicas", {"replicas": 1_000_000_000}),
        ("time_ps 1e+300 is 5e+302 steps", {"time_ps": 1e300, "output_every_ps": 1e299}),
        ("time_ps 1e+308 is inf steps", {"time_ps": 1e308}),
        ("output_every_ps 4.4e+06 is 2.2e+09 steps", {"time_ps": 1e8, "output_every_ps": 4.4e6}),
        ("more than 2.15e+09 frames", {"time_ps": 1e8, "output_every_ps": 0.02}),
    ],
)
def test_bad_configurations(said, asked):
    with pytest.raises(ValidationError, match=re.escape(said)):
        _config(**asked)


def test_existing_folder_is_refused(whole):
    with pytest.raises(UsageError, match="exists already"):
        _simulate(whole)


def test_second_process_is_refused(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    before = _results(folder)
    with locked(folder), pytest.raises(StorageError, match="another process runs in it"):
        resume(folder, chain_forces, time_ps=0.6)
    assert _results(folder) == before


def test_other_folders_cannot_be_resumed(tmp_path):
    with pytest.raises(StorageError, match="not a cgprot run folder"):
        resume(tmp_path, chain_forces)
    assert not list(tmp_path.iterdir())
    (tmp_path / "run.json").write_text('{"verb": "train"}')
    with pytest.raises(UsageError, match="is a run of train"):
        resume(tmp_path, chain_forces)


def test_far_away_replica_can_still_be_written(tmp_path):
    """Centres of mass diffuse freely, further than the columns of a PDB reach."""
    system = chain_start().system
    write_psf(tmp_path / "system.psf", system)
    record = Record(tmp_path, system, _config(), {}, {})
    path = record.last_good(chain_start().positions[0] + 5e4, 7)
    assert path.name == "last_good_replica_007.pdb"
    assert path.read_text().count("ATOM") == N_BEADS


@pytest.mark.parametrize("value", [5e4, -1000.0, np.nan])
def test_start_that_no_pdb_holds_is_refused(tmp_path, value):
    start = chain_start()
    start.positions[0, 2] = value
    with pytest.raises(InputError, match="which no PDB can hold: centre it"):
        _simulate(tmp_path / "run", start=start)
    assert not (tmp_path / "run").exists()
