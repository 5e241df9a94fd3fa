"""Distributions of angles in blocks of time, and how far apart too little sampling alone drives two of them.

The Jensen-Shannon divergence of two finite samples of one distribution is above zero. Its size follows from
the samples themselves: under the hypothesis that both come of one distribution their blocks are
exchangeable, and a shuffling of all blocks gives a divergence that is due to chance alone. Blocks must be
longer than the motions last; where they are not, chance is underestimated.
"""

import numpy as np

from cgprot.analyse.compare import BINS, jensen_shannon

_FULL_TURN = 360.0
_BLOCKS = 10  # of the shorter of two
FEWEST_BLOCKS = 4  # of a side; fewer are shuffled in a few ways, the measured division among them


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
    maps = [_shares(column, bins**n_angles) for column in _bin_numbers(angles, bins).T]
    return np.array(maps).reshape(n_residues, *[bins] * n_angles)


def _bin_numbers(angles: np.ndarray, bins: int = BINS) -> np.ndarray:
    """(n_frames, n_residues), the bin that all angles of a residue lie in; nan where one is not finite."""
    cells = np.floor((angles + _FULL_TURN / 2) * (bins / _FULL_TURN)).clip(0, bins - 1)
    return cells @ bins ** np.arange(angles.shape[2] - 1.0, -1.0, -1.0)


def _shares(numbers: np.ndarray, n_bins: int) -> np.ndarray:
    counts = np.bincount(numbers[np.isfinite(numbers)].astype(np.int64), minlength=n_bins)
    return counts / max(counts.sum(), 1)


def residue_divergence(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    """Median over residues of the Jensen-Shannon divergence of their angles.

    Parameters
    ----------
    first, second : one (n_frames, n_residues, n_angles) [degrees] for each replica

    Returns
    -------
    0 to 1; nan where there is no angle, or the residues are others
    """
    maps = [residue_maps(np.concatenate(replicas)) for replicas in (first, second)]
    if maps[0].shape != maps[1].shape:
        return float("nan")
    apart = [jensen_shannon(*pair) for pair in zip(*maps, strict=True) if all(map(np.any, pair))]
    return float(np.median(apart)) if apart else float("nan")


def blocks_of_both(
    first: list[np.ndarray], second: list[np.ndarray], interval_ps: tuple[float, float]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Both in blocks of equal time: a tenth of the shorter one's, or its longest replica's if that is less.

    Parameters
    ----------
    first, second : one (n_frames, ...) for each replica
    interval_ps : between two frames of the first and of the second
    """
    sides = list(zip((first, second), interval_ps, strict=True))
    total = min(interval * sum(map(len, replicas)) for replicas, interval in sides)
    longest = min(interval * max(map(len, replicas)) for replicas, interval in sides)
    time_ps = max(min(total / _BLOCKS, longest), *interval_ps)
    pieces = [
        [block for replica in replicas for block in cut(replica, max(1, round(time_ps / interval)))]
        for replicas, interval in sides
    ]
    return pieces[0], pieces[1]


def residue_divergence_by_chance(
    first: list[np.ndarray], second: list[np.ndarray], repeats: int = 50, seed: int = 1
) -> float:
    """What `residue_divergence` would be on average, were all blocks of one distribution.

    Parameters
    ----------
    first, second : blocks of equal time, (n_frames, n_residues, n_angles) [degrees] each

    Returns
    -------
    nan where there are fewer than four blocks of a side, no angle, or other residues
    """
    if min(len(first), len(second)) < FEWEST_BLOCKS or first[0].shape[1:] != second[0].shape[1:]:
        return float("nan")
    numbers = [_bin_numbers(block) for block in (*first, *second)]
    n_bins, n_first = BINS ** first[0].shape[2], len(first)
    apart = []
    for residue in range(first[0].shape[1]):
        shares = np.array([_shares(block[:, residue], n_bins) for block in numbers])
        shares = shares[:, shares.any(axis=0)]  # bins that were seen, a few of all
        if all(side.any() for side in (shares[:n_first], shares[n_first:])):
            apart.append(divergence_by_chance(shares[:n_first], shares[n_first:], repeats, seed))
    return float(np.median(apart, axis=0).mean()) if apart else float("nan")


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
