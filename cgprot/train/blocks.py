"""How sure an error is: blocks of frames drawn anew.

Neighbouring frames of a trajectory are alike, so whole blocks of them are drawn, with replacement, each as
long as the square root of the trajectory (block bootstrap: H. R. Künsch, Ann. Stat. 17, 1217 (1989)).
"""

import math

import numpy as np

DRAWS = 400
FEWEST_BLOCKS = 5  # of fewer one cannot tell how they vary
MOST_BLOCKS = 200  # of one group; more are joined with their neighbours


def blocks_of(n_frames: int) -> np.ndarray:
    """The block, counted from 0, of every frame of a trajectory; (n_frames,) int."""
    return np.arange(n_frames) // max(1, math.ceil(math.sqrt(n_frames)))


def ratios(sums: np.ndarray) -> np.ndarray:
    """<(p - F)²> and the signal explained, 1 - <(p - F)²> / <F²>.

    Parameters
    ----------
    sums : (..., 5) over components: number, (p - l)², |p - l|, l², σ²; where σ is NaN the first ratio is
        NaN and the second counts noise as unexplained

    Returns
    -------
    (2, ...); NaN where the labels are nothing but noise
    """
    n, square, _, label_square, noise = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    known = np.nan_to_num(noise)
    with np.errstate(invalid="ignore", divide="ignore"):
        left = np.where(label_square > known, label_square - known, np.nan)
        return np.stack([(square - noise) / n, 1 - (square - known) / left])


def interval(sums: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
    """Limits of `ratios` over blocks drawn anew.

    Parameters
    ----------
    sums : (n_blocks, 5), of each block

    Returns
    -------
    low, high : (2,); NaN of fewer than FEWEST_BLOCKS
    """
    n_blocks = len(sums)
    if n_blocks < FEWEST_BLOCKS:
        return np.full(2, np.nan), np.full(2, np.nan)
    if n_blocks > MOST_BLOCKS:
        sums = np.add.reduceat(sums, np.linspace(0, n_blocks, MOST_BLOCKS, endpoint=False).astype(int))
    n = len(sums)
    # n - 1 of n: their variance is that of the mean without bias (Rao and Wu, J. Am. Stat. Assoc. 83, 231).
    drawn = np.random.default_rng(0).multinomial(n - 1, np.full(n, 1 / n), size=DRAWS)
    values = ratios(drawn @ sums)  # (2, DRAWS)
    tail = 50 * (1 - level)
    return np.percentile(values, tail, axis=1), np.percentile(values, 100 - tail, axis=1)
