"""From a PDB or mmCIF file, or a sequence, to an all-atom structure that the force field knows."""

import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
from openmm import app, unit
from pdbfixer import PDBFixer
from pdbfixer.pdbfixer import proteinResidues, substitutions

from cgprot.beads import Topology
from cgprot.errors import InputError, UsageError
from cgprot.files.topology import SOLVENT, Residues, distinct_residues
from cgprot.reference.building import names_of, relaxed, repeatable, tell_bent_ends
from cgprot.reference.chain_names import name_chains
from cgprot.reference.forcefield import protein_forcefield
from cgprot.reference.handedness import first_inverted, righted
from cgprot.reference.peptide import PROTONATION_STATES, as_quantity, build_peptide, residue_names
from cgprot.reference.structure_file import first_line, read_structure_file
from cgprot.units import ANGSTROM_PER_NM

_PH = 7.0
CAPS = {"ACE", "NME", "NMA"}
# A protonation state as files name it -> the residue, and the name that OpenMM's Modeller has for it.
_PROTONATION_NAMES = {name: (residue, name) for name, residue in PROTONATION_STATES.items()} | {
    "HSD": ("HIS", "HID"),
    "HSE": ("HIS", "HIE"),
    "HSP": ("HIS", "HIP"),
    "CYX": ("CYS", "CYX"),
    "CYM": ("CYS", "CYX"),
}
# Names of a residue in one protonation state, CHARMM's and AMBER's -> the residue.
STANDARD_NAMES = {name: residue for name, (residue, _) in _PROTONATION_NAMES.items()}
STANDARD_NAMES |= {"ASPP": "ASP", "GLUP": "GLU", "LSN": "LYS"}
# Å; beyond the longest residues are missing between the two, below the shortest the unit is another.
_SHORTEST_PEPTIDE_BOND, _LONGEST_PEPTIDE_BOND = 0.8, 2.5


class Structure(NamedTuple):
    """All atoms of a protein, hydrogens included."""

    topology: app.Topology
    positions: np.ndarray  # (n_atoms, 3) [Å]


def load_structure(path: Path) -> Structure:
    """Read a structure and complete it: missing heavy atoms, hydrogens, MSE -> MET.

    Atoms that are there stay where they are. Residues whose name states their protonation (HIP, ASH, ...) get
    it, all others that of pH 7. Water and ions are left out, of several models the first is taken, of
    alternate locations that of the highest occupancy, chains of one letter get one each; standard error is
    told, and which atoms were built.

    Raises
    ------
    StorageError
        if the file is missing
    InputError
        if it cannot be read, holds a residue the force field does not know, or no protein, or
        a chain lacks residues in its middle
    """
    path = Path(path)
    fixer, names = read_structure_file(path)
    _refuse_unknown(path, fixer)
    _refuse_not_finite(path, fixer)
    _leave_out_solvent(path, fixer)
    _refuse_gaps(path, fixer)
    if not _is_complete(fixer.topology):
        try:
            _complete(path, fixer, names)
        except Exception as error:
            raise InputError(f"{path}: cannot be completed ({first_line(error)}): mend that residue")
    _tell_apart(path, fixer.topology)
    positions = _angstrom(fixer.positions)
    tell_bent_ends(path, fixer.topology, positions)
    return Structure(fixer.topology, positions)


def structure_from_sequence(sequence: str) -> Structure:
    """Build an extended peptide from "ACE-ALA-NME" or "GYDPETGTWG" and add its hydrogens, always the same.

    Which residues and ends came of it is told to standard error.

    Raises
    ------
    UsageError
        if the sequence names an unknown residue, or one that the force field does not know there
    """
    peptide = build_peptide(sequence)
    modeller = app.Modeller(peptide.topology, as_quantity(peptide.positions))
    try:
        with repeatable():
            modeller.addHydrogens(protein_forcefield("obc2"), pH=_PH, variants=peptide.variants)
    except ValueError as error:
        raise UsageError(
            f"--sequence {sequence}: not known to the force field ({first_line(error)}): "
            "add caps, as in ACE-ALA-NME"
        )
    names = residue_names(sequence)
    capped = names[0] == "ACE", names[-1] == "NME"
    ends = f"N-terminus {'capped' if capped[0] else 'NH3+'}, C-terminus {'capped' if capped[1] else 'COO-'}"
    print(f"--sequence: {'-'.join(names)}: residues {len(names) - sum(capped)}, {ends}", file=sys.stderr)
    return Structure(modeller.topology, _angstrom(modeller.positions))


def _angstrom(positions: unit.Quantity) -> np.ndarray:
    return np.array(positions.value_in_unit(unit.nanometer), dtype=float) * ANGSTROM_PER_NM


def _refuse_unknown(path: Path, fixer: PDBFixer) -> None:
    known = set(proteinResidues) | CAPS | set(_PROTONATION_NAMES) | set(SOLVENT) | set(substitutions)
    for residue in fixer.topology.residues():
        if residue.name not in known:
            raise InputError(
                f"{path}: unknown residue {residue.name} {residue.id} in chain {residue.chain.id}: "
                "remove it or replace it by a standard amino acid"
            )
    if all(residue.name in SOLVENT for residue in fixer.topology.residues()):
        raise InputError(f"{path}: no amino acids in it: give a protein structure")


def _refuse_not_finite(path: Path, fixer: PDBFixer) -> None:
    finite = np.isfinite(_angstrom(fixer.positions)).all(axis=1)
    if not finite.all():
        atom = list(fixer.topology.atoms())[int(np.flatnonzero(~finite)[0])]
        raise InputError(
            f"{path}: the position of {atom.name} of {atom.residue.name} {atom.residue.id} is not finite: "
            "mend that line"
        )


def _leave_out_solvent(path: Path, fixer: PDBFixer) -> None:
    solvent = [residue for residue in fixer.topology.residues() if residue.name in SOLVENT]
    if not solvent:
        return
    modeller = app.Modeller(fixer.topology, fixer.positions)
    modeller.delete(solvent)
    fixer.topology, fixer.positions = modeller.topology, modeller.positions
    print(f"{path}: residues of solvent and ions left out: {len(solvent)}", file=sys.stderr)


def _tell_missing(path: Path, fixer: PDBFixer) -> None:
    missing = fixer.missingAtoms.items()
    if missing:
        first = next(iter(fixer.missingAtoms))
        number = sum(len(atoms) for _, atoms in missing)
        print(
            f"{path}: missing heavy atoms built: {number} in {len(missing)} residues, the first in "
            f"{first.name} {first.id}",
            file=sys.stderr,
        )


def _tell_apart(path: Path, topology: app.Topology) -> None:
    """Name the chains, and say so; residues get their numbers in `topology_of`, and that is said here too."""
    notes: Counter[str] = Counter()
    name_chains(topology, notes)
    _distinct(topology, notes)
    for what, count in notes.items():
        print(f"{path}: chains of one letter or residues of one number: {what}: {count}", file=sys.stderr)


def _refuse_gaps(path: Path, fixer: PDBFixer) -> None:
    positions = _angstrom(fixer.positions)
    for chain in fixer.topology.chains():
        for one, two in pairwise(chain.residues()):
            carbon = next((atom.index for atom in one.atoms() if atom.name == "C"), None)
            nitrogen = next((atom.index for atom in two.atoms() if atom.name == "N"), None)
            if carbon is None or nitrogen is None:
                continue
            length = np.linalg.norm(positions[carbon] - positions[nitrogen])
            if length < _SHORTEST_PEPTIDE_BOND:
                raise InputError(
                    f"{path}: C of {one.name} {one.id} and N of {two.name} {two.id} are {length:.2f} Å "
                    "apart: give coordinates in Å, not in nm"
                )
            if length > _LONGEST_PEPTIDE_BOND:
                raise InputError(
                    f"{path}: chain {chain.id} is broken between {one.name} {one.id} and {two.name} "
                    f"{two.id} (C-N {length:.1f} Å): model what is missing, or end a chain there (TER)"
                )


def _is_complete(topology: app.Topology) -> bool:
    """Whether the force field has a template for every residue as it stands."""
    return not protein_forcefield("obc2").getUnmatchedResidues(topology)


def _complete(path: Path, fixer: PDBFixer, names: dict[tuple[str, str], str]) -> None:
    variants = []
    for residue in fixer.topology.residues():
        name = names.get((residue.chain.id, residue.id + residue.insertionCode.strip()), residue.name)
        residue.name, variant = _PROTONATION_NAMES.get(name, (residue.name, None))
        variants.append(variant)
    fixer.findNonstandardResidues()
    for residue, standard in fixer.nonstandardResidues:
        print(f"{path}: {residue.name} {residue.id} replaced by {standard}", file=sys.stderr)
    fixer.replaceNonstandardResidues()
    # Loops that the experiment did not see are not invented.
    fixer.missingResidues = {}
    fixer.findMissingAtoms()
    _tell_missing(path, fixer)
    there = names_of(fixer.topology)
    with repeatable():
        fixer.addMissingAtoms(seed=1)
        built = righted(fixer.topology, _angstrom(fixer.positions), there)
        modeller = app.Modeller(fixer.topology, as_quantity(built))
        modeller.addHydrogens(pH=_PH, variants=variants)
    fixer.topology, fixer.positions = modeller.topology, modeller.positions
    if names_of(fixer.topology, hydrogens=False) - there:
        positions = relaxed(path, fixer.topology, _angstrom(fixer.positions), there)
        if mirrored := first_inverted(fixer.topology, positions, there):
            raise InputError(f"{mirrored} comes out as its mirror image: more of it must be there")
        fixer.positions = as_quantity(positions)


def topology_of(topology: app.Topology) -> Topology:
    """OpenMM's topology as the plain arrays that a mapping reads, no two residues of one chain and number."""
    atoms = list(topology.atoms())
    chain, residue_id = _distinct(topology, Counter())
    return Topology(
        element=np.array([atom.element.symbol for atom in atoms]),
        name=np.array([atom.name for atom in atoms]),
        mass=np.array([atom.element.mass.value_in_unit(unit.dalton) for atom in atoms]),
        residue_name=np.array([atom.residue.name for atom in atoms]),
        residue_id=residue_id,
        chain=chain,
        bonds=np.array([[bond[0].index, bond[1].index] for bond in topology.bonds()]).reshape(-1, 2),
    )


def _distinct(topology: app.Topology, notes: Counter[str]) -> tuple[np.ndarray, np.ndarray]:
    """Chain and residue number of every atom; a number with insertion codes is several residues'."""
    atoms = list(topology.atoms())
    chains = np.array([atom.residue.chain.index for atom in atoms])
    residues = Residues(
        chain=np.array([atom.residue.chain.id for atom in atoms]),
        number=np.array([int(atom.residue.id) for atom in atoms]),
        name=np.array([atom.residue.name for atom in atoms]),
        place=np.array([atom.residue.index for atom in atoms]),
    )
    names = np.array([atom.name for atom in atoms])
    return distinct_residues(residues, names, np.flatnonzero(np.diff(chains)) + 1, notes)
