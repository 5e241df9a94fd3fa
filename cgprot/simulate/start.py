"""Where a simulation starts: a structure file, all-atom or hydrogen-free, as beads."""

from pathlib import Path

import numpy as np

from cgprot.beads import BeadFrames, BeadSystem, Topology
from cgprot.errors import InputError
from cgprot.files.psf import read_psf
from cgprot.files.universe import AtomSource
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import load_rules


def load_start(path: Path, mapping: str) -> BeadFrames:
    """One frame of beads from a structure.

    A hydrogen-free PDB with the PSF that cgprot wrote beside it (same name) keeps exactly those
    beads. Any other structure, with hydrogens or without, is completed first: missing heavy atoms
    and hydrogens at pH 7, water and ions left out; atoms that are there do not move.

    Parameters
    ----------
    path : PDB or mmCIF
    mapping : name of the mapping that the model was trained on

    Raises
    ------
    StorageError, InputError
        if the file is missing or no structure of a protein
    """
    psf = Path(path).with_suffix(".psf")
    if psf.is_file() and _holds_beads(psf):
        system = read_psf(psf)
        return _one_frame(system, _bead_positions(Path(path), system))
    from cgprot.reference.structure import load_structure, topology_of  # OpenMM: seconds to import

    structure = load_structure(Path(path))
    topology: Topology = topology_of(structure.topology)
    rules = load_rules(mapping)
    system = build_system(topology, rules)
    return _one_frame(system, Projection(topology, system, rules).positions(structure.positions))


def _holds_beads(psf: Path) -> bool:
    try:
        with open(psf) as stream:
            return any("cgprot mapping" in line for _, line in zip(range(10), stream, strict=False))
    except UnicodeDecodeError:
        raise InputError(f"{psf}: not text, hence no PSF: move it away from the structure or replace it")


def _bead_positions(path: Path, system: BeadSystem) -> np.ndarray:
    frame = next(iter(AtomSource(path, [])))
    if len(frame.positions) != system.n_beads:
        raise InputError(
            f"{path}: {len(frame.positions)} beads, its PSF has {system.n_beads}: they do not belong together"
        )
    if not np.isfinite(frame.positions).all():
        raise InputError(f"{path}: a position is not finite: mend that line")
    return frame.positions


def _one_frame(system: BeadSystem, positions: np.ndarray) -> BeadFrames:
    return BeadFrames(system, positions[None], time=np.zeros(1))
