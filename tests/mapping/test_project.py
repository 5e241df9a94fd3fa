"""Laws of the projection for every shipped mapping, each with a planted mistake that it catches."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation
from scipy.special import erf

from cgprot.beads import Topology
from cgprot.errors import InputError
from cgprot.mapping.build import build_system
from cgprot.mapping.project import LinearMap, Projection
from cgprot.mapping.rules import load_rules

MAPPINGS = ["heavy", "heavy_residue", "backbone_cb", "ca_cb", "ca", "backbone_sidechain"]


class Mapped:
    """Chignolin under one mapping."""

    def __init__(self, atoms, name: str, topology: Topology | None = None) -> None:
        self.topology = topology or atoms.topology
        self.rules = load_rules(name)
        self.system = build_system(self.topology, self.rules)
        self.projection = Projection(self.topology, self.system, self.rules)
        self.frames = list(atoms)


@pytest.fixture(scope="module", params=MAPPINGS)
def mapped(request, chignolin_atoms):
    return Mapped(chignolin_atoms, request.param)


def matrix(project, n_atoms: int) -> np.ndarray:
    """The linear map behind a projection, (n_beads, n_atoms), found by feeding unit vectors."""
    unit = np.repeat(np.eye(n_atoms)[:, :, None], 3, axis=2)
    return project(unit)[:, :, 0].T


def is_consistent(position_map: np.ndarray, force_map: np.ndarray) -> bool:
    """Position map times force map transposed is the identity (doi:10.1063/1.2938860)."""
    return bool(np.allclose(position_map @ force_map.T, np.eye(len(position_map)), rtol=0, atol=1e-12))


def test_maps_are_consistent(mapped):
    projection = mapped.projection
    position_map = matrix(projection.positions, projection.n_atoms)
    force_map = matrix(projection.forces, projection.n_atoms)
    assert is_consistent(position_map, force_map)
    average = force_map / force_map.sum(axis=1, keepdims=True)
    assert not is_consistent(position_map, average)
    np.testing.assert_array_equal(position_map, projection.position_map.dense(projection.n_atoms))


@pytest.mark.parametrize("name", MAPPINGS)
def test_slices_are_consistent_too(chignolin_atoms, name):
    rules = load_rules(name).model_copy(update={"force": "slice"})
    topology = chignolin_atoms.topology
    projection = Projection(topology, build_system(topology, rules), rules)
    force_map = matrix(projection.forces, projection.n_atoms)
    assert is_consistent(matrix(projection.positions, projection.n_atoms), force_map)
    assert force_map.sum() < len(topology.element) or name == "backbone_sidechain"


def test_net_force_is_conserved(mapped):
    for frame in mapped.frames:
        beads = mapped.projection.forces(frame.forces)
        np.testing.assert_allclose(beads.sum(axis=0), frame.forces.sum(axis=0), atol=1e-9)
        heavy_alone = frame.forces[mapped.topology.element != "H"]
        assert np.abs(heavy_alone.sum(axis=0) - frame.forces.sum(axis=0)).max() > 1


def test_every_atom_counts_once(mapped):
    counts = matrix(mapped.projection.forces, mapped.projection.n_atoms).sum(axis=0)
    assert np.array_equal(counts, np.ones(mapped.projection.n_atoms))


def test_mass_and_charge_are_conserved(mapped, chignolin):
    assert mapped.system.mass.sum() == pytest.approx(mapped.topology.mass.sum(), rel=1e-12)
    assert mapped.system.charge.sum() == pytest.approx(chignolin.system.charge.sum())


motion = {
    "angles": st.tuples(*[st.floats(-3.0, 3.0)] * 3),
    "shift": st.tuples(*[st.floats(-50.0, 50.0)] * 3),
}


@settings(max_examples=10, deadline=None)
@given(**motion)
def test_rigid_motion_commutes_with_mapping(mapped, angles, shift):
    rotation = Rotation.from_euler("xyz", angles).as_matrix()
    frame = mapped.frames[0]
    project = mapped.projection
    moved = project.positions(frame.positions @ rotation.T + shift)
    np.testing.assert_allclose(moved, project.positions(frame.positions) @ rotation.T + shift, atol=1e-10)
    turned = project.forces(frame.forces @ rotation.T)
    np.testing.assert_allclose(turned, project.forces(frame.forces) @ rotation.T, atol=1e-9)


def test_weights_that_do_not_sum_to_one_break_rigid_motion(chignolin_atoms):
    """What `test_rigid_motion_commutes_with_mapping` catches."""
    position_map = Mapped(chignolin_atoms, "backbone_sidechain").projection.position_map
    wrong = LinearMap(position_map.start, position_map.atom, 1.001 * position_map.weight)
    positions = next(iter(chignolin_atoms)).positions
    assert np.abs(wrong(positions + 50.0) - wrong(positions) - 50.0).max() > 0.01
    assert np.abs(position_map(positions + 50.0) - position_map(positions) - 50.0).max() < 1e-10


def shuffled(topology: Topology, order: np.ndarray) -> Topology:
    place = np.argsort(order)
    return Topology(*[field[order] for field in topology[:-1]], place[topology.bonds])


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_order_of_atoms_changes_nothing(mapped, chignolin_atoms, seed):
    """The same beads, wherever they stand."""
    order = np.random.default_rng(seed).permutation(len(mapped.topology.element))
    other = Mapped(chignolin_atoms, mapped.rules.name, shuffled(mapped.topology, order))
    frame = mapped.frames[0]

    def described(case: Mapped, positions, forces):
        system = case.system
        keys = np.lexsort((system.type_name, system.bead_name, system.residue_id))
        bonds = np.sort(np.argsort(keys)[system.bonds], axis=1)
        return (
            system.type_name[keys].tolist(), set(map(tuple, bonds.tolist())), system.mass[keys],
            case.projection.positions(positions)[keys], case.projection.forces(forces)[keys],
        )  # fmt: skip

    ours = described(mapped, frame.positions, frame.forces)
    theirs = described(other, frame.positions[order], frame.forces[order])
    assert ours[:2] == theirs[:2]
    for one, two in zip(ours[2:], theirs[2:], strict=True):
        np.testing.assert_allclose(one, two, atol=1e-10)


def test_batches_and_float32_give_the_same(mapped):
    forces = np.array([frame.forces for frame in mapped.frames])
    batch = mapped.projection.forces(forces)
    np.testing.assert_array_equal(batch[1], mapped.projection.forces(forces[1]))
    out = np.empty((len(forces), mapped.system.n_beads, 3), dtype=np.float32)
    assert mapped.projection.forces(forces.astype(np.float32), out) is out
    np.testing.assert_allclose(out, batch, atol=1e-3)
    with pytest.raises(ValueError, match="contiguous"):
        mapped.projection.forces(forces, np.empty(out.shape[::-1]).T)


def test_beads_of_several_atoms_sit_in_their_centre_of_mass(chignolin_atoms):
    mapped = Mapped(chignolin_atoms, "backbone_sidechain")
    universe = chignolin_atoms._universe
    side_chain = universe.select_atoms("resid 9 and not name N H CA HA C O")
    bead = int(np.flatnonzero(mapped.system.type_name == "SC.TRP")[0])
    positions = mapped.projection.positions(universe.atoms.positions.astype(float))
    np.testing.assert_allclose(positions[bead], side_chain.center_of_mass(), atol=1e-4)
    assert np.abs(positions[bead] - side_chain.center_of_geometry()).max() > 1e-3


def test_rigid_rotor_in_a_harmonic_field():
    """A rigid C-H of length l, H bound to the plane z = 0 by k z²/2, C held at height Z.

    H is distributed as exp(-k (Z + l cosθ)² / 2kT) over the sphere, so the free energy is
    A(Z) = -kT ln[erf((Z + l) / s) - erf((Z - l) / s)] + const with s² = 2kT / k, and the mean force
    on the bead is -dA/dZ. Programs report forces without the constraint's: all of it acts on H.
    """
    stiffness, length, height, kt = 3.0, 1.09, 0.4, 0.6
    s = np.sqrt(2 * kt / stiffness)
    a, b = (height + length) / s, (height - length) / s
    exact = kt * 2 / np.sqrt(np.pi) / s * (np.exp(-a * a) - np.exp(-b * b)) / (erf(a) - erf(b))
    cos_theta = np.linspace(-1, 1, 20001)
    weight = np.exp(-stiffness * (height + length * cos_theta) ** 2 / (2 * kt))
    weight[[0, -1]] /= 2  # trapezoids
    forces = np.zeros((len(cos_theta), 2, 3))
    forces[:, 1, 2] = -stiffness * (height + length * cos_theta)
    rotor = Topology(
        np.array(["C", "H"]), np.array(["CA", "HA"]), np.array([12.0, 1.0]), np.array(["ALA"] * 2),
        np.array([1, 1]), np.array(["A"] * 2), np.array([[0, 1]]),
    )  # fmt: skip
    rules = load_rules("heavy")
    system = build_system(rotor, rules)
    mean = {}
    for kind in ("sum", "slice"):
        kind_rules = rules.model_copy(update={"force": kind})
        projection = Projection(rotor, build_system(rotor, kind_rules), kind_rules)
        mean[kind] = (projection.forces(forces)[:, 0, 2] * weight).sum() / weight.sum()
    assert system.n_beads == 1
    assert mean["sum"] == pytest.approx(exact, rel=1e-6)
    assert abs(exact) > 0.1
    assert mean["slice"] == 0.0  # what a slice of constrained bonds misses: everything


def test_wrong_shape_and_nan_are_refused(chignolin_atoms):
    projection = Mapped(chignolin_atoms, "heavy").projection
    with pytest.raises(InputError, match="do not fit 166 atoms"):
        projection.positions(np.zeros((165, 3)))
    bad = np.zeros((2, 166, 3))
    bad[1, 7, 2] = np.nan
    with pytest.raises(InputError, match="not finite"):
        projection.forces(bad)
    bad[1, 7, 2] = 1e300
    assert projection.forces(bad).max() == 1e300


def test_other_rules_than_the_systems_are_refused(chignolin_atoms):
    mapped = Mapped(chignolin_atoms, "ca")
    with pytest.raises(InputError, match="give the rules"):
        Projection(mapped.topology, mapped.system, load_rules("heavy"))
    with pytest.raises(InputError, match="not one bead per heavy atom"):
        Projection(mapped.topology, mapped.system)
