"""Cells that hold beads, so that neighbours are looked for nearby only."""

from typing import NamedTuple

import numpy as np

from cgprot.errors import InputError

ROUNDING = 1e-6  # a cell is wider than the reach by as much of it, so that no neighbour is two cells away
FEWEST_IN_FREE_SPACE = 3  # else a cell would be its own neighbour


class Cells(NamedTuple):
    """Where a bead is: fractions = positions @ inverse, less their whole part, times n_cells.

    Attributes
    ----------
    inverse : (3, 3) [1/Å]
    n_cells : (3,) int64, along each axis
    spread : (3,) int64, how many cells away a neighbour may be
    box : (3, 3) [Å], what a whole part stands for; 0 in free space, where cells just repeat themselves
    """

    inverse: np.ndarray
    n_cells: np.ndarray
    spread: np.ndarray
    box: np.ndarray


def cells_of(n_beads: int, reach: float, box: np.ndarray | None) -> Cells:
    """Cells for neighbours within `reach` [Å], which need not know where the beads are.

    Parameters
    ----------
    box : (3, 3) [Å], rows are the box vectors, of any shape and size; None in free space

    Raises
    ------
    InputError
        if the box has no volume
    """
    reach *= 1 + ROUNDING
    if box is None:
        n = max(FEWEST_IN_FREE_SPACE, most_cells(n_beads))
        return Cells(np.eye(3) / (n * reach), np.full(3, n), np.ones(3, np.int64), np.zeros((3, 3)))
    box = checked_box(box)
    inverse = np.linalg.inv(box)
    return Cells(inverse, *divided(inverse, reach, n_beads), box)


def divided(inverse: np.ndarray, reach: float, n_beads: int) -> tuple[np.ndarray, np.ndarray]:
    """`n_cells` and `spread` for a box by the inverse of its matrix, which may be thinner than the reach."""
    height = 1 / np.linalg.norm(inverse, axis=0)  # between opposite faces [Å]
    n_cells = np.clip(np.floor(height / reach), 1, most_cells(n_beads)).astype(np.int64)
    return n_cells, np.ceil(reach * n_cells / height).astype(np.int64)


def most_cells(n_beads: int) -> int:
    """Along an axis, so that empty space costs nothing."""
    return 2 * int(np.ceil(n_beads ** (1 / 3)))


def checked_box(box: np.ndarray) -> np.ndarray:
    """The box vectors as they are needed.

    Raises
    ------
    InputError
        if they span no volume
    """
    box = np.ascontiguousarray(box, dtype=np.float64)
    lengths = np.linalg.norm(box, axis=-1) if box.shape == (3, 3) else np.zeros(1)
    if not np.isfinite(box).all() or abs(np.linalg.det(box)) <= 1e-9 * lengths.prod():
        raise InputError(f"a box needs three vectors that span a volume: got {box.tolist()}")
    return box
