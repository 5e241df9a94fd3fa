"""A PDB or mmCIF file as PDBFixer's structure, and the names of residues as they are written there."""

import sys
from collections.abc import Hashable
from io import StringIO
from pathlib import Path
from typing import NamedTuple

import numpy as np
from openmm.app.internal.pdbstructure import PdbStructure
from openmm.app.internal.pdbx.reader.PdbxContainers import DataCategory
from openmm.app.internal.pdbx.reader.PdbxReader import PdbxReader
from openmm.app.internal.pdbx.writer.PdbxWriter import PdbxWriter
from pdbfixer import PDBFixer
from pdbfixer.pdbfixer import _guessFileFormat

from cgprot.errors import InputError, StorageError
from cgprot.files.alternates import is_second_location
from cgprot.files.universe import names_atoms

ResidueNames = dict[tuple[str, str], str]  # by chain and residue number, as written
_ATOMS = ("ATOM  ", "HETATM")
_UNSAID = (".", "?")  # in an mmCIF


class _Site(NamedTuple):
    """Of an atom, what tells that others are the same one in another location."""

    place: Hashable  # the residue
    location: str  # "" where there is but one
    occupancy: float


def read_structure_file(path: Path) -> tuple[PDBFixer, ResidueNames]:
    """All atoms of the first model; which models and alternate locations stay out is told on stderr.

    Of a residue's alternate locations the one of the highest occupancy stays, the first among equals, as in
    `cgprot map`.

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
    sites = {
        n: _Site(line[21:27], line[16:17].strip(), _occupancy(line[54:60]))
        for n, line in enumerate(lines[:first_model])
        if line.startswith(_ATOMS)
    }
    _tell_left_out(path, sites, sum(line.startswith("MODEL ") for line in lines))
    second = _second_locations(sites)
    kept = "".join(line for number, line in enumerate(lines) if number not in second)
    fixer = PDBFixer(pdbfile=StringIO(kept))
    # OpenMM's topology reads HIP, ASH and their like as HIS, ASP.
    chains = PdbStructure(StringIO(kept)).models[0].iter_chains()
    residues = [(chain.chain_id, residue) for chain in chains for residue in chain.iter_residues()]
    return fixer, {(chain, f"{r.number}{r.insertion_code.strip()}"): r.get_name() for chain, r in residues}


def _read_mmcif(path: Path) -> tuple[PDBFixer, ResidueNames]:
    blocks: list = []
    with open(path) as stream:
        PdbxReader(stream).read(blocks)
    table = blocks[0].getObj("atom_site")
    models = _column(table, "pdbx_PDB_model_num")
    chain, number, name = (
        _column(table, f"auth_{key}", f"label_{key}") for key in ("asym_id", "seq_id", "comp_id")
    )
    places = zip(chain, number, _column(table, "pdbx_PDB_ins_code"), strict=True)
    shares = [_occupancy(word) for word in _column(table, "occupancy")]
    every = map(_Site, places, _column(table, "label_alt_id"), shares)
    sites = {n: site for n, site in enumerate(every) if models[n] == models[0]}
    _tell_left_out(path, sites, len(set(models)))
    second = _second_locations(sites)
    table.setRowList([row for n, row in enumerate(table.getRowList()) if n in sites and n not in second])
    kept = StringIO()
    PdbxWriter(kept).write(blocks)
    kept.seek(0)
    return PDBFixer(pdbxfile=kept), dict(zip(zip(chain, number, strict=True), name, strict=True))


def _column(table: DataCategory, *names: str) -> list[str]:
    """Of the first of these columns that there is, the words of all rows; "" where nothing is said."""
    there = [name for name in names if table.hasAttribute(name)]
    if not there:
        return [""] * table.getRowCount()
    index = table.getAttributeIndex(there[0])
    return ["" if row[index] in _UNSAID else row[index] for row in table.getRowList()]


def _second_locations(sites: dict[int, _Site]) -> set[int]:
    """Of the atoms, by their rows, those that stay out."""
    places = {site.place: index for index, site in enumerate(sites.values())}
    residue = np.array([places[site.place] for site in sites.values()], dtype=int)
    occupancy = np.array([site.occupancy for site in sites.values()])
    second = is_second_location(residue, [site.location for site in sites.values()], occupancy)
    return set(np.array(list(sites), dtype=int)[second].tolist())


def _occupancy(word: str) -> float:
    try:
        return float(word)
    except ValueError:  # blank or stars
        return 1.0


def _tell_left_out(path: Path, sites: dict[int, _Site], models: int) -> None:
    if models > 1:
        print(f"{path}: the first of {models} models taken", file=sys.stderr)
    locations = {site.location for site in sites.values()} - {""}
    if len(locations) > 1:
        names = ", ".join(sorted(locations))
        print(f"{path}: of alternate locations {names} that of the highest occupancy taken", file=sys.stderr)


def _torn_line(path: Path) -> str:
    """Where the first atom of a PDB file stands whose coordinates are no numbers, if there is one."""
    for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
        if line.startswith(("ATOM  ", "HETATM")) and path.suffix.lower() in (".pdb", ".ent"):
            try:
                [float(line[first : first + 8]) for first in (30, 38, 46)]
            except ValueError:
                return f", line {number}"
    return ""
