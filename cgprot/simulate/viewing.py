"""Copies of trajectories for viewers that read no DCD, or want smaller files."""

import sys
import warnings
from pathlib import Path

import MDAnalysis
from tqdm import tqdm

from cgprot.files.dcd import cell_of_dcd, frames_of_dcd
from cgprot.files.folder import write_whole


def write_xtc(trajectory: Path) -> Path:
    """Copy a DCD as XTC of the same name, 0.01 Å fine, whole or not at all.

    It is made from the finished DCD and never grown beside it: what compresses cannot be cut back to a
    checkpoint.

    Raises
    ------
    StorageError
        if the disk refuses
    """
    path = trajectory.with_suffix(".xtc")
    write_whole(path, lambda temporary: _copy(trajectory, temporary))
    return path


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
