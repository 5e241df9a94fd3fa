"""Random moves of frames before they are labelled: where a simulation seldom or never goes.

Forces there are the walls of a potential without prior terms, and the passes between its basins.
"""

from collections.abc import Callable, Collection
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from cgprot.beads import Topology, bond_graph, sides
from cgprot.errors import InputError

_DRAWS = 10  # of a shift, before a frame that it tears counts as distorted
_TWISTS = 100  # of a frame, before it counts as one that cannot be twisted so far
# Å between heavy atoms more than two bonds apart. On the passes of φ carbonyls are 2.4 Å from what turns.
_CLASH = 2.3
_FULL = 4  # neighbours of a carbon or nitrogen without π bonds


class Turn(NamedTuple):
    """A bond about which atoms turn.

    Attributes
    ----------
    first, second : its ends
    behind : (n_atoms,) bool, the atoms that turn: those on the side with fewer heavy ones
    """

    first: int
    second: int
    behind: np.ndarray


def shifted(
    positions: np.ndarray,
    bead_of_atom: np.ndarray,
    shifts: Callable[[np.ndarray], np.ndarray],
    torn: Callable[[np.ndarray], Collection[int]],
) -> np.ndarray:
    """Frames whose beads are shifted at random; hydrogens keep their bonds.

    A move that tears a bond is drawn anew: among hundreds of frames some do.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) [Å], no bond torn
    bead_of_atom : (n_atoms,)
    shifts : of the frames with these numbers, drawn anew at every call: (n, n_beads, 3) [Å]
    torn : the numbers of the frames whose bonds are too long or too short
    """
    moved, wanted = positions.copy(), np.arange(len(positions))
    for _ in range(_DRAWS):
        if not len(wanted):
            break
        moved[wanted] = positions[wanted] + shifts(wanted)[:, bead_of_atom]
        wanted = np.array(sorted(torn(moved)), dtype=int)
    return moved


def twisted(
    topology: Topology, positions: np.ndarray, largest: float, seed: int
) -> tuple[np.ndarray, dict[int, str]]:
    """Frames turned about every rotatable bond by random angles; bonds and angles keep.

    Every frame has random numbers of its own. Angles under which heavy atoms clash that did not before are
    drawn anew.

    Parameters
    ----------
    positions : (n_frames, n_atoms, 3) [Å]
    largest : angle [degrees]; angles are uniform between -largest and largest

    Returns
    -------
    the frames, and by number what is wrong with those that clash whatever the angles: they stay as they are

    Raises
    ------
    InputError
        if no bond can be turned
    """
    turns, near, heavy = rotatable_bonds(topology), _near(topology), topology.element != "H"
    if not turns:
        raise InputError("no bond to turn about: leave the twist out")
    moved, problems = positions.copy(), {}
    for number, frame in enumerate(positions):
        generator = np.random.default_rng([seed, number])
        allowed = _clashes(frame, heavy, near)
        for _ in range(_TWISTS):
            angles = generator.uniform(-largest, largest, len(turns))
            candidate = _turned(frame, turns, np.radians(angles))
            if _clashes(candidate, heavy, near) <= allowed:
                moved[number] = candidate
                break
        else:
            problems[number] = f"frame {number}: atoms clash however it is twisted: twist less"
    return moved, problems


def rotatable_bonds(topology: Topology) -> list[Turn]:
    """Bonds in no ring that have an end with four neighbours and more heavy atoms behind both ends.

    So φ, ψ and χ, but not the peptide bond, those of other planar groups, or that of a disulfide.
    """
    heavy = topology.element != "H"
    neighbours = np.bincount(topology.bonds.ravel(), minlength=len(topology.element))
    single = (neighbours[topology.bonds] == _FULL).any(axis=1) & heavy[topology.bonds].all(axis=1)
    turns = []
    for ends, behind in sides(topology.bonds, len(heavy), np.flatnonzero(single)):
        sizes = [(side & heavy).sum() for side in behind]
        if min(sizes) > 1:
            smaller = int(sizes[1] <= sizes[0])
            turns.append(Turn(ends[1 - smaller], ends[smaller], behind[smaller]))
    return turns


def _turned(frame: np.ndarray, turns: list[Turn], angles: np.ndarray) -> np.ndarray:
    for turn, angle in zip(turns, angles, strict=True):
        frame = turned_about(frame, turn.first, turn.second, turn.behind, angle)
    return frame


def turned_about(
    positions: np.ndarray, first: int, second: int, behind: np.ndarray | list[int], angle: float
) -> np.ndarray:
    """Positions (n_atoms, 3) with those behind a bond turned about it by an angle [radians]."""
    origin, moved = positions[second], positions.copy()
    axis = origin - positions[first]
    rotation = Rotation.from_rotvec(angle * axis / np.linalg.norm(axis))
    moved[behind] = origin + rotation.apply(positions[behind] - origin)
    return moved


def _near(topology: Topology) -> csr_array:
    """Nonzero for two atoms at most two bonds apart; turning about a bond does not part them."""
    graph = bond_graph(topology.bonds, len(topology.element))
    one = graph + graph.T
    return csr_array(one + one @ one)


def _clashes(frame: np.ndarray, heavy: np.ndarray, near: csr_array) -> set[tuple[int, int]]:
    """The pairs that do. A molecule of its own lies in no chain of bonds: it clashes like any other."""
    atoms = np.flatnonzero(heavy)
    pairs = atoms[cKDTree(frame[heavy]).query_pairs(_CLASH, output_type="ndarray")]
    if not len(pairs):
        return set()
    return set(map(tuple, pairs[np.asarray(near[pairs[:, 0], pairs[:, 1]]) == 0].tolist()))
