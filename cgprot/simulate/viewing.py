"""Copies of trajectories for viewers that read no DCD, or want smaller files."""

import sys
import warnings
from functools import partial
from pathlib import Path

import MDAnalysis
from tqdm import tqdm

from cgprot.files.dcd import cell_of_dcd, frames_of_dcd
from cgprot.files.folder import write_whole
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.record import trajectory_name


def write_copies(folder: Path, config: SimulateConfig) -> None:
    """Copy every trajectory as XTC of the same name, 0.01 Å fine, where the configuration asks for it.

    They are made from finished DCD files, each whole or not at all, and never grown beside them: what
    compresses cannot be cut back to a checkpoint.

    Raises
    ------
    StorageError
        if the disk refuses
    """
    for path in _copies(folder, config):
        write_whole(path, partial(_copy, path.with_suffix(".dcd")))


def lacks_copies(folder: Path, config: SimulateConfig) -> bool:
    """Whether one that is asked for is not there."""
    return not all(path.exists() for path in _copies(folder, config))


def remove_copies(folder: Path, config: SimulateConfig) -> None:
    """Take them away before the trajectories outgrow them."""
    for path in _copies(folder, config):
        path.unlink(missing_ok=True)


def _copies(folder: Path, config: SimulateConfig) -> list[Path]:
    names = [trajectory_name(replica) for replica in range(config.replicas if config.xtc else 0)]
    return [(folder / name).with_suffix(".xtc") for name in names]


def _copy(trajectory: Path, path: Path) -> None:
    n_beads, frames = frames_of_dcd(trajectory)
    universe = MDAnalysis.Universe.empty(n_beads, trajectory=True)
    step = universe.trajectory.ts
    step.dimensions = cell_of_dcd(trajectory)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no box: most have none
        with MDAnalysis.coordinates.XTC.XTCWriter(str(path), n_beads) as writer:
            for number, (positions, time_ps) in enumerate(
                tqdm(frames, desc=trajectory.name, disable=not sys.stderr.isatty(), leave=False)
            ):
                step.positions, step.time, step.frame = positions, time_ps, number
                writer.write(universe.atoms)
