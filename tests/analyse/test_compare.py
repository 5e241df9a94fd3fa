import numpy as np
import pytest

from cgprot.analyse.compare import jensen_shannon, ramachandran_histogram


def test_divergence_of_equal_maps_is_zero():
    counts = np.random.default_rng(0).integers(0, 9, (36, 36)).astype(float)
    assert jensen_shannon(counts, counts) == pytest.approx(0.0, abs=1e-12)
    assert jensen_shannon(counts, 7 * counts) == pytest.approx(0.0, abs=1e-12)


def test_divergence_of_disjoint_maps_is_one():
    assert jensen_shannon(np.array([3.0, 1, 0, 0]), np.array([0.0, 0, 5, 5])) == pytest.approx(1.0)


def test_divergence_of_a_known_pair():
    # (1, 0) and (1/2, 1/2), middle (3/4, 1/4).
    expected = (np.log2(4 / 3) + 0.5 * np.log2(2 / 3) + 0.5 * np.log2(2)) / 2
    first, second = np.array([1.0, 0.0]), np.array([1.0, 1.0])
    assert jensen_shannon(first, second) == pytest.approx(expected)
    assert jensen_shannon(second, first) == pytest.approx(expected)


@pytest.mark.parametrize(("first", "second"), [([0.0], [1.0]), ([1.0], [1.0, 1.0])])
def test_divergence_refuses_empty_and_unlike_histograms(first, second):
    with pytest.raises(ValueError, match="histogram"):
        jensen_shannon(np.array(first), np.array(second))


def test_histogram_counts_every_pair_in_its_bin():
    pairs = np.array([[[-179.0, 179.0], [-180.0, 180.0]], [[5.0, -5.0], [np.nan, 0.0]]])
    counts = ramachandran_histogram(pairs)
    assert counts.sum() == 3
    assert counts[0, 35] == 2
    assert counts[18, 17] == 1
