"""Ramachandran maps, and how far two distributions are apart."""

import numpy as np
from scipy.special import rel_entr

BINS = 36  # 10° each


def ramachandran_histogram(phi_psi: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Counts of φ and ψ, pooled over everything but the last axis.

    Parameters
    ----------
    phi_psi : (..., 2) [degrees, -180 to 180]; pairs that are not finite are left out

    Returns
    -------
    (bins, bins), φ along the first axis, ψ along the second
    """
    pairs = phi_psi.reshape(-1, 2)
    pairs = pairs[np.isfinite(pairs).all(axis=1)]
    limits = [(-180.0, 180.0)] * 2
    return np.histogram2d(pairs[:, 0], pairs[:, 1], bins=bins, range=limits)[0]


def pooled_map(ensemble: list[np.ndarray]) -> np.ndarray:
    """Histogram of all replicas together, (BINS, BINS)."""
    return np.sum([ramachandran_histogram(replica) for replica in ensemble], axis=0)


def jensen_shannon(first: np.ndarray, second: np.ndarray) -> float:
    """Jensen-Shannon divergence of two histograms, logarithms to base 2.

    0 where the distributions are equal, 1 where they share no bin (Lin, doi:10.1109/18.61115).

    Parameters
    ----------
    first, second : counts or probabilities, same shape

    Raises
    ------
    ValueError
        if a histogram is empty or the shapes differ
    """
    if first.shape != second.shape:
        raise ValueError(f"histograms of shapes {first.shape} and {second.shape}: use the same bins")
    if first.sum() <= 0 or second.sum() <= 0:
        raise ValueError("empty histogram: give at least one count in each")
    p, q = first / first.sum(), second / second.sum()
    middle = (p + q) / 2
    return float((rel_entr(p, middle).sum() + rel_entr(q, middle).sum()) / (2 * np.log(2)))
