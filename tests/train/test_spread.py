"""Constructed cases whose AUROC is known."""

import math

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from cgprot.train.spread import auroc, frame_means, spread_quality, worst

RNG = np.random.default_rng(0)


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        ([1, 2, 3, 4], 1.0),
        ([4, 3, 2, 1], 0.0),
        ([7, 7, 7, 7], 0.5),
        ([1, 4, 2, 3], 0.5),  # of the four pairs two are in order
        ([1, 3, 2, 4], 0.75),
        ([1, 2, 2, 4], 0.875),
    ],
)
def test_by_hand(score, expected):
    assert auroc(np.array(score), np.array([False, False, True, True])) == expected


def test_equals_scipy_with_ties():
    score, positive = RNG.integers(0, 20, 300).astype(float), RNG.random(300) < 0.2
    u = mannwhitneyu(score[positive], score[~positive]).statistic
    np.testing.assert_allclose(auroc(score, positive), u / (positive.sum() * (~positive).sum()), rtol=1e-14)


def test_of_one_kind_there_is_none():
    assert math.isnan(auroc(np.arange(3.0), np.ones(3, dtype=bool)))
    assert math.isnan(auroc(np.arange(3.0), np.zeros(3, dtype=bool)))


@pytest.mark.parametrize(("n", "expected"), [(1, 1), (9, 1), (10, 1), (11, 2), (100, 10)])
def test_worst_are_a_tenth_and_one_at_least(n, expected):
    error = RNG.random(n)
    chosen = worst(error)
    assert chosen.sum() == expected
    assert error[chosen].min() >= error[~chosen].max(initial=0)


def test_means_of_frames_of_different_sizes():
    np.testing.assert_allclose(frame_means(np.array([1.0, 3, 5, 6, 7]), np.array([2, 3])), [2, 6])


def test_a_spread_that_is_the_error_finds_all_and_a_constant_one_none():
    beads = np.full(40, 5)
    square = RNG.random(200) ** 2 * np.repeat(np.arange(1, 41), 5)
    perfect = spread_quality(np.sqrt(square), square, beads)
    assert (perfect.auroc_beads, perfect.auroc_frames, perfect.auroc_frames_low) == (1.0, 1.0, 1.0)
    np.testing.assert_allclose(perfect.rms_spread, perfect.rms_error)
    useless = spread_quality(np.ones(200), square, beads)
    assert (useless.auroc_beads, useless.auroc_frames) == (0.5, 0.5)
    assert spread_quality(1 / np.sqrt(square), square, beads).auroc_beads == 0.0


def test_interval_holds_the_number_and_narrows():
    widths = []
    for n_frames in (50, 1000):
        error = RNG.normal(size=n_frames)
        quality = spread_quality(
            np.exp(error + RNG.normal(size=n_frames)), np.exp(error), np.ones(n_frames, int)
        )
        assert quality.auroc_frames_low < quality.auroc_frames < quality.auroc_frames_high
        widths.append(quality.auroc_frames_high - quality.auroc_frames_low)
    assert widths[1] < 0.5 * widths[0]
