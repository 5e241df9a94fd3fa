"""What holds frames of beads: a simulation's folder, a dataset, or a trajectory with its bead PSF."""

import sys
from pathlib import Path
from typing import NamedTuple

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import InputError, StorageError
from cgprot.files.dataset import HDF5_SUFFIXES, read_dataset
from cgprot.files.folder import read_run
from cgprot.files.growing import check_tail
from cgprot.files.marks import read_marks
from cgprot.files.psf import read_psf
from cgprot.files.universe import read_positions

_TRAJECTORY_SUFFIXES = (".dcd", ".xtc", ".trr", ".pdb")
_CHANGING_BATHS = ("anneal", "heat_ps", "exchange_every_ps")  # of a simulation's configuration


class Source(NamedTuple):
    """Replicas of one protein under one name.

    Attributes
    ----------
    name : as the report calls it
    replicas : one BeadFrames each, all of one system; its first frame is where it started
    provenance : run.json of the run, or None
    """

    name: str
    replicas: list[BeadFrames]
    provenance: dict | None = None


def read_source(path: Path) -> list[BeadFrames]:
    """All replicas at `path`, see `read_sources`."""
    return [frames for source in read_sources(path) for frames in source.replicas]


def read_sources(path: Path) -> list[Source]:
    """Read what `path` holds: one Source, or one for each protein of a dataset.

    Parameters
    ----------
    path : folder of `cgprot simulate`; dataset (.h5); bead trajectory with its PSF beside it, of
        the same name or the only one there; or that PSF, with a trajectory of the same name

    Raises
    ------
    StorageError
        if a file is missing, cannot be read, or is shorter than the run left it
    InputError
        if it holds nothing that can be analysed
    """
    path = Path(path)
    if not path.exists():
        raise StorageError(f"{path}: no such file or folder: check the path")
    if path.is_dir():
        return [_read_run_folder(path)]
    if path.suffix in HDF5_SUFFIXES:
        return _read_proteins(path)
    return [_read_trajectory(path)]


def _read_run_folder(folder: Path) -> Source:
    record = read_run(folder)
    if record.get("verb") != "simulate":
        raise InputError(
            f"{folder}: made by `cgprot {record.get('verb')}`: give a folder that `cgprot simulate` made"
        )
    system = read_psf(folder / "system.psf")
    replicas = [
        _frames(system, folder / "system.psf", path, _temperature(record, replica))
        for replica, path in enumerate(_trajectories(folder, record))
    ]
    return Source(folder.resolve().name, replicas, record)


def _trajectories(folder: Path, record: dict) -> list[Path]:
    """That of every replica of the run, in their order, none cut short."""
    found = sorted(folder.glob("replica_*.dcd"))
    if not found:
        raise InputError(f"{folder}: no replica_*.dcd in it: let the simulation write a frame first")
    n_replicas = record.get("config", {}).get("replicas", len(found))
    expected = [folder / f"replica_{replica:03d}.dcd" for replica in range(n_replicas)]
    _refuse_shorter(folder, expected)
    for path in sorted(set(found) - set(expected)):
        raise InputError(f"{path}: not of the run, which has {n_replicas} replicas: move it elsewhere")
    return expected


def _refuse_shorter(folder: Path, trajectories: list[Path]) -> None:
    """What a run wrote behind its checkpoint may be there or not: it may be going on, or was killed."""
    marks = read_marks(folder)
    if marks is None:
        print(
            f"{folder}: no checkpoint to be read: nothing tells if a trajectory lacks frames", file=sys.stderr
        )
    for path in trajectories:
        try:
            if not path.is_file():
                raise StorageError(f"{path}: missing: restore it from a copy")
            if marks and path.name in marks:
                check_tail(path, marks[path.name])
        except StorageError as error:
            raise StorageError(f"{error}, or give the trajectories one by one")


def _temperature(record: dict, replica: int) -> float | None:
    """[K], or None where the frames of a replica have no one temperature."""
    config = record.get("config", {})
    if any(config.get(name) for name in _CHANGING_BATHS):
        return None
    value = config.get("temperature")
    if isinstance(value, list):  # one a replica
        value = value[replica]
    return None if value is None else float(value)


def _read_proteins(path: Path) -> list[Source]:
    proteins: dict[str, list[BeadFrames]] = {}
    for key, frames in read_dataset(path).items():
        proteins.setdefault(key.split("/")[0], []).append(frames)
    if not proteins:
        raise InputError(f"{path}: the dataset is empty: make one with `cgprot map`")
    if len(proteins) == 1:
        return [Source(path.stem, replicas) for replicas in proteins.values()]
    return [Source(f"{path.stem} {protein}", replicas) for protein, replicas in proteins.items()]


def _read_trajectory(path: Path) -> Source:
    if path.suffix == ".psf":
        topology, trajectory = path, _trajectory_of(path)
    elif path.suffix in _TRAJECTORY_SUFFIXES:
        topology, trajectory = _topology_of(path), path
    else:
        raise InputError(
            f"{path}: not a simulate folder, a dataset (.h5) or a trajectory "
            f"({', '.join(_TRAJECTORY_SUFFIXES)}): give one of these"
        )
    return Source(path.stem, [_frames(read_psf(topology), topology, trajectory)])


def _topology_of(trajectory: Path) -> Path:
    named = trajectory.with_suffix(".psf")
    found = [named] if named.exists() else sorted(trajectory.parent.glob("*.psf"))
    if len(found) != 1:
        raise InputError(f"{trajectory}: {len(found)} PSF files beside it: name its bead PSF {named.name}")
    return found[0]


def _trajectory_of(topology: Path) -> Path:
    for suffix in _TRAJECTORY_SUFFIXES:
        if topology.with_suffix(suffix).exists():
            return topology.with_suffix(suffix)
    raise InputError(f"{topology}: no trajectory {topology.stem}.dcd beside it: give the trajectory instead")


def _frames(
    system: BeadSystem, topology: Path, trajectory: Path, temperature: float | None = None
) -> BeadFrames:
    positions, time = read_positions(topology, trajectory)
    if len(positions) == 0:
        raise InputError(f"{trajectory}: holds no frame: let the simulation write one first")
    return BeadFrames(system, positions, time=time, temperature=temperature)
