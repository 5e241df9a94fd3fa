"""Which pairs of beads may come within reach of each other before one of them has moved far.

A list of pairs holds until a bead has moved by half the skin. What is within the cutoff is decided anew at
every step from the positions alone, and the pairs are sorted: when a list was made leaves no trace in the
forces.
"""

from typing import NamedTuple

import numpy as np

from cgprot.compiled import kernel
from cgprot.engine.cells import checked_box, divided


class PairList(NamedTuple):
    """Pairs within reach, good until a bead has moved by half the skin.

    Attributes
    ----------
    pairs : (n_pairs, 2) int64, i <= j, sorted by i, then j, then image
    shifts : (n_pairs, 3) [Å] to add to the position of j, or (0, 3) in free space
    positions : (n_beads, 3) [Å] where the beads were
    order : (n_beads,) int64, the beads along a curve that fills space: neighbours are mostly near each other
    """

    pairs: np.ndarray
    shifts: np.ndarray
    positions: np.ndarray
    order: np.ndarray


def list_pairs(positions: np.ndarray, reach: float, box: np.ndarray | None = None) -> PairList:
    """All pairs closer than `reach`, by cells; time and memory grow with the number of beads.

    In a box every image of a bead counts, its own too; a pair appears once, not once from either end.

    Parameters
    ----------
    positions : (n_beads, 3) [Å], finite, wrapped into the box or not
    reach : [Å]
    box : (3, 3) [Å], rows are the box vectors, of any shape and size; None in free space

    Raises
    ------
    InputError
        if the box has no volume
    """
    grid_box, origin = _grid_box(positions, reach) if box is None else (checked_box(box), np.zeros(3))
    inverse = np.linalg.inv(grid_box)
    fraction = (positions - origin) @ inverse
    image = (
        np.floor(fraction).astype(np.int64) if box is not None else np.zeros((len(positions), 3), np.int64)
    )
    n_cells, spread = divided(inverse, reach, len(positions))
    cell = np.clip(np.floor((fraction - image) * n_cells), 0, n_cells - 1).astype(np.int64)
    number = (cell[:, 0] * n_cells[1] + cell[:, 1]) * n_cells[2] + cell[:, 2]
    members = np.argsort(number, kind="stable")
    start = np.searchsorted(number[members], np.arange(n_cells.prod() + 1))
    arguments = (positions, image, cell, members, start, n_cells, spread, grid_box, reach, box is not None)
    found = np.empty((_walk(*arguments, np.empty((0, 5), np.int64)), 5), np.int64)
    _walk(*arguments, found)
    found = found[np.lexsort(found.T[::-1])]
    shifts = np.zeros((0, 3)) if box is None else found[:, 2:] @ grid_box
    return PairList(np.ascontiguousarray(found[:, :2]), shifts, positions.copy(), _z_order(cell))


def is_good(pair_list: PairList, positions: np.ndarray, skin: float) -> bool:
    """Whether no pair outside the list can have come within its reach less the skin."""
    return bool(_furthest(pair_list.positions, positions) < (0.5 * skin) ** 2)


def _z_order(cell: np.ndarray) -> np.ndarray:
    """Cells (n_beads, 3) by the interleaved bits of their coordinates, Morton's curve."""
    code: np.ndarray = np.zeros(len(cell), np.int64)
    for bit in range(int(cell.max()).bit_length()):
        for axis in range(3):
            code |= (cell[:, axis] >> bit & 1) << (3 * bit + axis)
    return np.argsort(code, kind="stable")


@kernel
def _furthest(before, now):
    """The largest squared displacement of a bead."""
    largest = 0.0
    for i in range(len(now)):
        square = 0.0
        for k in range(3):
            square += (now[i, k] - before[i, k]) ** 2
        largest = max(largest, square)
    return largest


def _grid_box(positions: np.ndarray, reach: float) -> tuple[np.ndarray, np.ndarray]:
    low, high = positions.min(axis=0), positions.max(axis=0)
    return np.diag(high - low + reach), low


@kernel
def _walk(positions, image, cell, members, start, n_cells, spread, box, reach, periodic, found):
    """Count the pairs; write (i, j, image of j relative to i) if there is room."""
    count = 0
    shift, cells_away, images_away = np.zeros(3), np.zeros(3, np.int64), np.zeros(3, np.int64)
    for i in range(len(positions)):
        for step in range((2 * spread[0] + 1) * (2 * spread[1] + 1) * (2 * spread[2] + 1)):
            rest, outside = step, False
            for k in range(2, -1, -1):
                cells_away[k] = cell[i, k] + rest % (2 * spread[k] + 1) - spread[k]
                rest //= 2 * spread[k] + 1
                images_away[k] = cells_away[k] // n_cells[k]
                cells_away[k] -= images_away[k] * n_cells[k]
                outside = outside or images_away[k] != 0
            if outside and not periodic:
                continue
            number = (cells_away[0] * n_cells[1] + cells_away[1]) * n_cells[2] + cells_away[2]
            for place in range(start[number], start[number + 1]):
                j = members[place]
                if j < i or (j == i and not _is_positive(images_away)):
                    continue
                square = 0.0
                for k in range(3):
                    shift[k] = 0.0
                    for axis in range(3):
                        shift[k] += (images_away[axis] + image[i, axis] - image[j, axis]) * box[axis, k]
                    square += (positions[i, k] - positions[j, k] - shift[k]) ** 2
                if square < reach * reach:
                    if count < len(found):
                        found[count, 0], found[count, 1] = i, j
                        for k in range(3):
                            found[count, 2 + k] = images_away[k] + image[i, k] - image[j, k]
                    count += 1
    return count


@kernel
def _is_positive(images):
    """Whether the first image number that is not 0 is positive: one of an image and its opposite."""
    for k in range(3):
        if images[k] != 0:
            return images[k] > 0
    return False
