"""Periodic boxes: their vectors, their size at a concentration, and copies of a chain placed in them."""

from dataclasses import replace
from typing import Any

import numpy as np
from MDAnalysis.lib.mdamath import triclinic_vectors
from scipy.spatial.transform import Rotation

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.engine.neighbours import list_pairs
from cgprot.errors import InputError, UsageError
from cgprot.files.dcd import Cell
from cgprot.files.topology import free_chain_names
from cgprot.units import PER_CUBIC_ANGSTROM_PER_MILLIMOLAR

_NEAREST_COPIES = 4.0  # Å between beads of two copies: about van der Waals contact of heavy atoms
_NEAREST_IMAGES = 1.5  # Å, as the start itself is checked
_LONGEST_EDGE = 99_999.0  # Å, as a PDB can state it
_MOST_TRIALS = 500


def complete_cell(numbers: tuple[float, ...]) -> Cell:
    """Edges [Å] and angles [degrees] of a cell from one edge (a cube), three, or three and three angles.

    Raises
    ------
    ValueError
        if they are of another number, span no volume, are longer than a PDB can state, or so short that
        every bead would overlap its own image
    """
    edges = tuple(map(float, numbers))
    if len(edges) == 1:
        edges *= 3
    if len(edges) == 3:
        edges += (90.0, 90.0, 90.0)
    if len(edges) != 6:
        raise ValueError(f"{len(edges)} numbers: give 1 edge, 3 edges, or 3 edges and 3 angles")
    with np.errstate(invalid="ignore"):  # angles that no cell has
        volume = np.linalg.det(triclinic_vectors(edges, np.float64))
    if not volume > 0:
        raise ValueError(f"{' '.join(f'{edge:g}' for edge in edges)} spans no volume: give edges above 0 Å")
    if not max(edges[:3]) <= _LONGEST_EDGE:
        raise ValueError(f"an edge of {max(edges[:3]):g} Å: give at most {_LONGEST_EDGE:g} Å, or free space")
    height = 1.0 / np.linalg.norm(np.linalg.inv(triclinic_vectors(edges, np.float64)), axis=0).max()
    if not height > _NEAREST_IMAGES:
        raise ValueError(f"{height:.3g} Å thin: no bead fits between its own images, give a larger box")
    return edges


def box_vectors(cell: Cell) -> np.ndarray:
    """(3, 3) [Å], rows are the box vectors."""
    return triclinic_vectors(cell, np.float64)


def cubic_cell(concentration_mM: float, n_chains: int) -> Cell:
    """The cube in which so many chains have a concentration [mmol/L].

    Raises
    ------
    UsageError
        if there is no such box
    """
    volume = n_chains / (concentration_mM * PER_CUBIC_ANGSTROM_PER_MILLIMOLAR)
    try:
        return complete_cell((round(volume ** (1 / 3), 3),))  # as a PDB can state it
    except ValueError as error:
        raise UsageError(f"--concentration-mM {concentration_mM:g}: {error}")


def n_chains(system: BeadSystem) -> int:
    return len(np.unique(system.chain))


def multiplied(system: BeadSystem, copies: int) -> BeadSystem:
    """The beads of several copies one after the other, every chain with a name of its own.

    The first copy keeps its names; after A to Z, a to z and 0 to 9 they have two characters.
    """
    tiled: dict[str, Any] = {
        name: np.tile(getattr(system, name), copies)
        for name in ("bead_type", "type_name", "mass", "charge", "bead_name", "residue_name", "residue_id")
    }
    n_atoms, first = len(system.bead_of_atom), np.arange(copies) * system.n_beads
    owner = np.tile(system.bead_of_atom, copies)
    return replace(
        system,
        **tiled,
        bonds=np.concatenate([system.bonds + number for number in first]),
        bead_of_atom=np.where(owner < 0, -1, owner + np.repeat(first, n_atoms)),
        chain=_chains_of_copies(system.chain, copies),
    )


def _chains_of_copies(chain: np.ndarray, copies: int) -> np.ndarray:
    own = list(dict.fromkeys(chain.tolist()))
    names = free_chain_names(own)
    columns = [chain]
    for _ in range(copies - 1):
        new = {name: next(names, None) for name in own}
        if None in new.values():
            raise UsageError(f"--copies {copies}: more chains than there are names: choose fewer")
        columns.append(np.array([new[name] for name in chain.tolist()]))
    return np.concatenate(columns)


def place_copies(start: BeadFrames, copies: int, cell: Cell, seeds: list[int]) -> BeadFrames:
    """Copies of a start at random places and in random orientations, no two within 4 Å of each other.

    Parameters
    ----------
    start : one frame, or one a replica
    copies : of all its chains together
    cell : the periodic box
    seeds : one a replica; with the replica's number they tell its places

    Returns
    -------
    one frame a replica; a copy is whole, its centroid in the box

    Raises
    ------
    InputError
        if there is no room
    """
    frames = [
        _crowd(start.positions[replica % len(start)], copies, cell, np.random.default_rng([seed, replica]))
        for replica, seed in enumerate(seeds)
    ]
    return BeadFrames(multiplied(start.system, copies), np.array(frames), time=np.zeros(len(frames)))


def _crowd(positions: np.ndarray, copies: int, cell: Cell, generator: np.random.Generator) -> np.ndarray:
    """(copies * n_beads, 3) [Å]."""
    box, centred = box_vectors(cell), positions - positions.mean(axis=0)
    placed = np.empty((0, 3))
    for copy in range(copies):
        for _ in range(_MOST_TRIALS):
            turned = Rotation.random(rng=generator).apply(centred)
            trial = np.concatenate([placed, turned + generator.uniform(size=3) @ box])
            if not _meets(trial, len(placed), box):
                break
        else:
            raise InputError(
                f"no room for copy {copy + 1} of {copies} in a box of {' x '.join(_edges(cell))} Å after "
                f"{_MOST_TRIALS} trials: choose a larger --box or a lower --concentration-mM"
            )
        placed = trial
    return placed


def _meets(positions: np.ndarray, first: int, box: np.ndarray) -> bool:
    """Whether the beads from `first` on come near the others, or an image of themselves."""
    found = list_pairs(positions, _NEAREST_COPIES, box)
    is_new = found.pairs >= first
    return bool(np.any(is_new.any(axis=1) & (~is_new.all(axis=1) | found.shifts.any(axis=1))))


def refuse_overlapping_images(system: BeadSystem, positions: np.ndarray, cell: Cell) -> None:
    """Refuse a box in which a bead comes within 1.5 Å of an image of another.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å]

    Raises
    ------
    InputError
        naming the two
    """
    for frame in positions:
        found = list_pairs(frame, _NEAREST_IMAGES, box_vectors(cell))
        image = np.flatnonzero(found.shifts.any(axis=1))
        if len(image):
            i, j = found.pairs[image[0]]
            names = [
                f"{system.bead_name[k]} of {system.residue_name[k]} {system.residue_id[k]}" for k in (i, j)
            ]
            raise InputError(
                f"in a box of {' x '.join(_edges(cell))} Å {names[0]} overlaps an image of {names[1]}: "
                f"choose a larger --box"
            )


def _edges(cell: Cell) -> list[str]:
    return [f"{edge:g}" for edge in cell[:3]]
