"""The data that flows through cgprot: what the atoms are, what the beads are, where they are."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from cgprot.errors import InputError

# What a simulation asks of a potential: positions (replicas, n_beads, 3) [Å] -> energies (replicas,),
# forces, in kcal/mol and kcal/mol/Å.
Forces = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

ATOMIC_MASS = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "S": 32.06}  # Da
_MOST_HYDROGENS = 4  # on one heavy atom; another heavy atom weighs three times as much
_TYPE_OF_HEAVY = re.compile(r"([CNOS])H(\d)")  # mapping heavy's types state both


class Topology(NamedTuple):
    """What the atoms are: the little that a mapping needs to know of an all-atom system."""

    element: np.ndarray  # (n_atoms,) str, "C"
    name: np.ndarray  # (n_atoms,) str, "CA"
    mass: np.ndarray  # (n_atoms,) [Da]
    residue_name: np.ndarray  # (n_atoms,) str
    residue_id: np.ndarray  # (n_atoms,) int, as in the file
    chain: np.ndarray  # (n_atoms,) str
    bonds: np.ndarray  # (n_bonds, 2) int


@dataclass(frozen=True, eq=False)
class BeadSystem:
    """What the beads are.

    Attributes
    ----------
    bead_type : (n_beads,) int, the number that the network embeds
    type_name : (n_beads,) str, the same by name, "CH1"
    mass : (n_beads,) [Da], hydrogens included
    charge : (n_beads,) [e], formal
    bonds : (n_bonds, 2) int
    bead_of_atom : (n_atoms,) int, -1 where an atom belongs to no bead
    bead_name, residue_name, chain : (n_beads,) str
    residue_id : (n_beads,) int, as in the source file
    mapping, mapping_hash : name and hash of the rules that made the beads
    """

    bead_type: np.ndarray
    type_name: np.ndarray
    mass: np.ndarray
    charge: np.ndarray
    bonds: np.ndarray
    bead_of_atom: np.ndarray
    bead_name: np.ndarray
    residue_name: np.ndarray
    residue_id: np.ndarray
    chain: np.ndarray
    mapping: str
    mapping_hash: str

    def __post_init__(self) -> None:
        per_bead = ("type_name", "mass", "charge", "bead_name", "residue_name", "residue_id", "chain")
        for name in per_bead:
            if len(getattr(self, name)) != self.n_beads:
                raise InputError(
                    f"BeadSystem.{name} has {len(getattr(self, name))} entries "
                    f"for {self.n_beads} beads: give one per bead"
                )
        if self.bonds.shape != (len(self.bonds), 2):
            raise InputError(f"BeadSystem.bonds has shape {self.bonds.shape}: expected (n_bonds, 2)")

    @property
    def n_beads(self) -> int:
        return len(self.bead_type)

    def has_beads_of(self, other: "BeadSystem") -> bool:
        """Whether two files are of the same beads: types, names and residues."""
        columns = ("bead_type", "bead_name", "residue_name")
        return all(np.array_equal(getattr(self, name), getattr(other, name)) for name in columns)

    @cached_property
    def residue_index(self) -> np.ndarray:
        """(n_beads,) int, residues counted from 0 through all chains; not to be written to."""
        keys = np.array([self.chain, self.residue_id.astype(str), self.residue_name])
        starts = np.any(keys[:, 1:] != keys[:, :-1], axis=0)
        index = np.concatenate([[0], np.cumsum(starts)])
        index.flags.writeable = False
        return index

    @property
    def element(self) -> np.ndarray:
        """(n_beads,) str, "C" of a bead on one heavy atom; "" of one that stands for several."""
        return np.array([element for element, _ in self._heavy_atoms], dtype="U1")

    @property
    def hydrogens(self) -> np.ndarray:
        """(n_beads,) int, folded into a bead on one heavy atom; -1 of one that stands for several."""
        return np.array([hydrogens for _, hydrogens in self._heavy_atoms], dtype=np.int64)

    @cached_property
    def _heavy_atoms(self) -> list[tuple[str, int]]:
        columns = (self.type_name.tolist(), self.bead_name.tolist(), self.mass.tolist())
        return [_heavy_atom(*bead) for bead in zip(*columns, strict=True)]


@dataclass(frozen=True, eq=False)
class BeadFrames:
    """Where the beads are and what forces act on them.

    Attributes
    ----------
    system : BeadSystem
    positions : (n_frames, n_beads, 3) [Å]
    forces : (n_frames, n_beads, 3) [kcal/mol/Å] or None
    force_noise : (n_frames, n_beads, 3) [kcal/mol/Å] or None, standard error of each force
    box : (n_frames, 3, 3) [Å] or None, rows are the box vectors
    time : (n_frames,) [ps]; 0, 1, 2 ... where it is not given
    temperature : [K] or None where it is not known
    properties : further numbers of each frame by name, (n_frames, ...): "energy" [kcal/mol, up to a constant
        of each composition], "dipole" [e Å], "total_charge" [e], "spin", or what else a network may learn
    """

    system: BeadSystem
    positions: np.ndarray
    forces: np.ndarray | None = None
    force_noise: np.ndarray | None = None
    box: np.ndarray | None = None
    time: np.ndarray = field(default_factory=lambda: np.empty(0))
    temperature: float | None = None
    properties: Mapping[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        expected = (len(self.positions), self.system.n_beads, 3)
        for name in ("positions", "forces", "force_noise"):
            array = getattr(self, name)
            if array is not None and array.shape != expected:
                raise InputError(f"BeadFrames.{name} has shape {array.shape}: expected {expected}")
        if self.box is not None and self.box.shape != (len(self), 3, 3):
            raise InputError(f"BeadFrames.box has shape {self.box.shape}: expected {(len(self), 3, 3)}")
        if len(self.time) not in (0, len(self)):
            raise InputError(f"BeadFrames.time: {len(self.time)} times for {len(self)} frames: give one each")
        for name, array in self.properties.items():
            if len(array) != len(self.positions):
                raise InputError(
                    f"BeadFrames.properties: {len(array)} of {name} for {len(self)} frames: give one each"
                )
        if len(self.time) == 0:
            object.__setattr__(self, "time", np.arange(len(self.positions), dtype=float))

    def __len__(self) -> int:
        return len(self.positions)


def _heavy_atom(type_name: str, bead_name: str, mass: float) -> tuple[str, int]:
    """Element and hydrogens of a bead: by its type if that is one of mapping heavy's, or by name and mass."""
    if stated := _TYPE_OF_HEAVY.fullmatch(type_name):
        return stated[1], int(stated[2])
    element = bead_name[:1]
    if element not in ATOMIC_MASS:
        return "", -1
    hydrogens = round((mass - ATOMIC_MASS[element]) / ATOMIC_MASS["H"])
    return (element, hydrogens) if 0 <= hydrogens <= _MOST_HYDROGENS else ("", -1)


def neighbours_of(bonds: np.ndarray, n_ends: int) -> list[list[int]]:
    """What each of n_ends atoms or beads is bonded to; bonds (n_bonds, 2) int."""
    found: list[list[int]] = [[] for _ in range(n_ends)]
    for first, second in bonds.tolist():
        found[first].append(second)
        found[second].append(first)
    return found


def bond_graph(bonds: np.ndarray, n_ends: int) -> csr_array:
    """The same as a sparse matrix (n_ends, n_ends), every bond once: for scipy's walks over graphs."""
    return csr_array((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), shape=(n_ends, n_ends))


def sides(
    bonds: np.ndarray, n_ends: int, chosen: Iterable[int] | None = None
) -> Iterator[tuple[tuple[int, int], tuple[np.ndarray, np.ndarray]]]:
    """What lies behind either end of a bond, of atoms or of beads, for every bond that is in no ring.

    Parameters
    ----------
    bonds : (n_bonds, 2) int
    n_ends : number of all atoms or beads
    chosen : numbers of the bonds that are asked for, all if None

    Yields
    ------
    the bond's ends, and of each (n_ends,) bool: what is on its side, itself included
    """
    for number in range(len(bonds)) if chosen is None else chosen:
        _, part = connected_components(bond_graph(np.delete(bonds, number, axis=0), n_ends), directed=False)
        first, second = bonds[number].tolist()
        if part[first] != part[second]:
            yield (first, second), (part == part[first], part == part[second])
