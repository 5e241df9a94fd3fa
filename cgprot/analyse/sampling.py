"""Distributions of angles in blocks of time, and how far apart too little sampling alone drives two of them.

The Jensen-Shannon divergence of two finite samples of one distribution is above zero. Its size follows from
the samples themselves: under the hypothesis that both come of one distribution their blocks are
exchangeable, and a shuffling of all blocks gives a divergence that is due to chance alone. Blocks must be
longer than the motions last; where they are not, chance is underestimated.
"""

import numpy as np

from cgprot.analyse.compare import BINS, jensen_shannon

_FULL_TURN = 360.0


def residue_maps(angles: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Distribution of the angles of every residue.

    Parameters
    ----------
    angles : (n_frames, n_residues, n_angles) [degrees, -180 to 180]; frames in which one of a residue's
        angles is not finite are left out for that residue

    Returns
    -------
    (n_residues, bins, ..., bins), a dimension an angle, each sums to 1; to 0 where no frame is left
    """
    n_residues, n_angles = angles.shape[1:]
    cells = np.floor((angles + _FULL_TURN / 2) * (bins / _FULL_TURN))
    flat = np.zeros(angles.shape[:2])
    for angle in range(n_angles):
        flat = flat * bins + cells[..., angle].clip(0, bins - 1)
    maps = np.zeros((n_residues, bins**n_angles))
    for residue, column in enumerate(flat.T):
        counts = np.bincount(column[np.isfinite(column)].astype(np.int64), minlength=bins**n_angles)
        maps[residue] = counts / max(counts.sum(), 1)
    return maps.reshape(n_residues, *[bins] * n_angles)


def cut(replica: np.ndarray, length: int) -> list[np.ndarray]:
    """Blocks of `length` frames each; what is left over at the end is dropped."""
    return [replica[start : start + length] for start in range(0, len(replica) - length + 1, length)]


def divergence_by_chance(
    first: np.ndarray, second: np.ndarray, repeats: int = 200, seed: int = 1
) -> np.ndarray:
    """Divergences of two ensembles whose blocks are shuffled among each other.

    Parameters
    ----------
    first, second : (n_blocks, ...), distributions of blocks of equal time

    Returns
    -------
    (repeats,): the divergence of the two means, were the ensembles of one distribution
    """
    rng, both = np.random.default_rng(seed), np.concatenate([first, second])
    shuffled = (both[rng.permutation(len(both))] for _ in range(repeats))
    n = len(first)
    return np.array([jensen_shannon(blocks[:n].mean(0), blocks[n:].mean(0)) for blocks in shuffled])


def divergence_error(first: np.ndarray, second: np.ndarray, repeats: int = 200, seed: int = 1) -> float:
    """Standard error of the divergence of two ensembles, their blocks drawn anew with replacement.

    Parameters
    ----------
    first, second : (n_blocks, ...), distributions of blocks of equal time
    """
    rng = np.random.default_rng(seed)
    drawn = [
        jensen_shannon(
            *(blocks[rng.integers(len(blocks), size=len(blocks))].mean(0) for blocks in (first, second))
        )
        for _ in range(repeats)
    ]
    return float(np.std(drawn, ddof=1))
