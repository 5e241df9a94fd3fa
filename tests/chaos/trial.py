"""A run that takes a tenth of a second, leaves every kind of file, and loses a replica on the way."""

import multiprocessing
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from chain import chain_forces, chain_start

from cgprot.errors import StorageError, UnstableError, UsageError
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.run import resume, simulate

CONFIG = SimulateConfig(
    time_ps=0.084,
    timestep_fs=2.0,
    replicas=2,
    output_every_ps=0.012,
    checkpoint_every_ps=0.024,
    guard_every_steps=3,
    velocities=True,
    temperature=(300.0, 301.0),
    exchange_every_ps=0.006,
)
_FARTHEST = 0.5  # Å
_GROWING = ("*.dcd", "*.csv")


def forces(positions):
    """Springs; replica 1 explodes once a bead of it has gone so far, which it does in mid-run."""
    energy, force = chain_forces(positions)
    moved = np.abs(positions[1] - chain_start().positions[0]).max() > _FARTHEST
    return energy, force + 1e4 * moved * np.array([0.0, 1.0])[:, None, None]


def begin(folder):
    """Run in a new folder, to the end."""
    with pytest.raises(UnstableError):
        simulate(chain_start(), forces, CONFIG, folder, {}, [])


def go_on(folder):
    """Resume, or start again where there is nothing to resume."""
    if (folder / "run.json").exists():
        # "Has reached" its end: it was killed behind its last checkpoint.
        with pytest.raises((UnstableError, UsageError), match=r"replicas stopped|has reached"):
            resume(folder, forces)
        return
    if folder.exists() and any(folder.iterdir()):
        with pytest.raises(StorageError, match="remove it and start the run again"):
            resume(folder, forces)
        gone = folder.with_name(f"{folder.name}.{os.getpid()}")
        folder.rename(gone)  # at once: this process too may be killed
        shutil.rmtree(gone)
    begin(folder)


def results(folder):
    """Every byte that a run is to leave."""
    kept = [path for path in folder.iterdir() if path.suffix in (".dcd", ".csv", ".psf", ".pdb")]
    kept.append(folder / "checkpoint.safetensors")
    return {path.name: path.read_bytes() for path in kept}


def growing(folder):
    """The files that grow between checkpoints."""
    return sorted(path for pattern in _GROWING for path in Path(folder).glob(pattern))


def in_a_child(task, *arguments):
    """Start `task` in a process of its own."""
    process = multiprocessing.get_context("fork").Process(target=task, args=arguments)
    process.start()
    return process
