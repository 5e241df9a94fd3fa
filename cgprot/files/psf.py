"""PSF files: what beads or atoms are and how they are bonded, for every viewer and analysis.

MDAnalysis, mdtraj and OpenMM read them. The remarks carry the mapping and the bead type numbers,
so that a PSF gives a BeadSystem back without loss.
"""

from pathlib import Path

import numpy as np

from cgprot.beads import BeadSystem, Topology
from cgprot.errors import InputError, StorageError
from cgprot.files.folder import write_text

_BONDS_PER_LINE = 4
# Readers split the columns at blanks: a column that a PDB may leave blank holds these instead.
_NO_CHAIN, _NO_NAME = "A", "X"


def write_psf(path: Path, system: BeadSystem) -> None:
    """Write the beads of `system` as a PSF (EXT format, atom ids from 1 without gaps)."""
    types = dict(zip(system.type_name.tolist(), system.bead_type.tolist(), strict=True))
    remarks = [
        f"cgprot mapping {system.mapping} {system.mapping_hash}",
        "cgprot types " + " ".join(f"{name}={number}" for name, number in sorted(types.items())),
    ]
    write_text(
        path,
        _psf_text(
            remarks,
            system.chain,
            system.residue_id,
            system.residue_name,
            system.bead_name,
            system.type_name,
            system.charge,
            system.mass,
            system.bonds,
        ),
    )


def write_atom_psf(path: Path, topology: Topology, charge: np.ndarray) -> None:
    """Write an all-atom topology as a PSF; `charge` (n_atoms,) [e] are the force field's."""
    text = _psf_text(
        ["cgprot all-atom topology"],
        topology.chain,
        topology.residue_id,
        topology.residue_name,
        topology.name,
        topology.element,
        charge,
        topology.mass,
        topology.bonds,
    )
    write_text(path, text)


def _psf_text(remarks, chain, residue_id, residue_name, name, type_name, charge, mass, bonds) -> str:
    lines = ["PSF EXT XPLOR", "", f"{len(remarks):10d} !NTITLE"]
    lines += [f" REMARKS {remark}" for remark in remarks]
    lines += ["", f"{len(name):10d} !NATOM"]
    for i in range(len(name)):
        lines.append(
            f"{i + 1:10d} {_word(chain[i], _NO_CHAIN):<8} {residue_id[i]:<8d} "
            f"{_word(residue_name[i], _NO_NAME):<8} {_word(name[i], _NO_NAME):<8} "
            f"{_word(type_name[i], _NO_NAME):<4} {charge[i]:14.6f}{mass[i]:14.6f}{0:8d}"
        )
    lines += ["", f"{len(bonds):10d} !NBOND: bonds"]
    lines += _bond_lines(bonds)
    for section in (
        "!NTHETA: angles",
        "!NPHI: dihedrals",
        "!NIMPHI: impropers",
        "!NDON: donors",
        "!NACC: acceptors",
    ):
        lines += ["", f"{0:10d} {section}", ""]
    # OpenMM's reader wants the empty line of NNB and one group of no atoms.
    lines += ["", f"{0:10d} !NNB", "", "", f"{1:10d}{0:10d} !NGRP NST2", f"{0:10d}{0:10d}{0:10d}", ""]
    return "\n".join(lines) + "\n"


def _word(text: str, if_blank: str) -> str:
    return "".join(str(text).split()) or if_blank


def _bond_lines(bonds: np.ndarray) -> list[str]:
    rows = [bonds[i : i + _BONDS_PER_LINE] + 1 for i in range(0, len(bonds), _BONDS_PER_LINE)]
    return ["".join(f"{atom:10d}" for atom in row.ravel()) for row in rows]


def read_psf(path: Path) -> BeadSystem:
    """Read the beads that `write_psf` wrote.

    Raises
    ------
    StorageError
        if the file cannot be read
    InputError
        if it is not a PSF of beads
    """
    try:
        return _parse(Path(path).read_text().splitlines())
    except OSError as error:
        raise StorageError(f"{path}: could not be read ({error}): give the PSF that cgprot wrote")
    except (StopIteration, ValueError, KeyError, IndexError):
        raise InputError(f"{path}: not a PSF of beads: give one that `cgprot map` or `simulate` wrote")


def _parse(lines: list[str]) -> BeadSystem:
    remarks = {line.split()[2]: line.split()[3:] for line in lines if line.startswith(" REMARKS cgprot")}
    mapping, mapping_hash = remarks["mapping"]
    numbers = {name: int(number) for name, number in (entry.split("=") for entry in remarks["types"])}
    atoms = [line.split() for line in _section(lines, "!NATOM")]
    columns = list(zip(*atoms, strict=True))
    bonds = np.array(" ".join(_section(lines, "!NBOND")).split(), dtype=np.int64)
    return BeadSystem(
        bead_type=np.array([numbers[name] for name in columns[5]]),
        type_name=np.array(columns[5]),
        mass=np.array(columns[7], dtype=float),
        charge=np.array(columns[6], dtype=float),
        bonds=bonds.reshape(-1, 2) - 1,
        bead_of_atom=np.arange(len(atoms)),
        bead_name=np.array(columns[4]),
        residue_name=np.array(columns[3]),
        residue_id=np.array(columns[2], dtype=np.int64),
        chain=np.array(columns[1]),
        mapping=mapping,
        mapping_hash=mapping_hash,
    )


def _section(lines: list[str], mark: str) -> list[str]:
    start = next(i for i, line in enumerate(lines) if mark in line)
    count = int(lines[start].split()[0])
    rows = count if mark == "!NATOM" else -(-count // _BONDS_PER_LINE)
    return lines[start + 1 : start + 1 + rows]
