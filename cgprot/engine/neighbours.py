"""Which pairs of beads may come within reach of each other before one of them has moved far."""

from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree


class PairList(NamedTuple):
    """Pairs within cutoff and skin, good until a bead has moved by half the skin.

    Attributes
    ----------
    pairs : (n_pairs, 2) int64, i < j, sorted by i and then by j
    shifts : (n_pairs, 3) [Å] to add to the position of j, or (0, 3) in free space
    positions : (n_beads, 3) [Å] where the beads were
    """

    pairs: np.ndarray
    shifts: np.ndarray
    positions: np.ndarray


def list_pairs(positions: np.ndarray, reach: float) -> PairList:
    """All pairs closer than `reach` [Å] in free space; positions (n_beads, 3) [Å], finite."""
    pairs = cKDTree(positions).query_pairs(reach, output_type="ndarray").astype(np.int64)
    return PairList(pairs[np.lexsort(pairs.T[::-1])], np.zeros((0, 3)), positions.copy())


def is_good(pair_list: PairList, positions: np.ndarray, skin: float) -> bool:
    """Whether no pair outside the list can have come within reach - skin."""
    moved = positions - pair_list.positions
    return bool((moved * moved).sum(axis=1).max() < (0.5 * skin) ** 2)
