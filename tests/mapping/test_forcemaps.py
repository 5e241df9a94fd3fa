"""The optimal force map is consistent, moves as rigid bonds do, and finds the optimum that is known."""

import numpy as np
import pytest
from scipy.special import erf, ndtri

from cgprot.beads import Topology
from cgprot.errors import InputError
from cgprot.mapping import forcemaps
from cgprot.mapping.build import build_system
from cgprot.mapping.forcemaps import OptimalMap, optimal_force_map, rigid_bonds
from cgprot.mapping.project import LinearMap, Projection
from cgprot.mapping.rules import load_rules

BEAD_OF_TWO = LinearMap(np.array([0, 1]), np.array([0]), np.ones(1))  # sits on the first atom of two
SUM_OF_TWO = LinearMap(np.array([0, 2]), np.array([0, 1]), np.ones(2))
BOND_OF_TWO = np.array([[0, 1]])
KT = 0.6  # kcal/mol


def shaken(topology: Topology, positions: np.ndarray, n_frames: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Frames whose hydrogens move with their heavy atoms, and forces that have no mean."""
    rng = np.random.default_rng(1)
    parent = np.arange(len(topology.element))
    for one, two in topology.bonds:
        hydrogen, heavy = (one, two) if topology.element[one] == "H" else (two, one)
        if topology.element[hydrogen] == "H":
            parent[hydrogen] = heavy
    moves, forces = rng.normal(size=(2, n_frames, len(parent), 3))
    return positions + 0.1 * moves[:, parent], 10.0 * forces * rng.uniform(0.5, 2.0, (len(parent), 1))


@pytest.fixture(scope="module", params=["heavy", "ca", "ca_cb", "backbone_sidechain"])
def found(request, chignolin_atoms):
    """Topology, projection, rigid bonds and the optimal map of chignolin with rigid X-H bonds."""
    topology, rules = chignolin_atoms.topology, load_rules(request.param)
    projection = Projection(topology, build_system(topology, rules), rules)
    positions, forces = shaken(topology, next(iter(chignolin_atoms)).positions)
    maps = projection.position_map, projection.force_map
    best = optimal_force_map(positions, forces, topology.bonds, *maps)
    return topology, projection, rigid_bonds(positions, topology.bonds), best


def coefficients(found) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position map, sum and optimal force map, each (n_beads, n_atoms)."""
    topology, projection, _, best = found
    maps = projection.position_map, projection.force_map, best.force_map
    return tuple(linear_map.dense(len(topology.element)) for linear_map in maps)


def test_position_map_times_optimal_map_transposed_is_the_identity(found):
    """The condition of doi:10.1063/1.2938860, without which least is no force at all."""
    position_map, _, force_map = coefficients(found)
    np.testing.assert_allclose(position_map @ force_map.T, np.eye(len(position_map)), rtol=0, atol=1e-10)


def test_atoms_of_a_rigid_bond_enter_alike(found):
    topology, _, rigid, best = found
    assert best.n_rigid == len(rigid) == (topology.element == "H").sum()
    force_map = coefficients(found)[2]
    np.testing.assert_allclose(force_map[:, rigid[:, 0]], force_map[:, rigid[:, 1]], rtol=0, atol=1e-12)


def test_optimal_map_is_not_the_sum_where_atoms_are_free(found):
    """What the two laws above would not tell apart."""
    position_map, plain, force_map = coefficients(found)
    heavy = (found[0].element != "H").sum()
    # With every heavy atom a bead, rigid bonds to the hydrogens leave no choice.
    assert (np.abs(force_map - plain).max() > 0.1) == (len(position_map) < heavy)


def optimum_of_two(positions: np.ndarray, forces: np.ndarray) -> OptimalMap:
    return optimal_force_map(positions, forces, BOND_OF_TWO, BEAD_OF_TWO, SUM_OF_TWO)


def quantiles(n: int) -> np.ndarray:
    """Evenly from 0 to 1, in random pairs of q and 1 - q: the mean of each fold is that of all."""
    lower = (np.random.default_rng(2).permutation(n // 2) + 0.5) / n
    return np.stack([lower, 1 - lower], axis=1).ravel()


def test_noise_of_a_free_atom_on_springs_vanishes():
    """A bead at z = Z and an atom at x, U = κ(x - Z)²/2 + k x²/2.

    F_bead = κ(x - Z) and F_atom = -(κ + k)(x - <x>): with the coefficient κ/(κ + k) on the atom no noise
    is left of the mean force -κ k Z / (κ + k). The sum, -k x, has the same mean.
    """
    spring, field, height = 30.0, 10.0, 1.2
    x = spring * height / (spring + field) + np.sqrt(KT / (spring + field)) * ndtri(quantiles(2000))
    positions, forces = np.zeros((2, len(x), 2, 3))
    positions[:, 0, 2], positions[:, 1, 2] = height, x
    forces[:, 0, 2], forces[:, 1, 2] = spring * (x - height), -spring * (x - height) - field * x
    best = optimum_of_two(positions, forces)
    weights = [1.0, spring / (spring + field)]
    np.testing.assert_allclose(best.force_map.dense(2)[0], weights, rtol=1e-4)
    mapped = best.force_map(forces)[:, 0, 2]
    np.testing.assert_allclose(mapped, -spring * field * height / (spring + field), rtol=1e-3)
    np.testing.assert_allclose(SUM_OF_TWO(forces)[:, 0, 2].mean(), mapped.mean(), rtol=1e-6)
    assert SUM_OF_TWO(forces)[:, 0, 2].std() > 1


def rotor() -> tuple[np.ndarray, np.ndarray, float]:
    """The rigid rotor of `test_project.py`: its positions, forces and the mean force on its bead."""
    stiffness, length, height = 3.0, 1.09, 0.4
    s = np.sqrt(2 * KT / stiffness)
    a, b = (height + length) / s, (height - length) / s
    exact = KT * 2 / np.sqrt(np.pi) / s * (np.exp(-a * a) - np.exp(-b * b)) / (erf(a) - erf(b))
    cos_theta = np.linspace(-1, 1, 20001)
    weight = np.exp(-stiffness * (height + length * cos_theta) ** 2 / (2 * KT))
    chosen = np.interp(quantiles(2000), (np.cumsum(weight) - 0.5 * weight) / weight.sum(), cos_theta)
    positions, forces = np.zeros((2, len(chosen), 2, 3))
    positions[:, 0, 2], positions[:, 1, 2] = height, height + length * chosen
    positions[:, 1, 0] = length * np.sqrt(1 - chosen**2)
    forces[:, 1, 2] = -stiffness * positions[:, 1, 2]
    return positions, forces, exact


def test_force_on_a_rigid_rotor_enters_whole(monkeypatch):
    positions, forces, exact = rotor()
    best = optimum_of_two(positions, forces)
    assert best.n_rigid == 1
    assert best.force_map(forces)[:, 0, 2].mean() == pytest.approx(exact, rel=1e-3)
    assert abs(exact) > 0.1
    # The mistake that this is here for: with the hydrogen free, the least map has no force at all.
    monkeypatch.setattr(forcemaps, "rigid_bonds", lambda positions, bonds: bonds[:0])
    loose = optimum_of_two(positions, forces).force_map
    assert np.abs(loose(forces)).max() < 1e-3


def test_beads_that_a_rigid_bond_joins_are_refused():
    """Both would get half of each other's force, which is consistent with nothing."""
    picks = LinearMap(np.arange(3), np.arange(2), np.ones(2))
    moves, forces = np.random.default_rng(3).normal(size=(2, 40, 2, 3))
    stiff = np.array([[0.0, 0.0, 0.0], [1.5, 0.0, 0.0]]) + moves[:, :1]
    with pytest.raises(InputError, match="rigid bonds join bead index 0 to another"):
        optimal_force_map(stiff, forces, BOND_OF_TWO, picks, picks)
    best = optimal_force_map(moves, forces, BOND_OF_TWO, picks, picks)
    np.testing.assert_array_equal(best.force_map.dense(2), np.eye(2))


def test_a_rigid_bond_between_centres_of_mass_leaves_them_consistent():
    """Atoms 0, 1 and 2, 3 make a bead each; bond 1-2 is rigid, so the plain sum is no start."""
    centres = LinearMap(np.array([0, 2, 4]), np.arange(4), np.array([0.4, 0.6, 0.7, 0.3]))
    plain = LinearMap(np.array([0, 2, 4]), np.arange(4), np.ones(4))
    moves, forces = np.random.default_rng(4).normal(size=(2, 40, 4, 3))
    moves[:, 2] = moves[:, 1] + [1.5, 0.0, 0.0]
    bonds = np.array([[0, 1], [1, 2], [2, 3]])
    force_map = optimal_force_map(moves, forces, bonds, centres, plain).force_map.dense(4)
    np.testing.assert_allclose(centres.dense(4) @ force_map.T, np.eye(2), rtol=0, atol=1e-10)
    np.testing.assert_allclose(force_map[:, 1], force_map[:, 2], rtol=0, atol=1e-12)
