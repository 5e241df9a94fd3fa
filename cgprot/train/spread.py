"""Does a committee know where it errs? Its spread against its true error.

The true error of a bead is that of the committee's mean force, noise of the label subtracted; that of a
frame is the mean over its beads. The worst tenth of all is to be told from the rest by the spread alone:

    AUROC = P(spread of one of the worst > spread of one of the rest) + ½ P(equal)

hence 1 if the spread finds them all, ½ if it knows nothing.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

WORST = 0.1


class SpreadQuality(NamedTuple):
    """What the spread of a committee tells of its errors [kcal/mol/Å]; NaN where there is too little data."""

    rms_spread: float
    rms_error: float  # of the mean force, noise subtracted
    auroc_beads: float
    auroc_frames: float
    auroc_frames_low: float  # 95 % interval
    auroc_frames_high: float


def auroc(score: np.ndarray, positive: np.ndarray) -> float:
    """Area under the receiver operating characteristic, from ranks (Mann and Whitney's U).

    Parameters
    ----------
    score, positive : (n,) numbers and bools

    Returns
    -------
    0 to 1; NaN if all or none are positive
    """
    n_positive = int(np.count_nonzero(positive))
    n_negative = len(positive) - n_positive
    if not n_positive or not n_negative:
        return math.nan
    rank_sum = rankdata(score)[positive].sum()
    return float(rank_sum - n_positive * (n_positive + 1) / 2) / (n_positive * n_negative)


def worst(error: np.ndarray, part: float = WORST) -> np.ndarray:
    """Which are the worst tenth, one at least; (n,) -> (n,) bool."""
    chosen = np.zeros(len(error), dtype=bool)
    chosen[np.argsort(error, kind="stable")[len(error) - math.ceil(part * len(error)) :]] = True
    return chosen


def frame_means(values: np.ndarray, beads: np.ndarray) -> np.ndarray:
    """Mean over the beads of each frame.

    Parameters
    ----------
    values : (n,) of the beads of all frames
    beads : (n_frames,) number of beads
    """
    return np.add.reduceat(values, np.cumsum(beads) - beads) / beads


def spread_quality(spread: np.ndarray, square: np.ndarray, beads: np.ndarray) -> SpreadQuality:
    """Spread against true error, bead by bead and frame by frame.

    Parameters
    ----------
    spread, square : (n,) of the beads of all frames, the spread and the squared error less the noise
    beads : (n_frames,) number of beads
    """
    of_frames = np.sqrt(frame_means(spread**2, beads))
    bad = worst(frame_means(square, beads))
    return SpreadQuality(
        float(np.sqrt(np.mean(spread**2))),
        math.sqrt(max(0.0, float(np.mean(square)))),
        auroc(spread, worst(square)),
        auroc(of_frames, bad),
        *_auroc_interval(of_frames, bad),
    )


def _auroc_interval(score: np.ndarray, positive: np.ndarray, draws: int = 400) -> tuple[float, float]:
    """95 % interval over positives and negatives drawn anew; NaN if there is but one of a kind."""
    if min(np.count_nonzero(positive), np.count_nonzero(~positive)) < 2:
        return math.nan, math.nan
    rng = np.random.default_rng(0)
    found, kinds = [], (np.flatnonzero(positive), np.flatnonzero(~positive))
    for _ in range(draws):
        drawn = np.concatenate([rng.choice(kind, len(kind)) for kind in kinds])
        found.append(auroc(score[drawn], positive[drawn]))
    low, high = np.percentile(found, [2.5, 97.5])
    return float(low), float(high)
