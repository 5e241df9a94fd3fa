"""From a PDB or mmCIF file, or a sequence, to an all-atom structure that the force field knows."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from openmm import app, unit
from pdbfixer import PDBFixer
from pdbfixer.pdbfixer import proteinResidues, substitutions

from cgprot.beads import Topology
from cgprot.errors import InputError, StorageError
from cgprot.reference.forcefield import protein_forcefield
from cgprot.reference.peptide import as_quantity, build_peptide
from cgprot.units import ANGSTROM_PER_NM

_PH = 7.0
_CAPS = {"ACE", "NME", "NMA"}
_PROTONATION_NAMES = {"HID", "HIE", "HIP", "ASH", "GLH", "LYN", "CYX", "CYM"}
_SOLVENT = {"HOH", "WAT", "NA", "CL", "K", "MG", "CA", "ZN", "SO4", "GOL", "EDO"}


class Structure(NamedTuple):
    """All atoms of a protein, hydrogens included."""

    topology: app.Topology
    positions: np.ndarray  # (n_atoms, 3) [Å]


def load_structure(path: Path) -> Structure:
    """Read a structure and complete it: missing heavy atoms, hydrogens at pH 7, MSE -> MET.

    Atoms that are there stay where they are; water and ions are left out.

    Raises
    ------
    StorageError
        if the file is missing
    InputError
        if it cannot be read, or holds a residue the force field does not know, or no protein
    """
    path = Path(path)
    if not path.is_file():
        raise StorageError(f"{path}: no such file: check the path")
    try:
        fixer = PDBFixer(filename=str(path))
    except Exception as error:  # PDBFixer and OpenMM raise many types, AttributeError included
        raise InputError(f"{path}: not a PDB or mmCIF structure ({error}): check the file")
    _refuse_unknown(path, fixer)
    _refuse_not_finite(path, fixer)
    if not _is_complete(fixer.topology):
        _complete(fixer)
    return Structure(fixer.topology, _angstrom(fixer.positions))


def structure_from_sequence(sequence: str) -> Structure:
    """Build an extended peptide from "ACE-ALA-NME" and add its hydrogens.

    Raises
    ------
    UsageError
        if the sequence names an unknown residue
    """
    peptide = build_peptide(sequence)
    modeller = app.Modeller(peptide.topology, as_quantity(peptide.positions))
    modeller.addHydrogens(protein_forcefield("obc2"), pH=_PH, variants=peptide.variants)
    return Structure(modeller.topology, _angstrom(modeller.positions))


def _angstrom(positions: unit.Quantity) -> np.ndarray:
    return np.array(positions.value_in_unit(unit.nanometer), dtype=float) * ANGSTROM_PER_NM


def _refuse_unknown(path: Path, fixer: PDBFixer) -> None:
    known = set(proteinResidues) | _CAPS | _PROTONATION_NAMES | _SOLVENT | set(substitutions)
    for residue in fixer.topology.residues():
        if residue.name not in known:
            raise InputError(
                f"{path}: unknown residue {residue.name} {residue.id} in chain {residue.chain.id}: "
                "remove it or replace it by a standard amino acid"
            )
    if all(residue.name in _SOLVENT for residue in fixer.topology.residues()):
        raise InputError(f"{path}: no amino acids in it: give a protein structure")


def _refuse_not_finite(path: Path, fixer: PDBFixer) -> None:
    finite = np.isfinite(_angstrom(fixer.positions)).all(axis=1)
    if not finite.all():
        atom = list(fixer.topology.atoms())[int(np.flatnonzero(~finite)[0])]
        raise InputError(
            f"{path}: the position of {atom.name} of {atom.residue.name} {atom.residue.id} is not finite: "
            "mend that line"
        )


def _is_complete(topology: app.Topology) -> bool:
    """Whether the force field has a template for every residue as it stands."""
    return not protein_forcefield("obc2").getUnmatchedResidues(topology)


def _complete(fixer: PDBFixer) -> None:
    fixer.findNonstandardResidues()
    fixer.replaceNonstandardResidues()
    fixer.removeHeterogens(keepWater=False)
    # Loops that the experiment did not see are not invented.
    fixer.missingResidues = {}
    fixer.findMissingAtoms()
    fixer.addMissingAtoms(seed=1)
    fixer.addMissingHydrogens(_PH)


def topology_of(topology: app.Topology) -> Topology:
    """OpenMM's topology as the plain arrays that a mapping reads."""
    atoms = list(topology.atoms())
    return Topology(
        element=np.array([atom.element.symbol for atom in atoms]),
        name=np.array([atom.name for atom in atoms]),
        mass=np.array([atom.element.mass.value_in_unit(unit.dalton) for atom in atoms]),
        residue_name=np.array([atom.residue.name for atom in atoms]),
        residue_id=np.array([int(atom.residue.id) for atom in atoms]),
        chain=np.array([atom.residue.chain.id for atom in atoms]),
        bonds=np.array([[bond[0].index, bond[1].index] for bond in topology.bonds()]).reshape(-1, 2),
    )
