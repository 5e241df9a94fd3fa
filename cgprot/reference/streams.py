"""Trajectories -> a dataset file, a few megabytes at a time."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from cgprot.beads import BeadSystem
from cgprot.errors import InputError
from cgprot.files.dataset import DatasetWriter, EntryWriter
from cgprot.files.mdcath import MdcathFile, Replica, fingerprint
from cgprot.files.periodic import AtomChunk, Bonded
from cgprot.files.psf import write_psf
from cgprot.files.universe import AtomSource, write_pdb
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import MappingRules
from cgprot.reference.frames import (
    SAMPLE_FRAMES,
    projection_for,
    refuse_missing_hydrogens,
    refuse_other_temperature,
    trajectory_temperature,
)
from cgprot.reference.secondary import SecondaryStructure
from cgprot.reference.workers import progress_bar

_STRUCTURE_FRAMES = 4  # of a chunk, looked at for helices and strands
_PDB_LOWEST, _PDB_HIGHEST = -999.999, 9999.999  # Å, what eight columns hold


@dataclass
class MapReport:
    """What became of the input, for the user to read.

    Attributes
    ----------
    n_frames, n_trajectories : written
    n_beads : of the last protein
    refused : faulty frames left out, by reason
    left_out : atoms left out, by reason
    notes : oddities resolved, by what was done
    without_forces : trajectories that hold no forces
    """

    n_frames: int = 0
    n_trajectories: int = 0
    n_beads: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    left_out: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    without_forces: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        parts = [f"{self.n_frames} frames of {self.n_beads} beads in {self.n_trajectories} trajectories"]
        parts += [f"{count} faulty frames refused: {reason}" for reason, count in self.refused.items()]
        parts += [f"{count} {reason} atoms left out" for reason, count in self.left_out.items() if count]
        parts += [f"{reason}: {count}" for reason, count in self.notes.items() if count]
        if self.without_forces:
            parts.append(f"no forces in {', '.join(self.without_forces)}")
        return "; ".join(parts)


def map_trajectories_to(
    output: Path,
    topology: Path,
    trajectories: list[Path],
    rules: MappingRules,
    protein: str,
    temperature: float | None = None,
) -> MapReport:
    """Map trajectories of one protein into a dataset, with a hydrogen-free PSF and PDB beside it.

    Parameters
    ----------
    output : new .h5 file
    topology, trajectories : anything MDAnalysis reads
    protein : name of the protein in the dataset
    temperature : [K]; None reads it from the run.json that `cgprot sample` wrote beside the file

    Raises
    ------
    StorageError, InputError
        if a file is missing, does not fit, or holds positions or forces that are not finite; nothing
        is written then
    """
    temperatures = [trajectory_temperature(path, temperature) for path in trajectories]
    if temperature is not None:
        for path in trajectories:
            refuse_other_temperature(path, temperature)
    sources = [AtomSource(topology, [path]) for path in trajectories]
    atoms = sources[0].topology
    refuse_missing_hydrogens(topology, atoms, rules)
    try:
        system = build_system(atoms, rules)
    except InputError as error:
        raise InputError(f"{topology}: {error}")
    report = MapReport(n_beads=system.n_beads, left_out=sources[0].left_out, notes=sources[0].notes)
    report.left_out["unmapped"] = int((system.bead_of_atom < 0).sum())
    projection = projection_for(
        atoms, system, rules, (chunk for source in sources for chunk in source.chunks())
    )
    counts: Counter[float] = Counter()
    starts: list[np.ndarray] = []
    with DatasetWriter(output) as writer, progress_bar("map", sum(map(len, sources)), "frames") as bar:
        for path, source, kelvin in zip(trajectories, sources, temperatures, strict=True):
            key = f"{protein}/{kelvin:g}/{counts[kelvin]}"
            counts[kelvin] += 1
            entry = writer.open_entry(key, system, len(source), kelvin)
            secondary = SecondaryStructure(atoms)
            try:
                starts.append(_stream(source.chunks(), projection, entry, secondary, bar.update))
            except InputError as error:
                raise error if str(path) in str(error) else InputError(f"{path}: {error}")
            entry.close(*secondary.mean)
            _count(report, key, entry)
        write_beads(output, system, starts[0])
    return report


def write_beads(output: Path, system: BeadSystem, positions: np.ndarray) -> None:
    """The PSF and PDB beside a dataset, positions (n_beads, 3) [Å].

    The dataset has the positions as they are; the PDB too, unless they are beyond its columns.

    Raises
    ------
    InputError
        if no PDB can hold them wherever their centre is
    """
    pdb = output.with_suffix(".pdb")
    if not _fits_pdb(positions):
        positions = positions - positions.mean(axis=0)
        if not _fits_pdb(positions):
            raise InputError(f"{pdb}: molecules too far apart for a PDB: bring them together first")
        print(f"{pdb}: centred: its columns end at -1000 and 10000 Å", file=sys.stderr)
    write_psf(output.with_suffix(".psf"), system)
    write_pdb(pdb, system, positions)


def _fits_pdb(positions: np.ndarray) -> bool:
    return bool(_PDB_LOWEST <= positions.min() and positions.max() <= _PDB_HIGHEST)


def map_mdcath_to(
    writer: DatasetWriter, path: Path, rules: MappingRules, report: MapReport
) -> tuple[np.ndarray, BeadSystem]:
    """Map every domain of an mdCATH file that has a complete trajectory into an open dataset.

    Returns
    -------
    (n_beads, 3) [Å], the first frame of the last trajectory, and its beads

    Raises
    ------
    StorageError, InputError
        if the file is damaged, is another kind of file, or holds a residue without a rule
    """
    with MdcathFile(path) as file:
        domains = [domain for domain in file.domains if file.replicas(domain)]
        if not domains:
            raise InputError(f"{path}: no complete trajectory in it: download it again")
        for domain in domains:
            atoms = file.topology(domain)
            bonded = Bonded.from_bonds(atoms.bonds, len(atoms.element))
            try:
                system = build_system(atoms, rules)
            except InputError as error:
                raise InputError(f"{path}: {domain}: {error}")
            report.n_beads = system.n_beads
            report.left_out["unmapped"] += int((system.bead_of_atom < 0).sum())
            replicas = file.replicas(domain)
            samples = (chunk for replica in replicas for chunk in _thin(file, replica, bonded, len(replicas)))
            projection = projection_for(atoms, system, rules, samples)
            file.faults.clear()  # the sampling saw some frames already
            for replica in replicas:
                entry = writer.open_entry(replica.key, system, replica.n_frames, replica.temperature)
                numbers: list[np.ndarray] = []
                first = _stream(
                    _noted(file.chunks(replica, bonded), numbers), projection, entry, None, _no_progress
                )
                kept = np.concatenate(numbers) if numbers else np.empty(0, dtype=int)
                entry.close(*(file.secondary_structure(replica, kept) or (0.0, 0.0)))
                _count(report, replica.key, entry)
            report.refused.update(file.faults)
            writer.set_attributes(domain, input_fingerprint=fingerprint(path))
        report.notes.update(file.notes)
    return first, system


def _noted(chunks: Iterator[AtomChunk], numbers: list[np.ndarray]) -> Iterator[AtomChunk]:
    for chunk in chunks:
        numbers.append(chunk.number)
        yield chunk


def _thin(file: MdcathFile, replica: Replica, bonded: Bonded, n_replicas: int) -> Iterator[AtomChunk]:
    """A few frames of a trajectory, spread over it."""
    stride = max(1, replica.n_frames * n_replicas // SAMPLE_FRAMES)
    for chunk in file.chunks(replica, bonded):
        picked = chunk.number % stride == 0
        forces = None if chunk.forces is None else chunk.forces[picked]
        yield AtomChunk(chunk.number[picked], chunk.positions[picked], forces, chunk.time[picked])


def _stream(
    chunks: Iterator[AtomChunk],
    projection: Projection,
    entry: EntryWriter,
    secondary: SecondaryStructure | None,
    progress: Callable[[float], object],
) -> np.ndarray:
    """Project and write every chunk; returns the first frame of beads, (n_beads, 3) [Å]."""
    first = np.zeros((len(projection.position_map.start) - 1, 3))
    buffers: list[np.ndarray] = []
    for chunk in chunks:
        if not buffers or len(buffers[0]) < len(chunk.positions):
            shape = (len(chunk.positions), *first.shape)
            buffers = [np.empty(shape, dtype=chunk.positions.dtype) for _ in range(2)]
        n_frames = len(chunk.positions)
        positions = projection.positions(chunk.positions, buffers[0][:n_frames])
        forces = None if chunk.forces is None else projection.forces(chunk.forces, buffers[1][:n_frames])
        if entry.n_frames == 0 and n_frames:
            first = positions[0].copy()
        entry.append(positions, forces, chunk.time)
        if secondary is not None:
            secondary.add(chunk.positions[:: max(1, n_frames // _STRUCTURE_FRAMES)])
        progress(n_frames)
    return first


def _no_progress(_: float) -> None:
    """A campaign's progress is counted in files."""


def _count(report: MapReport, key: str, entry: EntryWriter) -> None:
    report.n_frames += entry.n_frames
    report.n_trajectories += 1
    if not entry.has_forces:
        report.without_forces.append(key)
