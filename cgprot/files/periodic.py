"""Frames as they come: faulty ones found, molecules split across periodic boxes made whole."""

import itertools
from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import breadth_first_order, connected_components

from cgprot.beads import bond_graph
from cgprot.compiled import kernel

FAULTS = ("not finite", "beyond 1e5 Å", "all zeros")
_NOT_FINITE, _FAR, _ZERO, _SPLIT = 1, 2, 3, 4
_FAR_LIMIT = 1e5  # Å; no box is as wide, and float32 has 0.01 Å left there
_BOND_LIMIT = 4.0  # Å; no bond is as long


class AtomChunk(NamedTuple):
    """Consecutive sound frames of all atoms.

    Attributes
    ----------
    number : (n_frames,) int, their numbers in the trajectory
    positions : (n_frames, n_atoms, 3) [Å]
    forces : same shape [kcal/mol/Å], or None
    time : (n_frames,) [ps]
    """

    number: np.ndarray
    positions: np.ndarray
    forces: np.ndarray | None
    time: np.ndarray


class Bonded(NamedTuple):
    """The bonds of a topology as trees: every atom after its parent, -1 before the first.

    Attributes
    ----------
    order, parent : (n_atoms,) int
    molecule : (n_atoms,) int, connected atoms share a number
    """

    order: np.ndarray
    parent: np.ndarray
    molecule: np.ndarray

    @classmethod
    def from_bonds(cls, bonds: np.ndarray, n_atoms: int) -> "Bonded":
        """Spanning trees of the bonds, (n_bonds, 2) int."""
        graph = bond_graph(bonds, n_atoms)
        molecule = connected_components(graph, directed=False)[1]
        orders, parent = [], np.full(n_atoms, -1)
        for root in np.unique(molecule, return_index=True)[1]:
            order, parents = breadth_first_order(graph, root, directed=False)
            parent[order[1:]] = parents[order[1:]]
            orders.append(order)
        return cls(np.concatenate(orders).astype(np.int64), parent.astype(np.int64), molecule)

    @property
    def is_one_molecule(self) -> bool:
        """Whether bonds join all atoms: several molecules may lie in different images, each of them whole."""
        return bool((self.molecule == self.molecule[0]).all())


def inspect_frames(positions: np.ndarray, bonded: Bonded) -> tuple[np.ndarray, np.ndarray]:
    """What is wrong with each frame.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) [Å]
    bonded : the atoms' bonds

    Returns
    -------
    fault : (n_frames,) int, 0 for a sound frame, else 1 + the index in FAULTS
    split : (n_frames,) bool, whether a sound frame has a bond that no bond can be as long as
    """
    code = np.empty(len(positions), dtype=np.int64)
    # An atom without a parent is compared with itself.
    parent = np.where(bonded.parent < 0, np.arange(len(bonded.parent)), bonded.parent)
    flat = np.ascontiguousarray(positions).reshape(len(positions), -1)
    _inspect(flat, (3 * parent).astype(np.uint64), code)
    return np.where(code == _SPLIT, 0, code), code == _SPLIT


def make_whole(positions: np.ndarray, bonded: Bonded, box: np.ndarray) -> np.ndarray:
    """Positions with every atom in the periodic image nearest to the atom it is bonded to.

    The first atom of each molecule stays; further molecules follow as a whole, always the one that is
    nearest to those in place, into the image whose centre is nearest to that neighbour's.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) [Å]
    box : (3, 3) or (n_frames, 3, 3) [Å], rows are the box vectors

    Returns
    -------
    (n_frames, n_atoms, 3) [Å], a new array
    """
    whole = np.array(positions, order="C")
    boxes = np.broadcast_to(np.asarray(box, dtype=np.float64), (len(whole), 3, 3))
    inverse = np.linalg.inv(boxes)
    _follow_bonds(whole, bonded.order, bonded.parent, np.ascontiguousarray(boxes), inverse)
    _gather_molecules(whole, bonded.molecule, boxes, inverse)
    return whole


def _gather_molecules(
    whole: np.ndarray, molecule: np.ndarray, boxes: np.ndarray, inverse: np.ndarray
) -> None:
    members = [np.flatnonzero(molecule == number) for number in np.unique(molecule)]
    centres = np.stack([whole[:, atoms].mean(axis=1, dtype=np.float64) for atoms in members], axis=1)
    shifts = _shifts_to_neighbours(centres, boxes, inverse)
    for number, atoms in enumerate(members):
        if shifts[:, number].any():
            whole[:, atoms] -= shifts[:, number, None]


def _shifts_to_neighbours(centres: np.ndarray, boxes: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """What to take off each molecule's position; (n_frames, n_molecules, 3) [Å], as the centres are.

    By the shortest tree that joins them: in a row of molecules that is longer than half the box the last is
    nearest to the first's other side, and would leave its neighbour for an image there.
    """
    frame, last = np.arange(len(centres)), np.zeros(len(centres), dtype=int)
    shifts, in_place = np.zeros_like(centres), np.zeros(centres.shape[:2], dtype=bool)
    shortest = np.full(centres.shape[:2], np.inf)
    for _ in range(centres.shape[1] - 1):
        in_place[frame, last] = True
        apart = centres - (centres[frame, last] - shifts[frame, last])[:, None]
        lattice = _nearest_lattice_vector(apart, boxes, inverse)
        distance = np.linalg.norm(apart - lattice, axis=-1)
        nearer = ~in_place & (distance < shortest)
        shortest[nearer], shifts[nearer] = distance[nearer], lattice[nearer]
        last = np.argmin(np.where(in_place, np.inf, shortest), axis=1)
    return shifts


def _nearest_lattice_vector(apart: np.ndarray, boxes: np.ndarray, inverse: np.ndarray) -> np.ndarray:
    """Of each distance, as it is shaped, [Å]: rounding alone misses it in skewed boxes."""
    steps = np.array(list(itertools.product((0, 1, -1), repeat=3)), dtype=np.float64)  # none first, for ties
    near = np.round(apart @ inverse)[:, :, None] + steps
    vectors = near @ boxes[:, None]
    nearest = np.linalg.norm(apart[:, :, None] - vectors, axis=-1).argmin(axis=2)
    return np.take_along_axis(vectors, nearest[..., None, None], axis=2)[:, :, 0]


@kernel
def _inspect(x, parent, code):  # (F, 3 N), (N,) where an atom's coordinates and its parent's begin, (F,)
    for frame in range(x.shape[0]):
        at = x[frame]
        total = largest = longest = at.dtype.type(0)
        for i in range(len(parent)):
            a, b = np.uint64(3 * i), parent[i]
            for axis in range(np.uint64(3)):
                value = at[a + axis]
                total += value
                largest = max(largest, abs(value))
                longest = max(longest, abs(value - at[b + axis]))
        code[frame] = 0
        # Not a number passes through a sum, and not through a maximum.
        if not (np.isfinite(largest) and np.isfinite(total)):
            code[frame] = _NOT_FINITE
        elif largest > _FAR_LIMIT:
            code[frame] = _FAR
        elif largest == 0.0:
            code[frame] = _ZERO
        elif longest > _BOND_LIMIT:
            code[frame] = _SPLIT


@kernel
def _follow_bonds(x, order, parent, boxes, inverse):  # (F, N, 3), (N,), (N,), (F, 3, 3) twice
    for frame in range(x.shape[0]):
        for i in order:
            j = parent[i]
            if j < 0:
                continue
            for k in range(3):
                image = 0.0
                for axis in range(3):
                    image += (x[frame, i, axis] - x[frame, j, axis]) * inverse[frame, axis, k]
                image = np.round(image)
                if image != 0.0:
                    for axis in range(3):
                        x[frame, i, axis] -= image * boxes[frame, k, axis]
