"""A PDB or mmCIF file as PDBFixer's structure, and the names of residues as they are written there."""

import sys
from io import StringIO
from pathlib import Path

import numpy as np
from openmm.app.internal.pdbstructure import PdbStructure
from openmm.app.internal.pdbx.reader.PdbxReader import PdbxReader
from pdbfixer import PDBFixer
from pdbfixer.pdbfixer import _guessFileFormat

from cgprot.errors import InputError, StorageError
from cgprot.files.universe import names_atoms

ResidueNames = dict[tuple[str, str], str]  # by chain and residue number, as written
_ATOMS = ("ATOM  ", "HETATM")


def read_structure_file(path: Path) -> tuple[PDBFixer, ResidueNames]:
    """All atoms of the first model; which models and alternate locations stay out is told on stderr.

    Of a residue's alternate locations the one of the highest occupancy stays, the first among equals, as in
    `cgprot.files.topology.choose_atoms`; of those of an mmCIF the first.

    Raises
    ------
    StorageError
        if the file is missing
    InputError
        if it cannot be read
    """
    if not path.is_file():
        raise StorageError(f"{path}: no such file: check the path")
    try:
        return _read_pdb(path) if _is_pdb(path) else _read_mmcif(path)
    except Exception as error:  # PDBFixer and OpenMM raise many types, AttributeError included
        reason = f"{first_line(error)}{_torn_line(path)}" if names_atoms(path) else "no atoms in it"
        raise InputError(f"{path}: not a PDB or mmCIF structure ({reason}): check the file")


def first_line(error: Exception) -> str:
    """What went wrong, without OpenMM's advice after it."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].split(".  ")[0]


def _is_pdb(path: Path) -> bool:
    with open(path) as stream:
        return _guessFileFormat(stream, path.name) == "pdb"


def _read_pdb(path: Path) -> tuple[PDBFixer, ResidueNames]:
    lines = path.read_text().splitlines(keepends=True)
    first_model = next((n for n, line in enumerate(lines) if line.startswith("ENDMDL")), len(lines))
    second = _second_locations(lines[:first_model])
    kept = "".join(line for number, line in enumerate(lines) if number not in second)
    fixer = PDBFixer(pdbfile=StringIO(kept))
    # OpenMM's topology reads HIP, ASH and their like as HIS, ASP.
    chains = PdbStructure(StringIO(kept)).models[0].iter_chains()
    residues = [(chain.chain_id, residue) for chain in chains for residue in chain.iter_residues()]
    _tell_alternatives(path, lines)
    return fixer, {(chain, f"{r.number}{r.insertion_code.strip()}"): r.get_name() for chain, r in residues}


def _second_locations(lines: list[str]) -> set[int]:
    """Numbers of the lines of atoms that stay out; an atom that only another location has is one of them."""
    located = [n for n, line in enumerate(lines) if line.startswith(_ATOMS) and line[16:17].strip()]
    occupancy: dict[str, dict[str, list[float]]] = {}
    for n in located:
        place, location = lines[n][21:27], lines[n][16]
        occupancy.setdefault(place, {}).setdefault(location, []).append(_occupancy(lines[n]))
    best = {place: max(found, key=lambda each: np.mean(found[each])) for place, found in occupancy.items()}
    return {n for n in located if lines[n][16] != best[lines[n][21:27]]}


def _occupancy(line: str) -> float:
    try:
        return float(line[54:60])
    except ValueError:  # blank or stars
        return 1.0


def _tell_alternatives(path: Path, lines: list[str]) -> None:
    models = sum(line.startswith("MODEL ") for line in lines)
    locations = {line[16:17] for line in lines if line.startswith(_ATOMS)} - {" "}
    if models > 1:
        print(f"{path}: the first of {models} models taken", file=sys.stderr)
    if len(locations) > 1:
        names = ", ".join(sorted(locations))
        print(f"{path}: of alternate locations {names} that of the highest occupancy taken", file=sys.stderr)


def _read_mmcif(path: Path) -> tuple[PDBFixer, ResidueNames]:
    fixer = PDBFixer(filename=str(path))
    blocks: list = []
    with open(path) as stream:
        PdbxReader(stream).read(blocks)
    table = blocks[0].getObj("atom_site")
    column = {name: table.getAttributeIndex(name) for name in table.getAttributeList()}
    chain, number, name = (
        column.get(f"auth_{key}", column.get(f"label_{key}")) for key in ("asym_id", "seq_id", "comp_id")
    )
    return fixer, {(row[chain], row[number]): row[name] for row in table.getRowList()}


def _torn_line(path: Path) -> str:
    """Where the first atom of a PDB file stands whose coordinates are no numbers, if there is one."""
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        if line.startswith(("ATOM  ", "HETATM")) and path.suffix.lower() in (".pdb", ".ent"):
            try:
                [float(line[first : first + 8]) for first in (30, 38, 46)]
            except ValueError:
                return f", line {number}"
    return ""
