"""Where a simulation starts: a structure, a sequence, or frames of a trajectory, as beads."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cgprot.beads import BeadFrames, BeadSystem, Topology
from cgprot.errors import InputError, StorageError
from cgprot.files.dataset import HDF5_SUFFIXES, read_dataset
from cgprot.files.psf import read_psf
from cgprot.files.sources import read_source
from cgprot.files.universe import AtomSource, read_bead_positions
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import load_rules

if TYPE_CHECKING:
    from cgprot.reference.structure import Structure


def load_start(path: Path, mapping: str) -> BeadFrames:
    """One frame of beads from a structure, or one a replica from a simulation's folder.

    A hydrogen-free PDB with the PSF that cgprot wrote beside it (same name) keeps exactly those
    beads. Any other structure, with hydrogens or without, is completed first: missing heavy atoms
    and hydrogens at pH 7, water and ions left out; atoms that are there do not move. Of a simulation
    the last frame of every replica is taken.

    Parameters
    ----------
    path : PDB or mmCIF, or a folder of `cgprot simulate`
    mapping : name of the mapping that the model was trained on

    Raises
    ------
    StorageError, InputError
        if the file is missing or no structure of a protein
    """
    path = Path(path)
    if path.is_dir():
        return _last_frames(path)
    if path.suffix in (".psf", *HDF5_SUFFIXES):
        raise InputError(f"{path}: no structure: give a PDB, and frames of it with --start-frames")
    psf = bead_psf(path)
    if psf is not None:
        system = read_psf(psf)
        return _one_frame(system, _bead_positions(path, system))
    from cgprot.reference.structure import load_structure  # OpenMM: seconds to import

    structure = load_structure(path)
    try:
        return _mapped(structure, mapping)
    except InputError as error:
        raise InputError(f"{path}: {error}")


def start_from_sequence(sequence: str, mapping: str) -> BeadFrames:
    """One frame of beads of an extended chain; `sequence` as "ACE-ALA-NME" or "GYDPETGTWG".

    Raises
    ------
    UsageError
        if a residue is unknown
    """
    from cgprot.reference.structure import structure_from_sequence

    return _mapped(structure_from_sequence(sequence), mapping)


def _mapped(structure: "Structure", mapping: str) -> BeadFrames:
    from cgprot.reference.structure import topology_of

    topology: Topology = topology_of(structure.topology)
    rules = load_rules(mapping)
    system = build_system(topology, rules)
    return _one_frame(system, Projection(topology, system, rules).positions(structure.positions))


def load_frames(path: Path, start: BeadFrames, structure: Path | None = None) -> BeadFrames:
    """Frames of the beads of a start, to begin one replica with each.

    Parameters
    ----------
    path : folder of `cgprot simulate` (the last frame of every replica), dataset (.h5), or a trajectory:
        DCD, XTC, PDB models or whatever MDAnalysis reads, of the beads or of all atoms of `structure`
    start : the beads
    structure : the file that `start` came from

    Raises
    ------
    StorageError
        if the file is missing
    InputError
        if it holds other beads, or no frame
    """
    path = Path(path)
    if not path.exists():
        raise StorageError(f"{path}: no such file or folder: check the path")
    if path.is_dir():
        return _same_beads(path, start.system, [_last_frames(path)])
    if path.suffix in HDF5_SUFFIXES:
        return _same_beads(path, start.system, list(read_dataset(path).values()))
    positions = read_bead_positions(start.system, path)
    if positions is None and structure is not None:
        positions = _atom_trajectory(path, structure, start.system)
    if positions is None:
        raise InputError(
            f"{path}: its frames are not of the {start.system.n_beads} beads of the start: give a trajectory "
            f"of these, or of all atoms of STRUCTURE"
        )
    return BeadFrames(start.system, positions, time=np.zeros(len(positions)))


def _last_frames(folder: Path) -> BeadFrames:
    replicas = read_source(folder)
    positions = np.array([frames.positions[-1] for frames in replicas], dtype=np.float64)
    return BeadFrames(replicas[0].system, positions, time=np.zeros(len(positions)))


def _same_beads(path: Path, system: BeadSystem, found: list[BeadFrames]) -> BeadFrames:
    for frames in found:
        if not frames.system.has_beads_of(system):
            raise InputError(f"{path}: holds other beads than the start: give frames of the same protein")
    positions = np.concatenate([np.asarray(frames.positions, dtype=np.float64) for frames in found])
    return BeadFrames(system, positions, time=np.zeros(len(positions)))


def _atom_trajectory(path: Path, structure: Path, system: BeadSystem) -> np.ndarray | None:
    """The same of an all-atom trajectory, or None if its atoms do not make these beads."""
    rules = load_rules(system.mapping)
    source = AtomSource(structure, [path])
    found = build_system(source.topology, rules)
    if found.n_beads != system.n_beads:
        return None
    projection = Projection(source.topology, found, rules)
    positions = np.array([projection.positions(frame.positions) for frame in source])
    return _same_beads(path, system, [BeadFrames(found, positions)]).positions


def bead_psf(structure: Path) -> Path | None:
    """The PSF of beads beside a structure, of the same name, if there is one.

    Raises
    ------
    InputError
        if it is not text
    """
    psf = Path(structure).with_suffix(".psf")
    if not psf.is_file():
        return None
    try:
        with open(psf) as stream:
            beads = any("cgprot mapping" in line for _, line in zip(range(10), stream, strict=False))
            return psf if beads else None
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
