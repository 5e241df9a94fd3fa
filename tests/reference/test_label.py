"""Mean forces: statistics against exact answers, heavy atoms held, labels reproducible."""

import mdtraj
import numpy as np
import openmm
import pytest

from cgprot.beads import BeadFrames
from cgprot.errors import InputError, UnstableError, UsageError
from cgprot.files.dataset import read_dataset
from cgprot.files.dcd import DcdFile
from cgprot.files.folder import write_run
from cgprot.files.psf import write_psf
from cgprot.files.universe import AtomSource
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference import label_files
from cgprot.reference.hydrogens import place_hydrogens
from cgprot.reference.label import LabelConfig, label, mean_of_runs
from cgprot.reference.label_files import label_sources
from cgprot.reference.streams import map_trajectories_to
from cgprot.reference.structure import load_structure, topology_of


@pytest.fixture(scope="module")
def dipeptide(examples):
    return load_structure(examples / "alanine_dipeptide.pdb")


@pytest.fixture(scope="module")
def system(dipeptide):
    return build_system(topology_of(dipeptide.topology), load_rules("heavy"))


@pytest.fixture(scope="module")
def frames(examples):
    return np.array(
        [
            frame.positions
            for frame in AtomSource(examples / "alanine_dipeptide.pdb", [examples / "alanine_dipeptide.trr"])
        ]
    )


def run(dipeptide, system, frames, **config):
    return label(dipeptide, system, frames, np.arange(len(frames)), 300.0, LabelConfig(**config))


def test_mean_of_runs_is_that_of_all_samples_and_its_error_the_scatter_of_the_runs():
    """What all samples of a run share counts once a run, however many there are."""
    rng = np.random.default_rng(1)
    lengths = (5, 5, 4, 4)
    runs = [rng.normal(2.0, 3.0, 20_000) + rng.normal(0.0, 0.1, size=(n, 20_000)) for n in lengths]
    mean, error = mean_of_runs(runs)
    np.testing.assert_allclose(mean, np.concatenate(runs).mean(axis=0))
    assert mean.mean() == pytest.approx(2.0, abs=0.05)
    assert np.sqrt((error**2).mean()) == pytest.approx(np.sqrt(((mean - 2.0) ** 2).mean()), rel=0.02)


def test_heavy_atoms_are_held_and_noise_is_small(dipeptide, system, frames):
    labelled = run(dipeptide, system, frames[:4])
    heavy = topology_of(dipeptide.topology).element != "H"
    np.testing.assert_array_equal(labelled.positions, frames[:4, heavy])
    signal = np.sqrt((labelled.forces**2).mean())
    noise = np.sqrt((labelled.force_noise**2).mean())
    assert noise < 0.1 * signal


def test_reported_noise_is_the_scatter_of_repeated_labels(dipeptide, system, frames):
    """Within 7 %: blocks of one run, in which hydrogens swing to and fro, claimed 1.3 times the scatter."""
    labels = [run(dipeptide, system, frames[:8], seed=seed) for seed in range(30)]
    scatter = np.var([labelled.forces for labelled in labels], axis=0, ddof=1).mean()
    reported = np.mean([labelled.force_noise**2 for labelled in labels])
    assert np.sqrt(reported / scatter) == pytest.approx(1.0, abs=0.07)


def test_labels_depend_on_the_seed_alone(dipeptide, system, frames):
    serial = run(dipeptide, system, frames[:3], seed=5, samples=10)
    alone = run(dipeptide, system, frames[:1], seed=5, samples=10)
    np.testing.assert_allclose(serial.forces[:1], alone.forces, atol=1e-3)


def test_starting_velocities_are_those_of_the_seed(dipeptide, system, frames, monkeypatch):
    seen = []
    real = openmm.Context.setVelocitiesToTemperature

    def watched(context, temperature, seed):
        seen.extend([seed, context.getIntegrator().getRandomNumberSeed()])
        real(context, temperature, seed)

    monkeypatch.setattr(openmm.Context, "setVelocitiesToTemperature", watched)
    for seed in (0, 1, 0):
        run(dipeptide, system, frames[:2], seed=seed, samples=10)
    assert seen[:16] == seen[32:]  # four runs of two frames
    assert len(set(seen) - {0}) == 2 * 2 * (4 + 1)  # and a stream of the integrator for each frame


def test_displaced_frames_are_labelled_where_they_are(dipeptide, system, frames):
    labelled = run(dipeptide, system, frames[:2], displace=0.05, samples=10)
    heavy = topology_of(dipeptide.topology).element != "H"
    shift = labelled.positions - frames[:2, heavy]
    assert shift.std() == pytest.approx(0.05, rel=0.3)


def test_stretched_frames_are_scaled_about_their_centres(dipeptide, system, frames):
    heavy = topology_of(dipeptide.topology).element != "H"
    labelled = run(dipeptide, system, frames[:8], stretch=0.2, samples=10)
    sampled = frames[:8, heavy] - frames[:8, heavy].mean(axis=1, keepdims=True)
    scaled = labelled.positions - labelled.positions.mean(axis=1, keepdims=True)
    factors = (scaled * sampled).sum(axis=(1, 2)) / (sampled**2).sum(axis=(1, 2))
    np.testing.assert_allclose(scaled, factors[:, None, None] * sampled, atol=1e-4)
    assert 0.1 < np.abs(factors - 1).max() <= 0.2
    assert factors.min() < 1 < factors.max()


def test_placed_hydrogens_lie_where_they_were(dipeptide, system, frames):
    topology = topology_of(dipeptide.topology)
    heavy = topology.element != "H"
    placed = place_hydrogens(topology, system, dipeptide.positions, dipeptide.positions[heavy])
    np.testing.assert_allclose(placed, dipeptide.positions, atol=1e-6)
    moved = place_hydrogens(topology, system, dipeptide.positions, frames[0][heavy])
    lengths = np.linalg.norm(moved[topology.bonds[:, 0]] - moved[topology.bonds[:, 1]], axis=1)
    assert lengths[~heavy[topology.bonds].all(axis=1)].max() < 1.2
    np.testing.assert_array_equal(moved[heavy], frames[0][heavy])


def test_a_dataset_can_be_labelled(examples, tmp_path):
    pdb, trr = examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.trr"
    map_trajectories_to(tmp_path / "ala.h5", pdb, [trr], load_rules("heavy"), "ala", 300.0)
    labelled = label_sources([tmp_path / "ala.h5"], pdb, "ala", None, 5, LabelConfig(samples=10))
    assert list(labelled) == ["ala/300/0"]
    assert len(labelled["ala/300/0"]) == 2
    with pytest.raises(InputError, match="not those of"):
        label_sources(
            [tmp_path / "ala.h5"], examples / "chignolin.pdb", "ala", None, 5, LabelConfig(samples=10)
        )


def test_mapped_forces_scatter_around_the_mean_force(examples, tmp_path, dipeptide, system, frames):
    """Instantaneous forces are the mean force plus noise that the label's average takes away."""
    pdb, trr = examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.trr"
    map_trajectories_to(tmp_path / "ala.h5", pdb, [trr], load_rules("heavy"), "ala", 300.0)
    instantaneous = read_dataset(tmp_path / "ala.h5")["ala/300/0"].forces
    mean = run(dipeptide, system, frames).forces
    difference = np.sqrt(((instantaneous - mean) ** 2).mean())
    assert 1 < difference < 10
    assert np.corrcoef(instantaneous.ravel(), mean.ravel())[0, 1] > 0.9


def test_labels_agree_with_a_much_longer_average(dipeptide, system, frames):
    """Within the reported errors, and with the right size of them: nothing slow is in this molecule."""
    long = run(dipeptide, system, frames[:1], samples=2000, seed=3)
    z = []
    for seed in range(10, 16):
        short = run(dipeptide, system, frames[:1], seed=seed)
        z.append([short.forces - long.forces, np.hypot(short.force_noise, long.force_noise)])
    error, reported = np.sqrt(np.mean(np.square(z), axis=(0, 2, 3, 4)))
    assert 0.8 < error / reported < 1.25


def test_frames_of_another_order_of_atoms_are_refused(dipeptide, system, frames):
    with pytest.raises(InputError, match=r"frame 0 \(0 ps\): bond ACE 1 .* in the structure"):
        run(dipeptide, system, frames[:1, ::-1])
    with pytest.raises(InputError, match=r"frame 1 \(1 ps\)"):
        run(dipeptide, system, np.stack([frames[0], np.nan * frames[1]]))


def test_frames_that_cannot_be_labelled_are_left_out_one_by_one(dipeptide, system, frames):
    """The others keep the labels that they have without them."""
    topology = topology_of(dipeptide.topology)
    beads = frames[:4, topology.element != "H"].copy()
    good = label(dipeptide, system, beads, np.arange(4), 300.0, LabelConfig(samples=10))
    beads[0, 3] += 4.0  # its bonds
    beads[2] = np.nan
    far = np.linalg.norm(beads[1] - beads[1, 0], axis=1).argmax()
    bonded = np.unique(system.bonds[(system.bonds == far).any(axis=1)])
    beads[1, bonded] += beads[1, 0] - beads[1, far] + 0.05  # one end of the molecule in the other
    left_out = {}
    labelled = label(dipeptide, system, beads, np.arange(4), 300.0, LabelConfig(samples=10), left_out)
    assert sorted(left_out) == [0, 1, 2]
    assert "frame 0 (0 ps): bond" in left_out[0]
    assert labelled.time.tolist() == [3]
    np.testing.assert_allclose(labelled.forces[0], good.forces[3], atol=1e-3)
    none = label(dipeptide, system, beads[:1], np.arange(1), 300.0, LabelConfig(samples=10), {})
    assert none.forces.shape == none.force_noise.shape == (0, system.n_beads, 3)


def test_forces_beyond_the_limit_leave_a_frame_out(dipeptide, system, frames, monkeypatch):
    monkeypatch.setattr("cgprot.reference.label._LARGEST_FORCE", 1.0)
    left_out = {}
    labelled = label(dipeptide, system, frames[:1], np.zeros(1), 300.0, LabelConfig(samples=10), left_out)
    assert len(labelled) == 0
    assert "frame 0: mean force" in left_out[0]


def test_displacements_beyond_bonds_are_refused(dipeptide, system, frames):
    with pytest.raises(ValueError, match=r"less than or equal to 0\.5"):
        LabelConfig(displace=5.0)
    with pytest.raises(InputError, match="move it less"):
        run(dipeptide, system, frames, displace=0.5)


def test_a_displacement_that_tears_a_bond_is_drawn_anew(dipeptide, system, frames, monkeypatch):
    many = np.tile(frames[:4], (4, 1, 1))
    labelled = run(dipeptide, system, many, displace=0.25, samples=10)
    heavy = topology_of(dipeptide.topology).element != "H"
    shift = labelled.positions - many[:, heavy]
    assert np.all(shift != 0)
    assert shift.std() == pytest.approx(0.25, rel=0.1)
    # With one draw some of them are torn.
    monkeypatch.setattr("cgprot.reference.moves._DRAWS", 1)
    with pytest.raises(InputError, match="move it less"):
        run(dipeptide, system, many, displace=0.25, samples=10)


def test_overlapping_atoms_are_refused(dipeptide, system, frames):
    """No bond is wrong, but the two halves of the molecule lie in each other."""
    frame = dipeptide.positions.copy()
    names = topology_of(dipeptide.topology)
    methyl = (names.residue_name == "NME") & np.isin(names.name, ["C", "H1", "H2", "H3"])
    # Towards the oxygen of ACE, by a rotation about the bond's own atom N: lengths stay.
    nitrogen = frame[(names.residue_name == "NME") & (names.name == "N")][0]
    carbon = frame[(names.residue_name == "NME") & (names.name == "C")][0]
    target = frame[(names.residue_name == "ALA") & (names.name == "C")][0]
    direction = (target - nitrogen) / np.linalg.norm(target - nitrogen)
    frame[methyl] += nitrogen + np.linalg.norm(carbon - nitrogen) * direction - carbon
    with pytest.raises((InputError, UnstableError), match="frame 0: "):
        run(dipeptide, system, frame[None])


@pytest.mark.parametrize(
    ("every", "temperature", "config", "words"),
    [
        (0, None, {}, "--every 0"),
        (1, float("nan"), {}, "--temperature nan"),
        (1, float("inf"), {}, "--temperature inf"),
        (1, None, {"platform": "CUDA"}, "--platform CUDA: not on this computer: choose from .*CPU"),
    ],
)
def test_wrong_options_are_refused(examples, every, temperature, config, words):
    pdb, trr = examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.trr"
    if config and "CUDA" in all_platforms():
        pytest.skip("CUDA is there")
    with pytest.raises(UsageError, match=words):
        label_sources([trr], pdb, "ala", temperature, every, LabelConfig(**config))


def test_frames_of_an_annealed_run_need_a_temperature(tmp_path, call, examples, system, frames):
    """Their hydrogens were drawn at the temperature that the run began with."""
    folder, pdb = tmp_path / "run", examples / "alanine_dipeptide.pdb"
    folder.mkdir()
    write_psf(folder / "system.psf", system)
    trajectory = DcdFile.create(folder / "replica_000.dcd", system.n_beads, 100, 0.002)
    trajectory.append(frames[0, topology_of(load_structure(pdb).topology).element != "H"])
    trajectory.sync()
    write_run(folder, "simulate", {"temperature": 300.0, "anneal": [[50.0, 780.0]]}, [])
    arguments = ("label", folder, "--structure", pdb, "--samples", 10, "-o", tmp_path / "labels.h5")
    code, _, told = call(*arguments)
    assert code == 3
    assert told.endswith("run: no one temperature of its frames is recorded: say --temperature\n")
    assert not (tmp_path / "labels.h5").exists()
    assert call(*arguments, "--temperature", 780)[0] == 0
    assert list(read_dataset(tmp_path / "labels.h5")) == ["labels/780/0"]


def all_platforms() -> list[str]:
    return [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]


@pytest.mark.parametrize("twist", [0, 180])
def test_frames_without_a_label_are_left_out_and_told(examples, monkeypatch, capsys, twist):
    """Labels are dear: all others of a file are not thrown away for one frame."""
    where = [[examples / "alanine_dipeptide.trr"], examples / "alanine_dipeptide.pdb", "ala", 300.0, 1]
    config = LabelConfig(twist=twist, samples=10)
    everything = label_sources(*where, config)["ala/300/0"]
    assert "left out" not in capsys.readouterr().err
    largest = np.sort(np.linalg.norm(everything.forces, axis=2).max(axis=1))
    monkeypatch.setattr("cgprot.reference.label._LARGEST_FORCE", largest[-2:].mean())
    rest = label_sources(*where, config)["ala/300/0"]
    assert len(rest) == len(everything) - 1
    told = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(told) == 1
    assert told[0].startswith("ala/300/0: left out: frame ")
    assert " ps): mean force" in told[0]
    assert f"mean force {largest[-1]:.0f} kcal/mol/Å on " in told[0]
    monkeypatch.setattr("cgprot.reference.label._LARGEST_FORCE", 1.0)
    with pytest.raises(InputError, match="ala/300/0: frame 0: mean force"):
        label_sources(*where, config)


def test_a_trajectory_without_a_label_costs_the_others_nothing(examples, monkeypatch, capsys):
    trr, pdb = examples / "alanine_dipeptide.trr", examples / "alanine_dipeptide.pdb"
    config, seen = LabelConfig(samples=10), []

    def second_fails(structure, system, positions, time, temperature, config, left_out):
        seen.append(len(positions))
        if len(seen) == 2:
            left_out.update({k: f"OpenMM stopped (no {k}): use another" for k in range(len(positions))})
        kept = slice(0, 0) if left_out else slice(None)
        beads = np.zeros((len(positions), system.n_beads, 3))[kept]
        return BeadFrames(system, beads, time=time[kept])

    monkeypatch.setattr("cgprot.reference.label_files.label", second_fails)
    found = label_sources([trr, trr, trr], pdb, "ala", 300.0, 5, config)
    assert list(found) == ["ala/300/0", "ala/300/2"]
    assert "ala/300/1: left out: frame 5 (" in capsys.readouterr().err.splitlines()[-1]
    seen[:] = [1]
    with pytest.raises(InputError, match=r"ala/300/0: OpenMM stopped \(no 0\)"):
        label_sources([trr], pdb, "ala", 300.0, 5, config)
    assert capsys.readouterr().err.splitlines()[-1].endswith("OpenMM stopped (no 1)")


def test_frames_that_are_wrong_before_a_twist_are_refused(dipeptide, system, frames):
    wrong = frames[:2].copy()
    wrong[1] = wrong[1, ::-1]
    with pytest.raises(InputError, match=r"frame 1 .*give the structure that has the frames' order"):
        label(dipeptide, system, wrong, np.arange(2), 300.0, LabelConfig(twist=30, samples=10), {})


def test_mdtraj_files_are_trajectories_though_they_are_hdf5(tmp_path, examples, monkeypatch):
    pytest.importorskip("tables")  # mdtraj writes with it
    pdb = examples / "chignolin.pdb"
    mdtraj.load(examples / "chignolin.trr", top=pdb).save_hdf5(tmp_path / "cln.h5")
    monkeypatch.setattr(label_files, "label", lambda structure, system, positions, *_: positions)
    found = label_sources([tmp_path / "cln.h5"], pdb, "cln", 300.0, 1, LabelConfig())
    assert found["cln/300/0"].shape == (4, 166, 3)
