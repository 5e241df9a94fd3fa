"""MDAnalysis atoms -> Topology, with the oddities of real PDB files resolved as their users expect."""

import string
from collections import Counter
from collections.abc import Collection, Iterator
from typing import NamedTuple

import MDAnalysis
import numpy as np
from MDAnalysis.lib.distances import self_capped_distance

from cgprot.beads import ATOMIC_MASS, Topology
from cgprot.errors import InputError
from cgprot.files.alternates import is_second_location

# Residue names of water, ions and what crystals are grown in.
SOLVENT = tuple(
    "HOH WAT H2O DOD TIP TIP3 TIP4 TIP5 TP3M SOL SPC SPCE OPC NA CL K MG CA ZN LI RB CS BR IOD MN FE NI CU "
    "CD CO NA+ CL- K+ Na+ Cl- SOD CLA POT CAL CES NIO CIO SO4 PO4 GOL EDO".split()
)
_DISULFIDE_LENGTH = 2.5  # Å; a bond is 2.05, two sulphurs that only touch are beyond 3.5
_GUESS_RADII = {"C": 1.7, "N": 1.55, "O": 1.52, "S": 1.8, "SE": 1.9, "H": 1.1}
CHAIN_NAMES = string.ascii_uppercase + string.ascii_lowercase + string.digits  # a PDB has one character
_SHORTEST_BOX = 10.0  # Å; a shorter one stands for "no box" (1 x 1 x 1 in NMR and cryo-EM entries)


def choose_atoms(atoms: MDAnalysis.AtomGroup) -> tuple[MDAnalysis.AtomGroup, Counter[str]]:
    """The atoms to map: no solvent, no second alternate locations.

    Of a residue's alternate locations the one of the highest occupancy stays, the first among equals.

    Returns
    -------
    atoms, and how many were left out, by reason
    """
    solvent = np.isin(atoms.resnames, SOLVENT)
    second = ~solvent & _at_second_location(atoms)
    left_out = Counter({"solvent and ion": int(solvent.sum()), "alternate location": int(second.sum())})
    return atoms[~solvent & ~second], left_out


def _at_second_location(atoms: MDAnalysis.AtomGroup) -> np.ndarray:
    location = [name.strip() for name in getattr(atoms, "altLocs", [""] * len(atoms))]
    occupancy = np.asarray(getattr(atoms, "occupancies", np.ones(len(atoms))))
    return is_second_location(_places(atoms), location, occupancy)


def _places(atoms: MDAnalysis.AtomGroup) -> np.ndarray:
    """(n_atoms,) int, the place in the sequence: two residues at one place are alternatives."""
    codes = getattr(atoms, "icodes", np.array([""] * len(atoms)))
    keys = np.array(
        [np.asarray(atoms.segids, dtype=str), atoms.resids.astype(str), np.asarray(codes, dtype=str)]
    )
    return np.unique(keys, axis=1, return_inverse=True)[1].ravel()


def topology_of_atoms(atoms: MDAnalysis.AtomGroup, notes: Counter[str]) -> Topology:
    """The plain arrays that a mapping reads.

    MSE becomes MET. Residues that chain and number do not tell apart (insertion codes, a chain
    letter used twice, numbers that wrapped) are renumbered, and the chain gets a letter of its own;
    what was done is counted in `notes`.

    Raises
    ------
    InputError
        if an element cannot be told, or a position is not finite
    """
    element, name, residue_name = _elements(atoms), np.array(atoms.names, dtype=str), _residue_names(atoms)
    selenium = (residue_name == "MSE") & np.isin(element, ["Se", "SE"])
    mass = np.where(selenium, ATOMIC_MASS["S"], np.asarray(atoms.masses, dtype=float))
    notes["selenomethionine read as methionine"] += int(selenium.sum())
    element[selenium], name[selenium] = "S", "SD"
    residue_name[residue_name == "MSE"] = "MET"
    letters = _chain_letters(atoms)
    residues = Residues(letters, np.asarray(atoms.resids), residue_name, np.asarray(atoms.resindices))
    starts = np.flatnonzero(letters[1:] != letters[:-1]) + 1
    chain, residue_id = distinct_residues(residues, name, starts, notes)
    mass = np.where(mass > 0, mass, [ATOMIC_MASS.get(symbol, 0.0) for symbol in element])
    return Topology(element, name, mass, residue_name, residue_id, chain, _bonds(atoms, element))


def _residue_names(atoms: MDAnalysis.AtomGroup) -> np.ndarray:
    return np.array([str(name).strip() for name in atoms.resnames], dtype="U8")


class Residues(NamedTuple):
    """What tells the residues of atoms apart.

    Attributes
    ----------
    chain : (n_atoms,) str
    number : (n_atoms,) int, as in the file
    name : (n_atoms,) str
    place : (n_atoms,) int, of residues as the reader found them
    """

    chain: np.ndarray
    number: np.ndarray
    name: np.ndarray
    place: np.ndarray


def distinct_residues(
    residues: Residues, atom_name: np.ndarray, starts: np.ndarray, notes: Counter[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Chain and residue number of every atom, such that no two residues share both.

    Parameters
    ----------
    atom_name : (n_atoms,) str
    starts : first atom of every chain, without that of the first
    notes : where it is counted what was done
    """
    letters = residues.chain
    chain, residue_id = letters.astype("U8"), np.asarray(residues.number, dtype=np.int64).copy()
    seen: dict[str, set] = {}
    free = [letter for letter in CHAIN_NAMES if letter not in set(letters)]
    # A chain whose letter another one had before, with atoms that it had too, is one of its own.
    for piece in np.split(np.arange(len(letters)), starts):
        keys = set(zip(residue_id[piece].tolist(), atom_name[piece].tolist(), strict=True))
        if keys & seen.setdefault(letters[piece[0]], set()) and free:
            chain[piece] = free.pop(0)
            notes["chain with a letter used before"] += 1
        seen[letters[piece[0]]] |= keys
    for letter in np.unique(chain):
        members = np.flatnonzero(chain == letter)
        numbers = _renumbered(Residues(*(column[members] for column in residues)), atom_name[members])
        if numbers is not None:
            residue_id[members] = numbers
            notes["chain renumbered"] += 1
    return chain, residue_id


def free_chain_names(taken: Collection[str]) -> Iterator[str]:
    """Names for further chains: A to Z, a to z, 0 to 9, then two of these characters."""
    two = (first + second for first in CHAIN_NAMES for second in CHAIN_NAMES)
    return (name for name in (*CHAIN_NAMES, *two) if name not in taken)


def _renumbered(residues: Residues, atom_name: np.ndarray) -> np.ndarray | None:
    """New residue numbers of one chain, or None if its own are distinct."""
    own, names = residues.number.tolist(), residues.name.tolist()
    triples = set(zip(own, names, atom_name.tolist(), strict=True))
    if len(triples) == len(own) and len(set(zip(own, names, strict=True))) == len(set(own)):
        return None
    return int(own[0]) + np.unique(residues.place, return_inverse=True)[1]


def _chain_letters(atoms: MDAnalysis.AtomGroup) -> np.ndarray:
    chain = getattr(atoms, "chainIDs", getattr(atoms, "segids", np.array([""] * len(atoms))))
    return np.array([str(letter).strip() or "A" for letter in chain])


def _elements(atoms: MDAnalysis.AtomGroup) -> np.ndarray:
    """Element symbols from the file, or else by the nearest mass, or else by the atom's name."""
    known = np.char.capitalize(np.array(getattr(atoms, "elements", [""] * len(atoms)), dtype="U4"))
    known[known == "D"] = "H"
    if (known != "").all():
        return known
    masses = np.asarray(atoms.masses)
    symbols, values = np.array(list(ATOMIC_MASS)), np.array(list(ATOMIC_MASS.values()))
    distance = np.abs(masses[:, None] - values)
    guessed = np.where(distance.min(axis=1) < 0.7, symbols[distance.argmin(axis=1)], "X").astype("U4")
    # Repartitioned hydrogens weigh 1.5 to 4 Da; nothing else does.
    guessed[masses < 5.0] = "H"
    weightless = np.flatnonzero((known == "") & ~(masses > 0))
    guessed[weightless] = [str(name).lstrip(string.digits)[:1].upper() for name in atoms.names[weightless]]
    untold = weightless[~np.isin(guessed[weightless], symbols)]
    if len(untold):
        name, residue = atoms.names[untold[0]], atoms.resnames[untold[0]]
        raise InputError(
            f"the element of atom {name} of {residue} cannot be told: give a file that states elements"
        )
    return np.where(known != "", known, guessed)


def _bonds(atoms: MDAnalysis.AtomGroup, element: np.ndarray) -> np.ndarray:
    """The file's bonds if every hydrogen has one, else bonds by distance in the first frame."""
    local = np.full(len(atoms.universe.atoms), -1)
    local[atoms.ix] = np.arange(len(atoms))
    if hasattr(atoms, "bonds"):
        bonds = local[atoms.bonds.indices] if len(atoms.bonds) else np.empty((0, 2), dtype=int)
        bonds = bonds[(bonds >= 0).all(axis=1)]
        if np.isin(np.flatnonzero(element == "H"), bonds).all() and len(bonds) >= len(atoms) - 1:
            return bonds
    return bonds_by_distance(atoms.positions, element, usable_box(atoms.dimensions))


def usable_box(dimensions: np.ndarray | None) -> np.ndarray | None:
    """MDAnalysis's six box numbers (Å, degrees), or None where they stand for "no box"."""
    if dimensions is None or not (np.asarray(dimensions[:3]) >= _SHORTEST_BOX).all():
        return None
    return dimensions


def bonds_by_distance(
    positions: np.ndarray, element: np.ndarray, box: np.ndarray | None = None
) -> np.ndarray:
    """Covalent bonds from interatomic distances.

    Two atoms are bonded below 0.55 times the sum of their van der Waals radii (VMD's rule); a
    hydrogen is bonded to its nearest heavy atom only; two sulphurs below 2.5 Å.

    Parameters
    ----------
    positions : (n_atoms, 3) [Å]
    element : (n_atoms,) str
    box : (6,) lengths [Å] and angles [degrees], to find bonds across its faces, or None

    Returns
    -------
    (n_bonds, 2) int

    Raises
    ------
    InputError
        if a position is not finite
    """
    if not np.isfinite(positions).all():
        bad = int(np.argwhere(~np.isfinite(positions))[0, 0])
        raise InputError(f"position of atom {bad + 1} is not finite: mend or leave out that structure")
    pairs, distances = self_capped_distance(np.asarray(positions, dtype=np.float32), max_cutoff=2.5, box=box)
    radius = np.array([_GUESS_RADII.get(symbol.upper(), 2.0) for symbol in element])
    is_hydrogen = element == "H"
    both_sulphur = (element[pairs] == "S").all(axis=1)
    limit = np.where(both_sulphur, _DISULFIDE_LENGTH, 0.55 * radius[pairs].sum(axis=1))
    bonded = (distances < limit) & ~is_hydrogen[pairs].all(axis=1)
    order = np.argsort(distances[bonded])
    return _one_bond_per_hydrogen(pairs[bonded][order], is_hydrogen)


def _one_bond_per_hydrogen(pairs: np.ndarray, is_hydrogen: np.ndarray) -> np.ndarray:
    """Keep the shortest bond of each hydrogen; `pairs` come shortest first."""
    hydrogen = np.where(is_hydrogen[pairs[:, 0]], pairs[:, 0], pairs[:, 1])
    with_hydrogen = np.flatnonzero(is_hydrogen[pairs].any(axis=1))
    _, first = np.unique(hydrogen[with_hydrogen], return_index=True)
    kept = np.union1d(with_hydrogen[first], np.flatnonzero(~is_hydrogen[pairs].any(axis=1)))
    return np.sort(pairs[kept].astype(np.int64), axis=1)
