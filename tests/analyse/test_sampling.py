import numpy as np
import pytest

from cgprot.analyse.compare import jensen_shannon, ramachandran_histogram
from cgprot.analyse.sampling import cut, divergence_by_chance, divergence_error, residue_maps


def test_maps_of_residues_are_the_histograms_of_each():
    pairs = np.random.default_rng(0).uniform(-180, 180, (300, 4, 2))
    pairs[0, 0] = [180.0, -180.0]  # both ends of the circle are inside
    maps = residue_maps(pairs)
    for residue in range(4):
        expected = ramachandran_histogram(pairs[:, residue]) / 300
        np.testing.assert_allclose(maps[residue], expected, atol=1e-15)


def test_maps_of_one_angle_and_of_angles_that_are_not_finite():
    angles = np.array([-180.0, -175.0, 0.0, np.nan])[:, None, None]
    maps = residue_maps(angles)
    assert maps.shape == (1, 36)
    np.testing.assert_allclose(maps[0, [0, 18]], [2 / 3, 1 / 3])
    assert residue_maps(np.full((3, 2, 2), np.nan)).sum() == 0.0


def test_cutting_keeps_whole_blocks():
    assert [block.tolist() for block in cut(np.arange(8), 3)] == [[0, 1, 2], [3, 4, 5]]
    assert cut(np.arange(2), 3) == []


def test_chance_of_two_blocks_is_their_own_divergence():
    first, second = np.array([[3.0, 1.0]]), np.array([[1.0, 1.0]])
    expected = jensen_shannon(first[0], second[0])
    np.testing.assert_allclose(divergence_by_chance(first, second), expected)


def drawn(rng, n_blocks, shift=0.0, length=50):
    """Blocks of independent angles, each a distribution of its own."""
    angles = rng.normal(shift, 40.0, (n_blocks, length, 1, 1))
    return np.array([residue_maps(block)[0] for block in angles])


def test_samples_of_one_distribution_are_as_far_apart_as_chance_says():
    """The rank of the true divergence among the shuffled ones is uniform: 100 trials, mean 0.5 ± 0.03."""
    rng, ranks = np.random.default_rng(5), []
    for trial in range(100):
        first, second = drawn(rng, 6), drawn(rng, 10)
        chance = divergence_by_chance(first, second, repeats=60, seed=trial)
        ranks.append((chance < jensen_shannon(first.mean(0), second.mean(0))).mean())
    assert np.mean(ranks) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.array(ranks) > 0.9) < 0.25


def test_another_distribution_is_farther_than_chance():
    rng = np.random.default_rng(6)
    first, second = drawn(rng, 6), drawn(rng, 10, shift=25.0)
    assert jensen_shannon(first.mean(0), second.mean(0)) > divergence_by_chance(first, second).max()


def test_blocks_drawn_anew_scatter_as_new_samples_do():
    rng = np.random.default_rng(7)
    pairs = [(drawn(rng, 20, length=20), drawn(rng, 20, 60.0, length=20)) for _ in range(60)]
    true = np.std([jensen_shannon(a.mean(0), b.mean(0)) for a, b in pairs], ddof=1)
    told = np.mean([divergence_error(a, b, repeats=50) for a, b in pairs[:10]])
    assert told == pytest.approx(true, rel=0.35)
