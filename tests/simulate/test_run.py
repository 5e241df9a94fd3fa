import csv
import re
import shutil
import warnings

import numpy as np
import pytest
from chain import N_BEADS, chain_forces, chain_start
from chain_runs import REPLICAS, At, Killed, config, kill, killed, results, simulate_chain, too_strong
from pydantic import ValidationError

from cgprot.errors import InputError, StorageError, UnstableError, UsageError
from cgprot.files.dcd import read_dcd
from cgprot.files.folder import read_run
from cgprot.files.lock import locked
from cgprot.files.psf import read_psf, write_psf
from cgprot.simulate.record import Record
from cgprot.simulate.run import resume
from cgprot.simulate.state import CHECKPOINT, load_checkpoint

pytestmark = pytest.mark.usefixtures("synced")


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
    killed(tmp_path / "run", 101)
    trajectories = [f"replica_{replica:03d}.dcd" for replica in range(REPLICAS)]
    first = synced.index("replica_000.dcd")
    later = [name for name in synced[first:] if name.startswith(("replica", "log", "checkpoint"))]
    assert later == [*trajectories, "log.csv", "checkpoint.next.safetensors.partial"] * 2


@pytest.mark.parametrize("call", [52, 134])
def test_velocities_and_forces_have_files_of_their_own_that_resume_cuts_too(tmp_path, call):
    simulate_chain(tmp_path / "whole", velocities=True, forces_=True)
    killed(tmp_path / "run", call, velocities=True, forces_=True)
    resume(tmp_path / "run", chain_forces)
    assert results(tmp_path / "run") == results(tmp_path / "whole")
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
    simulate_chain(tmp_path / "run", xtc=True)
    whole = (tmp_path / "run" / "replica_001.xtc").read_bytes()
    (tmp_path / "run" / "replica_001.xtc").unlink()
    resume(tmp_path / "run", chain_forces)
    assert (tmp_path / "run" / "replica_001.xtc").read_bytes() == whole
    with pytest.raises(UsageError, match="has reached"):
        resume(tmp_path / "run", chain_forces)
    with pytest.raises(Killed):
        resume(tmp_path / "run", At(20, kill), time_ps=0.6)
    assert not list((tmp_path / "run").glob("*.xtc"))  # they would lack what the trajectories have


def test_xtc_is_a_copy_of_the_trajectory(tmp_path):
    import MDAnalysis

    simulate_chain(tmp_path / "run", xtc=True)
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
    simulate_chain(tmp_path / "each", **each)
    simulate_chain(tmp_path / "cold", temperature=250.0)
    simulate_chain(tmp_path / "damped", friction_per_ps=3.0)
    for replica, same in enumerate((whole, tmp_path / "cold", tmp_path / "damped")):
        name = f"replica_{replica:03d}.dcd"
        assert (tmp_path / "each" / name).read_bytes() == (same / name).read_bytes()
    assert (tmp_path / "cold" / "replica_001.dcd").read_bytes() != (whole / "replica_001.dcd").read_bytes()
    assert (tmp_path / "damped" / "replica_002.dcd").read_bytes() != (whole / "replica_002.dcd").read_bytes()


@pytest.mark.parametrize("scheme", ["verlet", "brownian"])
def test_other_schemes_run_and_resume(tmp_path, scheme):
    asked = {"scheme": scheme, "friction_per_ps": 50.0}
    simulate_chain(tmp_path / "whole", **asked)
    killed(tmp_path / "run", 134, **asked)
    resume(tmp_path / "run", chain_forces)
    assert results(tmp_path / "run") == results(tmp_path / "whole")


def test_velocities_without_a_thermostat_are_those_at_the_time_of_the_positions(tmp_path):
    simulate_chain(tmp_path / "run", scheme="verlet", velocities=True)
    mass, conversion = read_psf(tmp_path / "run" / "system.psf").mass, 418.4  # Da Å²/ps² in kcal/mol
    with open(tmp_path / "run" / "log.csv") as stream:
        logged = [float(row["kinetic_energy_kcal_mol"]) for row in csv.DictReader(stream)]
    for replica in range(REPLICAS):
        velocities, _ = read_dcd(tmp_path / "run" / f"velocities_{replica:03d}.dcd")
        energy = 0.5 * (mass[:, None] * velocities.astype(float) ** 2).sum(axis=(1, 2)) / conversion
        np.testing.assert_allclose(energy, logged[replica::REPLICAS], rtol=1e-5, atol=1e-5)


def test_seed_decides(whole, tmp_path):
    simulate_chain(tmp_path / "same")
    assert results(tmp_path / "same") == results(whole)
    simulate_chain(tmp_path / "other", seed=6)
    assert results(tmp_path / "other")["replica_000.dcd"] != results(whole)["replica_000.dcd"]


def test_replica_is_the_same_alone_or_among_others(whole, tmp_path):
    simulate_chain(tmp_path / "alone", replicas=1)
    alone, among = results(tmp_path / "alone"), results(whole)
    assert alone["replica_000.dcd"] == among["replica_000.dcd"] != among["replica_001.dcd"]


def test_one_frame_a_replica(tmp_path):
    start = chain_start(REPLICAS)
    simulate_chain(tmp_path / "run", start=start)
    for replica in range(REPLICAS):
        first = read_dcd(tmp_path / "run" / f"replica_{replica:03d}.dcd")[0][0]
        np.testing.assert_array_equal(first, start.positions[replica].astype(np.float32))


def _apart(positions):
    energy, forces = chain_forces(positions)
    return energy, forces[:, :-1]


@pytest.mark.parametrize(
    ("error", "said", "asked"),
    [
        (UsageError, "2 starting frames for 3 replicas", {"start": chain_start(2)}),
        (InputError, "belongs to another system", {"forces": _apart}),
        (UnstableError, "starting structure: replica 1: force on O", {"forces": At(1, too_strong)}),
        (ValidationError, "replicas", {"replicas": 0}),
    ],
)
def test_refused_before_the_folder_is_created(tmp_path, error, said, asked):
    with pytest.raises(error, match=said):
        simulate_chain(tmp_path / "run", **asked)
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
        config(**asked)


def test_existing_folder_is_refused(whole):
    with pytest.raises(UsageError, match="exists already"):
        simulate_chain(whole)


def test_second_process_is_refused(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    before = results(folder)
    with locked(folder), pytest.raises(StorageError, match="another process runs in it"):
        resume(folder, chain_forces, time_ps=0.6)
    assert results(folder) == before


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
    record = Record(tmp_path, system, config(), {}, {})
    path = record.last_good(chain_start().positions[0] + 5e4, 7)
    assert path.name == "last_good_replica_007.pdb"
    assert path.read_text().count("ATOM") == N_BEADS


@pytest.mark.parametrize("value", [5e4, -1000.0, np.nan])
def test_start_that_no_pdb_holds_is_refused(tmp_path, value):
    start = chain_start()
    start.positions[0, 2] = value
    with pytest.raises(InputError, match="which no PDB can hold: centre it"):
        simulate_chain(tmp_path / "run", start=start)
    assert not (tmp_path / "run").exists()
