"""Where a run starts, what it is put into and what holds it: from the options to the folder, and resumed."""

import json
import warnings

import MDAnalysis
import numpy as np
import pytest
import torch
from chain import N_BEADS, chain_forces, chain_start, chain_system

from cgprot.analyse.structure import bond_lengths, broken_bonds
from cgprot.cli import main
from cgprot.errors import InputError, StorageError, UnstableError, UsageError
from cgprot.files.dcd import cell_of_dcd, read_dcd
from cgprot.files.folder import read_run
from cgprot.files.psf import read_psf, write_psf
from cgprot.files.sources import read_source
from cgprot.files.universe import write_pdb
from cgprot.model.checkpoint import save_model
from cgprot.model.potential import ModelConfig, Potential
from cgprot.simulate.command import Beginning, resume_run, start_run
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.minimise import minimise
from cgprot.simulate.run import resume, simulate
from cgprot.simulate.state import CHECKPOINT

FILES = ("replica_000.dcd", "replica_001.dcd", "log.csv", CHECKPOINT)
CELL = (30.0, 26.0, 28.0, 90.0, 80.0, 100.0)


def config(**more):
    defaults = {"time_ps": 0.08, "output_every_ps": 0.02, "checkpoint_every_ps": 0.04, "replicas": 2}
    return SimulateConfig(**{name: value for name, value in (defaults | more).items() if value is not None})


def stretched():
    start = chain_start()
    return type(start)(start.system, start.positions * 1.2)


@pytest.mark.parametrize(
    "more",
    [{"minimise": True}, {"heat_ps": 0.06, "heat_from": 20.0}, {"heat_ps": 0.06}, {"box": CELL}],
    ids=["minimise", "heat from 20 K", "heat", "box"],
)
def test_resumed_is_uninterrupted(tmp_path, more):
    simulate(stretched(), chain_forces, config(**more), tmp_path / "whole", {}, [])
    simulate(stretched(), chain_forces, config(**more, time_ps=0.04), tmp_path / "parts", {}, [])
    resume(tmp_path / "parts", chain_forces, time_ps=0.08)
    for name in FILES:
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_frame_0_is_the_minimum_and_the_record_tells_how(tmp_path):
    simulate(stretched(), chain_forces, config(minimise=True), tmp_path / "run", {}, [])
    found = minimise(chain_forces, np.repeat(stretched().positions, 2, axis=0))
    frames, _ = read_dcd(tmp_path / "run" / "replica_001.dcd")
    np.testing.assert_array_equal(frames[0], found.positions[1].astype(np.float32))
    record = read_run(tmp_path / "run")["minimisation"]
    assert record["method"] == "FIRE 2.0"
    assert record["steps"] == found.steps.tolist()
    assert record["energy_after"][0] < record["energy_before"][0]
    assert record["force_after"][0] <= 1.0 < record["force_before"][0]


def test_a_minimum_that_breaks_the_molecule_is_refused(tmp_path):
    def collapse(positions):
        energy, force = chain_forces(positions)
        # A hole far away: the last bead is pulled off its bond.
        apart = positions[:, -1] - 50.0
        force[:, -1] -= 200.0 * apart / np.linalg.norm(apart, axis=1)[:, None]
        return energy + 200.0 * np.linalg.norm(apart, axis=1), force

    with pytest.raises(UnstableError, match=r"the minimised start: replica 0: change of bond N-CA") as caught:
        simulate(chain_start(), collapse, config(minimise=True), tmp_path / "run", {}, [])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_a_minimum_where_beads_overlap_is_refused(tmp_path):
    def fold(positions):
        energy, force = chain_forces(positions)
        # The ends of four beads are drawn together: no bond breaks, no guard watches them.
        apart = positions[:, 3] - positions[:, 0]
        distance = np.linalg.norm(apart, axis=1, keepdims=True)
        pull = 200.0 * (distance - 1.0) * apart / distance
        force[:, 0] += pull
        force[:, 3] -= pull
        return energy + 100.0 * (distance[:, 0] - 1.0) ** 2, force

    with pytest.raises(
        UnstableError, match=r"minimum of the model is no molecule .*without a bond"
    ) as caught:
        simulate(chain_start(), fold, config(minimise=True), tmp_path / "run", {}, [])
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_the_bath_rises_in_a_straight_line(tmp_path):
    heated = config(heat_ps=0.06, heat_from=40.0, temperature=[100.0, 400.0])
    np.testing.assert_allclose(heated.bath(0), [40, 40])
    np.testing.assert_allclose(heated.bath(15), [70, 220])  # half of 30 steps of 2 fs
    for step in (30, 31, 10**6):
        np.testing.assert_array_equal(heated.bath(step), [100, 400])
    simulate(chain_start(), chain_forces, heated, tmp_path / "run", {}, [])
    rows = np.genfromtxt(tmp_path / "run" / "log.csv", delimiter=",", names=True)
    second = rows[rows["replica"] == 1]
    # The bath of a row is that of the step before its frame.
    expected = [40.0, *(heated.bath(step - 1)[1] for step in (10, 20, 30, 40))]
    np.testing.assert_allclose(second["bath_temperature_K"], expected)
    assert np.ptp(expected) > 300


def test_from_0_kelvin_nothing_moves_at_first(tmp_path):
    simulate(chain_start(), chain_forces, config(heat_ps=0.06), tmp_path / "run", {}, [])
    rows = np.genfromtxt(tmp_path / "run" / "log.csv", delimiter=",", names=True)
    assert np.all(rows["kinetic_energy_kcal_mol"][:2] == 0)


def test_a_box_is_stated_and_molecules_stay_whole(tmp_path):
    far = chain_start()
    far = type(far)(far.system, far.positions + 100.0)  # several boxes away
    simulate(far, chain_forces_there, config(box=CELL, xtc=True), tmp_path / "run", {}, [])
    assert cell_of_dcd(tmp_path / "run" / "replica_001.dcd") == CELL
    frames, _ = read_dcd(tmp_path / "run" / "replica_001.dcd")
    assert np.abs(frames - far.positions[0]).max() < 5
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for trajectory in ("system.pdb", "replica_000.dcd", "replica_000.xtc"):
            universe = MDAnalysis.Universe(
                str(tmp_path / "run/system.psf"), str(tmp_path / "run" / trajectory)
            )
            np.testing.assert_allclose(universe.dimensions, CELL, rtol=1e-5)
    with pytest.raises(InputError, match="overlaps an image of"):
        simulate(chain_start(), chain_forces, config(box=(6.0,)), tmp_path / "narrow", {}, [])
    assert not (tmp_path / "narrow").exists()


def chain_forces_there(positions):
    return chain_forces(positions - 100.0)


RESTRAINT = """
[[distance]]
beads = ["resid 1 and name N", "resid 2 and name CA"]
length = 7.0
stiffness = 5.0
"""


@pytest.fixture
def small(tmp_path):
    """A structure, a small network and restraints in one folder."""
    torch.manual_seed(1)
    potential = Potential(ModelConfig(channels=4, layers=1, rbf=8))
    save_model(tmp_path / "model.safetensors", potential, "heavy", "0" * 64, {"CH0": 1, "CH1": 2}, {})
    write_pdb(tmp_path / "start.pdb", chain_system(), chain_start().positions[0])
    write_psf(tmp_path / "start.psf", chain_system())
    (tmp_path / "restraints.toml").write_text(RESTRAINT)
    return tmp_path


def begin(small, output, beginning=None, **more):
    beginning = Beginning(small / "start.pdb", **(beginning or {}))
    start_run(beginning, str(small / "model.safetensors"), config(**more), small / output, "network")
    return small / output


def test_restraints_hold_and_are_the_same_when_resumed(small):
    given = {"restraints": small / "restraints.toml"}
    whole = begin(small, "whole", beginning=given, temperature=10.0)
    parts = begin(small, "parts", beginning=given, temperature=10.0, time_ps=0.04)
    (small / "restraints.toml").unlink()  # the folder knows them
    resume_run(parts, 0.08)
    for name in FILES:
        assert (parts / name).read_bytes() == (whole / name).read_bytes(), name
    free = begin(small, "free", temperature=10.0)
    ends = [read_dcd(run / FILES[0])[0][-1][[0, 5]] for run in (whole, free)]
    length = [np.linalg.norm(end[0] - end[1]) for end in ends]
    assert length[0] < length[1] - 0.05


def test_altered_restraints_are_refused(small):
    run = begin(small, "run", beginning={"restraints": small / "restraints.toml"}, temperature=10.0)
    text = (run / "restraints.json").read_text()
    (run / "restraints.json").write_text(text.replace("5.0", "6.0"))
    with pytest.raises(StorageError, match=r"restraints\.json: not the restraints that the run began with"):
        resume_run(run, 0.12)
    (run / "restraints.json").unlink()
    with pytest.raises(StorageError, match=r"restraints\.json: could not be read"):
        resume_run(run, 0.12)


def test_a_box_that_is_too_small_is_refused_before_the_network_sees_its_many_images(small, monkeypatch):
    monkeypatch.setattr("cgprot.simulate.command.choose_forces", None)
    with pytest.raises(InputError, match="overlaps an image"):
        begin(small, "wrong", temperature=10.0, box=(2.0,))


def test_copies_at_a_concentration(small):
    run = begin(
        small,
        "crowd",
        beginning={"copies": 3, "concentration_mM": 100.0},
        temperature=10.0,
        time_ps=0.04,
        minimise=True,
    )
    edge = (3 / (100.0 * 6.02214076e-7)) ** (1 / 3)  # 1 mM is 6.02e-7 chains in 1 Å³
    np.testing.assert_allclose(read_run(run)["config"]["box"], [edge] * 3 + [90.0] * 3, atol=1e-3)
    system = read_psf(run / "system.psf")
    assert system.n_beads == 3 * N_BEADS
    assert sorted(set(system.chain)) == ["A", "B", "C"]
    assert f"{edge:9.3f}"[:8] in (run / "system.pdb").read_text().split("CRYST1")[1].splitlines()[0]
    before = read_dcd(run / FILES[0])[0]
    resume_run(run, 0.06)
    after = read_dcd(run / FILES[0])[0]
    np.testing.assert_array_equal(after[: len(before)], before)
    assert len(after) == len(before) + 1
    for replica, name in zip(read_source(run), FILES[:2], strict=True):  # as an analysis reads it
        np.testing.assert_array_equal(replica.positions, read_dcd(run / name)[0])
        assert not broken_bonds(bond_lengths(replica.positions, system.bonds)).any()
    first, second = (read_dcd(run / name)[0][0] for name in FILES[:2])
    assert np.abs(first - second).max() > 1  # each replica has places of its own


def test_frames_tell_the_number_of_replicas(small):
    source = begin(small, "source", temperature=10.0, replicas=3)
    run = begin(small, "run", beginning={"frames": source}, temperature=10.0, replicas=None)
    assert read_run(run)["config"]["replicas"] == 3
    last = read_dcd(source / "replica_002.dcd")[0][-1]
    np.testing.assert_allclose(read_dcd(run / "replica_002.dcd")[0][0], last, atol=1e-6)
    for other in (1, 2):
        with pytest.raises(UsageError, match=f"3 starting frames for {other} replicas: give one"):
            begin(small, "wrong", beginning={"frames": source}, temperature=10.0, replicas=other)
        assert not (small / "wrong").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("", "give STRUCTURE or --sequence, --model and -o RUN"),
        ("a.pdb --sequence GYD", "give STRUCTURE or --sequence, not both"),
        ("a.pdb --box 30 --concentration-mM 1", "give --box or --concentration-mM, not both"),
        ("a.pdb --copies 3", "--copies needs a box to place them in"),
        ("a.pdb --box 30 --copies 0", "--copies 0: must be 1 or more"),
        ("a.pdb --concentration-mM 0", "--concentration-mM 0: must be above 0"),
        ("a.pdb --box 30 40", "2 numbers: give 1 edge, 3 edges, or 3 edges and 3 angles"),
        ("a.pdb --box -3", "spans no volume"),
        ("a.pdb --minimise-force 0", "--minimise-force 0.0"),
        ("a.pdb --box 0.001", "no bead fits between its own images"),
        ("a.pdb --box 1e300", "an edge of 1e+300 Å"),
        ("a.pdb --anneal 10-300", "'10-300' is no PS:K: give a time and a temperature"),
        ("a.pdb --anneal 10:-3", "--anneal -3.0"),
        ("a.pdb --heat-ps 0.0001", "heat_ps 0.0001 is 0.05 steps of 2 fs"),
        ("a.pdb --exchange-every-ps 200 --temperature 300 310", "it would never happen"),
        ("a.pdb --heat-ps -1", "--heat-ps -1.0"),
        ("a.pdb --heat-ps 5 --scheme verlet", "heat_ps sets baths, and verlet has none"),
        ("a.pdb --heat-from 5", "heat_from without heat_ps heats nothing"),
    ],
)
def test_wrong_options_are_one_line(options, said, tmp_path, capsys):
    try:
        code = main(["simulate", *options.split(), "--model", "heavy-demo", "-o", str(tmp_path / "run")])
    except SystemExit as error:  # of argparse
        code = error.code
    message = capsys.readouterr().err
    assert code == 2
    assert said in message
    assert message.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_the_record_is_json(small):
    run = begin(small, "run", beginning={"copies": 2}, box=(40.0,), temperature=10.0)
    record = json.loads((run / "run.json").read_text())
    assert record["start"] == {"structure": str(small / "start.pdb"), "copies": "2"}
