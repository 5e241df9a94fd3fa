"""Peptides from a sequence: "ACE-ALA-NME" or "GYDPETGTWG" -> an extended all-heavy-atom chain."""

from importlib.resources import files
from typing import NamedTuple

import numpy as np
from openmm import Vec3, app, unit
from pdbfixer.pdbfixer import substitutions
from scipy.spatial.distance import cdist
from scipy.spatial.transform import Rotation

from cgprot.errors import UsageError
from cgprot.units import ANGSTROM_PER_NM

# A protonation state in the sequence -> the residue it is a state of (names of OpenMM's Modeller).
PROTONATION_STATES = {
    "HID": "HIS",
    "HIE": "HIS",
    "HIP": "HIS",
    "ASH": "ASP",
    "GLH": "GLU",
    "LYN": "LYS",
}
_ONE_LETTER = dict(
    zip(
        "ARNDCQEGHILKMFPSTWYV",
        "ALA ARG ASN ASP CYS GLN GLU GLY HIS ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL".split(),
        strict=True,
    )
)
_TEMPLATES = files("pdbfixer") / "templates"
# Engh and Huber, International Tables for Crystallography F (2001), table 18.3.2.3: Å and degrees.
_N_CA, _CA_C, _C_N, _C_O = 1.459, 1.525, 1.336, 1.229
_N_CA_C, _CA_C_N, _C_N_CA, _CA_C_O = 111.0, 117.2, 121.7, 120.1
_PHI, _PHI_PROLINE, _PSI = -120.0, -65.0, 130.0
_UP_TO_CB = {"N", "CA", "C", "O", "OXT", "CB"}
_CLEAR = 3.0  # Å, from a heavy atom of another residue; there is no need to go farther


class Peptide(NamedTuple):
    """A chain of heavy atoms, with the protonation state asked for each residue (None: by pH)."""

    topology: app.Topology
    positions: np.ndarray  # (n_atoms, 3) [Å]
    variants: list[str | None]


def build_peptide(sequence: str) -> Peptide:
    """An extended peptide (φ -120°, ψ 130°, ω 180°); no side chain stands in another if a turn of χ1 helps.

    Parameters
    ----------
    sequence : see `residue_names`

    Raises
    ------
    UsageError
        if a name is unknown or a cap stands inside the chain
    """
    names = residue_names(sequence)
    _check(names, sequence)
    topology, positions = app.Topology(), []
    chain = topology.addChain("A")
    backbone = _backbone(names)
    for index, name in enumerate(names):
        residue_name = PROTONATION_STATES.get(name, name)
        residue = topology.addResidue(residue_name, chain, str(index + 1))
        for atom_name, element, position in _residue_atoms(residue_template(residue_name), backbone[index]):
            topology.addAtom(atom_name, element, residue)
            positions.append(position)
    topology.createStandardBonds()
    variants = [name if name in PROTONATION_STATES else None for name in names]
    return Peptide(topology, _apart(topology, np.array(positions)), variants)


def residue_names(sequence: str) -> list[str]:
    """Three-letter names of a sequence in either code.

    Parameters
    ----------
    sequence : "ALA-GLY-TRP", or "AGW" in one-letter codes, which the caps may embrace: "ACE-AGW-NME". ACE
        and NME are caps, HID, HIE, HIP, ASH, GLH and LYN protonation states. Three letters that name a
        residue are that residue: "ALA" is alanine, Ala-Leu-Ala is "ALA-LEU-ALA".
    """
    names = sequence.upper().split("-")
    first, last = int(names[0] == "ACE"), len(names) - (names[-1] == "NME")
    inner = names[first:last]
    # SEP and MSE are residues, if ones that cannot be built, and no Ser-Glu-Pro and Met-Ser-Glu.
    letters = inner[0] if len(inner) == 1 else ""
    is_name = _is_known(letters) or letters in substitutions
    if letters and not is_name and set(letters) <= _ONE_LETTER.keys():
        return [*names[:first], *(_ONE_LETTER[letter] for letter in letters), *names[last:]]
    return names


def _is_known(name: str) -> bool:
    residue_name = PROTONATION_STATES.get(name, name)
    # Names of one or two letters are nucleotides.
    return len(residue_name) == 3 and (_TEMPLATES / f"{residue_name}.pdb").is_file()


def residue_template(name: str) -> app.PDBFile:
    """Ideal coordinates of a residue, as PDBFixer ships them."""
    return app.PDBFile(str(_TEMPLATES / f"{name}.pdb"))


def _check(names: list[str], sequence: str) -> None:
    for index, name in enumerate(names):
        if not _is_known(name):
            raise UsageError(
                f"--sequence {sequence}: unknown residue {name!r}: use names as ALA, joined by '-', or "
                "one-letter codes"
            )
        if (name == "ACE" and index > 0) or (name == "NME" and index < len(names) - 1):
            raise UsageError(f"--sequence {sequence}: cap {name} inside the chain: ACE comes first, NME last")


def _place(
    a: np.ndarray, b: np.ndarray, c: np.ndarray, length: float, angle: float, dihedral: float
) -> np.ndarray:
    """The atom d with bond c-d, angle b-c-d and dihedral a-b-c-d (Å, degrees)."""
    angle, dihedral = np.radians(angle), np.radians(dihedral)
    axis = (c - b) / np.linalg.norm(c - b)
    normal = np.cross(b - a, axis)
    normal /= np.linalg.norm(normal)
    side = np.cross(normal, axis)
    return c + length * (
        -np.cos(angle) * axis
        + np.sin(angle) * np.cos(dihedral) * side
        + np.sin(angle) * np.sin(dihedral) * normal
    )


def _backbone(names: list[str]) -> list[dict[str, np.ndarray]]:
    """N, CA, C, O of every residue [Å]; in a cap the methyl carbon stands for CA."""
    angle = np.radians(_N_CA_C)
    n, ca = np.zeros(3), np.array([_N_CA, 0.0, 0.0])
    c = ca + _CA_C * np.array([-np.cos(angle), np.sin(angle), 0.0])
    chain = [{"N": n, "CA": ca, "C": c}]
    for name in names[1:]:
        n = _place(n, ca, c, _C_N, _CA_C_N, _PSI)
        ca_next = _place(ca, c, n, _N_CA, _C_N_CA, 180.0)
        c_next = _place(c, n, ca_next, _CA_C, _N_CA_C, _PHI_PROLINE if name == "PRO" else _PHI)
        chain[-1]["O"] = _oxygen(chain[-1])
        ca, c = ca_next, c_next
        chain.append({"N": n, "CA": ca, "C": c})
    chain[-1]["O"] = _oxygen(chain[-1])
    if names[-1] != "NME":
        chain[-1]["OXT"] = _place(n, ca, c, _C_O, _CA_C_O, _PSI)
    return chain


def _oxygen(residue: dict[str, np.ndarray]) -> np.ndarray:
    return _place(residue["N"], residue["CA"], residue["C"], _C_O, _CA_C_O, _PSI + 180.0)


def _residue_atoms(template, backbone: dict[str, np.ndarray]):
    """(name, element, position [Å]) of a residue's heavy atoms, its template laid on the backbone."""
    atoms = [atom for atom in template.topology.atoms() if atom.name != "OXT"]
    coordinates = np.array(template.positions.value_in_unit(unit.nanometer)) * ANGSTROM_PER_NM
    targets = dict(backbone)
    if atoms[0].residue.name == "ACE":
        targets = {"CH3": backbone["CA"], "C": backbone["C"], "O": backbone["O"]}
    elif atoms[0].residue.name == "NME":
        targets = {"N": backbone["N"], "C": backbone["CA"]}
    laid = _lay(atoms, coordinates, targets)
    for atom in atoms:
        yield atom.name, atom.element, targets[atom.name] if atom.name in targets else laid[atom.index]
    if "OXT" in targets:
        yield "OXT", app.element.oxygen, targets["OXT"]


def _lay(atoms: list, coordinates: np.ndarray, targets: dict[str, np.ndarray]) -> np.ndarray:
    """The template's coordinates [Å] turned and shifted onto the targets it shares, O apart."""
    if all(atom.name in targets for atom in atoms):
        return coordinates
    shared = [atom for atom in atoms if atom.name in targets and atom.name[0] != "O"]
    moving = coordinates[[atom.index for atom in shared]]
    fixed = np.array([targets[atom.name] for atom in shared])
    rotation, _ = Rotation.align_vectors(fixed - fixed.mean(axis=0), moving - moving.mean(axis=0))
    return rotation.apply(coordinates - moving.mean(axis=0)) + fixed.mean(axis=0)


def _apart(topology: app.Topology, positions: np.ndarray) -> np.ndarray:
    """Positions [Å] with χ1 120 or 240 degrees on where a side chain would come too near another residue."""
    positions = positions.copy()
    for residue in topology.residues():
        index = {atom.name: atom.index for atom in residue.atoms()}
        beyond = [number for name, number in index.items() if name not in _UP_TO_CB]
        if not beyond or not {"CA", "CB"} <= index.keys() or residue.name == "PRO":
            continue
        others = np.delete(positions, list(index.values()), axis=0)
        axis = positions[index["CB"]] - positions[index["CA"]]
        axis /= np.linalg.norm(axis)
        turns = Rotation.from_rotvec(np.radians([0.0, 120.0, 240.0])[:, None] * axis)
        arms = positions[beyond] - positions[index["CB"]]
        turned = [turn.apply(arms) + positions[index["CB"]] for turn in turns]
        positions[beyond] = max(turned, key=lambda atoms: cdist(atoms, others).min(initial=_CLEAR))
    return positions


def as_quantity(positions: np.ndarray) -> unit.Quantity:
    """Positions [Å] as OpenMM wants them."""
    return [Vec3(*row) for row in positions / ANGSTROM_PER_NM] * unit.nanometer
