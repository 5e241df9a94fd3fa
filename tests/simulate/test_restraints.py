import numpy as np
import pytest
from chain import N_BEADS, chain_forces, chain_start, chain_system
from scipy.spatial.transform import Rotation

from cgprot.errors import InputError, StorageError
from cgprot.files.folder import sha256_of
from cgprot.files.psf import write_psf
from cgprot.files.universe import write_pdb
from cgprot.simulate import restraints as module
from cgprot.simulate.restraints import (
    RESTRAINTS_FILE,
    DistanceRestraint,
    Restraints,
    RmsdRestraint,
    read_restraints,
    restrained,
    saved_restraints,
)

BEADS = (0, 1, 3, 4, 5)
RNG = np.random.default_rng(5)
REFERENCE = RNG.normal(scale=2.0, size=(N_BEADS, 3))
POSITIONS = REFERENCE + RNG.normal(scale=0.7, size=(4, N_BEADS, 3))
TURN = Rotation.from_euler("xyz", [0.3, -2.0, 1.1])


def rmsd_restraint(rmsd=0.4, stiffness=30.0):
    return RmsdRestraint(
        beads=BEADS, reference=REFERENCE[list(BEADS)].tolist(), rmsd=rmsd, stiffness=stiffness
    )


def nothing(positions):
    return np.zeros(len(positions)), np.zeros_like(positions)


RESTRAINTS = {
    "distance": Restraints(distance=(DistanceRestraint(beads=(1, 4), length=3.0, stiffness=7.0),)),
    "rmsd": Restraints(rmsd=(rmsd_restraint(),)),
    "rmsd 0": Restraints(rmsd=(rmsd_restraint(0.0),)),
    "all": Restraints(
        distance=(
            DistanceRestraint(beads=(1, 4), length=3.0, stiffness=7.0),
            DistanceRestraint(beads=(4, 0), length=0.0, stiffness=2.0),
        ),
        rmsd=(rmsd_restraint(), rmsd_restraint(1.0, 3.0)),
    ),
}


def slope_error(restraints):
    """The largest difference between the forces and a central difference of the energy."""
    forces, h = restrained(nothing, restraints), 1e-5
    numeric = np.zeros_like(POSITIONS)
    for bead, axis in np.ndindex(N_BEADS, 3):
        shift = np.zeros_like(POSITIONS)
        shift[:, bead, axis] = h
        numeric[:, bead, axis] = -(forces(POSITIONS + shift)[0] - forces(POSITIONS - shift)[0]) / (2 * h)
    return np.abs(forces(POSITIONS)[1] - numeric).max()


@pytest.mark.parametrize("name", RESTRAINTS)
def test_forces_are_the_slope_of_the_energy(name):
    assert slope_error(RESTRAINTS[name]) < 1e-7


@pytest.mark.parametrize("name", RESTRAINTS)
def test_no_net_force_and_no_torque(name):
    energy, force = restrained(nothing, RESTRAINTS[name])(POSITIONS)
    assert np.abs(force).max() > 1
    assert np.all(energy > 0)
    assert np.abs(force.sum(axis=1)).max() < 1e-12
    assert np.abs(np.cross(POSITIONS, force).sum(axis=1)).max() < 1e-11


def test_planted_mistake_without_superposition(monkeypatch):
    def unturned(positions, reference):
        return positions - positions.mean(axis=1, keepdims=True) - reference

    monkeypatch.setattr(module, "deviations", unturned)
    force = restrained(nothing, RESTRAINTS["rmsd"])(POSITIONS)[1]
    assert np.abs(np.cross(POSITIONS, force).sum(axis=1)).max() > 1e-2


def test_planted_mistake_mean_over_all_beads(monkeypatch):
    wrong = lambda self, positions: tuple(  # noqa: E731
        part * scale for part, scale in zip(right(self, positions), (1.0, len(BEADS) / N_BEADS), strict=True)
    )
    right = RmsdRestraint.energy_and_forces
    monkeypatch.setattr(RmsdRestraint, "energy_and_forces", wrong)
    assert slope_error(RESTRAINTS["rmsd"]) > 1e-2


def test_rmsd_is_that_of_the_best_rotation():
    energy, _ = rmsd_restraint(0.0, 2.0).energy_and_forces(TURN.apply(POSITIONS[0])[None] + 40.0)
    chosen, reference = POSITIONS[0, list(BEADS)], REFERENCE[list(BEADS)]
    _, distance = Rotation.align_vectors(chosen - chosen.mean(axis=0), reference - reference.mean(axis=0))
    np.testing.assert_allclose(energy, distance**2 / len(BEADS), rtol=1e-12)


def test_a_mirror_image_is_not_the_reference():
    energy, _ = rmsd_restraint(0.0).energy_and_forces(-REFERENCE[None])
    assert energy[0] > 1.0


@pytest.mark.parametrize("rmsd", [0.0, 0.4])
def test_at_the_reference_nothing_pulls(rmsd):
    moved = TURN.apply(REFERENCE)[None] + 3.0
    energy, force = rmsd_restraint(rmsd, 10.0).energy_and_forces(moved)
    np.testing.assert_allclose(energy, 5.0 * rmsd**2, atol=1e-12)
    assert np.abs(force).max() < (1e-12 if rmsd == 0 else 10.0)
    assert np.isfinite(force).all()


def test_model_and_restraints_add_up_and_replicas_are_alone():
    both = restrained(chain_forces, RESTRAINTS["all"])
    energy, force = both(POSITIONS)
    plain, more = chain_forces(POSITIONS), restrained(nothing, RESTRAINTS["all"])(POSITIONS)
    np.testing.assert_allclose(energy, plain[0] + more[0], rtol=1e-14)
    np.testing.assert_allclose(force, plain[1] + more[1], rtol=1e-12, atol=1e-12)
    for replica in range(len(POSITIONS)):
        alone = both(POSITIONS[replica : replica + 1])
        assert alone[0][0] == energy[replica]
        np.testing.assert_array_equal(alone[1][0], force[replica])


WRITTEN = """
[[distance]]
beads = ["resid 1 and name N", "resid 2 and name CA"]
length = 6.5
stiffness = 5.0

[[rmsd]]
beads = "name N CA"
reference = "native.pdb"
stiffness = 50.0
"""


@pytest.fixture
def written(tmp_path):
    """A file of restraints with its reference beside it."""
    write_pdb(tmp_path / "native.pdb", chain_system(), REFERENCE)
    write_psf(tmp_path / "native.psf", chain_system())
    (tmp_path / "restraints.toml").write_text(WRITTEN)
    return tmp_path / "restraints.toml"


def test_a_file_becomes_restraints(written):
    found = read_restraints(written, chain_start())
    assert found.distance == (DistanceRestraint(beads=(0, 5), length=6.5, stiffness=5.0),)
    assert found.rmsd[0].beads == (0, 1, 4, 5)
    assert found.rmsd[0].rmsd == 0.0
    np.testing.assert_allclose(found.rmsd[0].reference, REFERENCE[[0, 1, 4, 5]], atol=6e-4)
    written.write_text(WRITTEN.replace('reference = "native.pdb"', ""))
    own = read_restraints(written, chain_start()).rmsd[0].reference
    np.testing.assert_array_equal(own, chain_start().positions[0, [0, 1, 4, 5]])


def test_saved_restraints_are_the_same_to_the_last_bit(written):
    folder = written.parent
    found = read_restraints(written, chain_start())
    path = folder / RESTRAINTS_FILE
    path.write_text(found.text())
    sha256 = sha256_of(path)
    again = saved_restraints(folder, sha256)
    np.testing.assert_array_equal(
        restrained(chain_forces, again)(POSITIONS)[1], restrained(chain_forces, found)(POSITIONS)[1]
    )
    path.write_text(path.read_text().replace("6.5", "6.6"))
    with pytest.raises(StorageError, match="not the restraints that the run began with"):
        saved_restraints(folder, sha256)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("name N CA", "name XY", r"rmsd 1: 'name XY' selects 0 beads: choose 3 or more"),
        ("resid 1 and name N", "name N", r"distance 1: 'name N' selects 2 beads: choose exactly one"),
        ("resid 1 and name N", "resid 2 and name CA", "distance 1: both ends are the same bead"),
        ("resid 1 and name N", "flavour 3", "distance 1: 'flavour 3' is no selection"),
        ("length = 6.5", "", "distance 1 length: field required"),
        ("length = 6.5", "length = -1", "distance 1 length: input should be greater"),
        ("length", "lenght", "distance 1 l.*: mend that key"),
        ("[[distance]]", "[distance", "not TOML"),
        (WRITTEN, "", "restrains nothing"),
    ],
)
def test_a_wrong_entry_is_one_line(written, old, new, said):
    written.write_text(WRITTEN.replace(old, new))
    with pytest.raises(InputError, match=said) as caught:
        read_restraints(written, chain_start())
    assert "\n" not in str(caught.value)


def test_missing_files_and_beads_are_named(written):
    with pytest.raises(StorageError, match="could not be read"):
        read_restraints(written.parent / "other.toml", chain_start())
    text = (written.parent / "native.psf").read_text()
    (written.parent / "native.psf").write_text(text.replace("ALA ", "VAL "))
    with pytest.raises(InputError, match=r"native\.pdb lacks A 2 ALA N: give"):
        read_restraints(written, chain_start())
