import numpy as np
import pytest
from chain import chain_forces, chain_start

from cgprot.errors import UnstableError
from cgprot.simulate import minimise as module
from cgprot.simulate.minimise import minimise

CENTRE = np.array([[1.0, -2.0, 0.5], [3.0, 4.0, -5.0]])
STIFF = np.array([[1.0, 10.0, 100.0], [0.5, 400.0, 20.0]])  # kcal/mol/Å²


def well(positions):
    apart = positions - CENTRE
    return 0.5 * (STIFF * apart**2).sum(axis=(1, 2)), -STIFF * apart


def valley(positions):
    """Rosenbrock's curved valley through all coordinates of a replica: one minimum, at 1 everywhere."""
    x = positions.reshape(len(positions), -1)
    bend, rest = x[:, 1:] - x[:, :-1] ** 2, 1 - x[:, :-1]
    slope = np.zeros_like(x)
    slope[:, :-1] += -400 * bend * x[:, :-1] - 2 * rest
    slope[:, 1:] += 200 * bend
    return (100 * bend**2 + rest**2).sum(axis=1), -slope.reshape(positions.shape)


def starts(n_replicas, scale=1.0):
    return np.random.default_rng(2).normal(scale=scale, size=(n_replicas, 2, 3))


def test_a_quadratic_well_has_an_exact_minimum():
    found = minimise(well, CENTRE + starts(4, 3.0), largest_force=1e-7)
    np.testing.assert_allclose(found.positions, np.broadcast_to(CENTRE, (4, 2, 3)), atol=1e-6)
    np.testing.assert_allclose(found.energy_after, 0, atol=1e-13)
    assert np.all(found.force_after <= 1e-7)
    assert np.all(found.steps > 10)
    np.testing.assert_array_equal(found.energy_before, well(CENTRE + starts(4, 3.0))[0])


def test_a_curved_valley_is_followed_to_its_end():
    found = minimise(valley, 0.5 * starts(3), largest_force=1e-5, most_steps=20000)
    np.testing.assert_allclose(found.positions, 1.0, atol=1e-3)


def test_energy_never_rises_while_arriving():
    energies = []

    def watched(positions):
        energy, force = chain_forces(positions)
        energies.append(energy.copy())
        return energy, force

    start = chain_start(1).positions + np.random.default_rng(1).normal(scale=0.4, size=(5, 6, 3))
    found = minimise(watched, start, largest_force=0.01)
    path = np.array(energies)
    assert np.all(found.energy_after <= found.energy_before)
    np.testing.assert_array_equal(path.min(axis=0), found.energy_after)
    assert np.all(np.diff(path[-5:], axis=0) <= 0)


def test_a_replica_is_the_same_alone_and_among_others():
    together = minimise(chain_forces, starts_of_chain(7))
    for replica in (0, 3, 6):
        alone = minimise(chain_forces, starts_of_chain(7)[replica : replica + 1])
        np.testing.assert_array_equal(alone.positions[0], together.positions[replica])
        assert alone.steps[0] == together.steps[replica]


def starts_of_chain(n):
    return chain_start(1).positions + np.random.default_rng(3).normal(scale=0.3, size=(n, 6, 3))


def test_beads_that_overlap_are_not_shot_away():
    start = chain_start(1).positions.copy()
    start[0, 3] = start[0, 2] + 1e-3
    moved = []

    def stiff(positions):
        moved.append(positions.copy())
        energy, force = chain_forces(positions)
        return 100 * energy, 100 * force

    minimise(stiff, start)
    step = np.linalg.norm(np.diff(np.array(moved), axis=0), axis=-1).max()
    assert 0.09 < step <= 0.1 + 1e-12


def test_what_is_at_rest_stays():
    found = minimise(well, CENTRE[None])
    np.testing.assert_array_equal(found.positions[0], CENTRE)
    assert found.steps[0] == 0
    assert found.record()["steps"] == [0]


def test_a_wrong_sign_of_the_forces_is_found():
    def uphill(positions):
        apart = positions - CENTRE
        # A cusp at every centre: the wrong sign leads away until the force fades.
        energy = -np.exp(-(apart**2).sum(axis=(1, 2)))
        return energy, -2 * apart * energy[:, None, None]

    with pytest.raises(UnstableError, match="the energy rose from"):
        minimise(uphill, CENTRE + 0.3 * starts(1), largest_force=1e-3)


def test_no_minimum_is_one_line():
    def slope(positions):
        return -positions.sum(axis=(1, 2)), np.ones_like(positions)

    with pytest.raises(UnstableError, match=r"replica 0: after 30 steps still 1\.73 kcal/mol/Å") as caught:
        minimise(slope, starts(2), most_steps=30)
    assert "\n" not in str(caught.value)

    def hole(positions):
        energy, force = well(positions)
        energy[1] = np.nan
        return energy, force

    with pytest.raises(UnstableError, match="replica 1: energy or forces are not finite"):
        minimise(hole, CENTRE + starts(2))


def test_planted_mistake_a_step_that_is_not_undone(monkeypatch):
    """Without the halt uphill the replicas swing through the well and do not arrive in time."""
    start = CENTRE + starts(2, 3.0)
    steps = minimise(well, start, largest_force=1e-6).steps
    monkeypatch.setattr(module, "_dot", lambda a, b: np.abs((a * b).reshape(len(a), -1).sum(axis=1)))
    with pytest.raises(UnstableError, match="still"):
        minimise(well, start, largest_force=1e-6, most_steps=2 * int(steps.max()))
