import numpy as np
import pytest

from cgprot.analyse.landscape import difference, free_energy
from cgprot.units import BOLTZMANN

KT = BOLTZMANN * 300.0


def test_free_energy_of_known_counts():
    found = free_energy(np.array([[100.0, 50.0], [1.0, 0.0]]), 300.0)
    np.testing.assert_allclose(found, [[0.0, KT * np.log(2)], [KT * np.log(100), np.inf]])
    with pytest.raises(ValueError, match="empty"):
        free_energy(np.zeros(3), 300.0)


def test_free_energy_of_a_harmonic_well_is_its_parabola():
    x = np.random.default_rng(0).normal(0.0, np.sqrt(KT / 2.0), 400_000)  # U = x², kT/2 a degree of freedom
    counts, edges = np.histogram(x, bins=20, range=(-1.0, 1.0))
    middle = (edges[1:] + edges[:-1]) / 2
    np.testing.assert_allclose(free_energy(counts, 300.0), middle**2, atol=0.03)


def test_difference_of_two_states_and_its_error():
    rng, p = np.random.default_rng(1), 0.2
    shares = rng.binomial(400, p, (2000, 25)) / 400
    found = [difference(np.stack([trial, 1 - trial], axis=1), 300.0) for trial in shares]
    values, errors = np.array(found).T
    assert values.mean() == pytest.approx(-KT * np.log(p / (1 - p)), abs=0.001)
    assert errors.mean() == pytest.approx(values.std(), rel=0.05)


def test_a_state_that_was_never_seen():
    value, error = difference(np.array([[0.0, 1.0], [0.0, 0.9]]), 300.0)
    assert value == np.inf
    assert np.isnan(error)
