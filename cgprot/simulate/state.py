"""Where a simulation stands, on disk in two generations."""

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from cgprot.errors import StorageError
from cgprot.files.folder import write_whole

CHECKPOINT = "checkpoint.safetensors"
PREVIOUS_CHECKPOINT = "checkpoint.previous.safetensors"
_NEXT_CHECKPOINT = "checkpoint.next.safetensors"
_KEY = "cgprot_state"


@dataclass(frozen=True, eq=False)
class SimulationState:
    """All that a run needs to go on.

    Attributes
    ----------
    positions : (n_replicas, n_beads, 3) float64 [Å]
    velocities : same shape, float64 [Å/ps]
    step : steps done
    seed : of the noise
    """

    positions: np.ndarray
    velocities: np.ndarray
    step: int
    seed: int

    def sha256(self) -> str:
        """Hash of everything in it."""
        digest = hashlib.sha256(f"{self.step} {self.seed} {self.positions.shape}".encode())
        for array in (self.positions, self.velocities):
            digest.update(np.ascontiguousarray(array, dtype="<f8").tobytes())
        return digest.hexdigest()


def save_state(path: Path, state: SimulationState) -> None:
    """Write a state whole or not at all."""
    arrays = {
        "positions": np.ascontiguousarray(state.positions),
        "velocities": np.ascontiguousarray(state.velocities),
    }
    # One entry: safetensors puts several in random order, and equal states are to be equal files.
    entry = json.dumps({"step": state.step, "seed": state.seed, "sha256": state.sha256()})
    write_whole(path, lambda temporary: save_file(arrays, temporary, metadata={_KEY: entry}))


def load_state(path: Path) -> SimulationState:
    """Read a state and check it against its SHA-256 (safetensors itself takes a flipped bit).

    Raises
    ------
    StorageError
        if the file is missing, no state, or damaged
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            entry = json.loads(file.metadata()[_KEY])
            positions, velocities = file.get_tensor("positions"), file.get_tensor("velocities")
        state = SimulationState(positions, velocities, entry["step"], entry["seed"])
        intact = state.sha256() == entry["sha256"]
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        raise StorageError(f"{path}: not a readable checkpoint ({error}): restore it or start the run again")
    if not intact:
        raise StorageError(f"{path}: damaged, its SHA-256 does not fit: restore it or start the run again")
    return state


def write_checkpoint(folder: Path, state: SimulationState) -> None:
    """Write the newest generation; the one before becomes the previous one."""
    folder = Path(folder)
    # First write, then rename: a full disk leaves both generations as they were.
    save_state(folder / _NEXT_CHECKPOINT, state)
    try:
        if (folder / CHECKPOINT).exists():
            os.replace(folder / CHECKPOINT, folder / PREVIOUS_CHECKPOINT)
        os.replace(folder / _NEXT_CHECKPOINT, folder / CHECKPOINT)
    except OSError as error:
        raise StorageError(f"{folder / CHECKPOINT}: could not be renamed ({error}): check the folder")


def read_checkpoint(folder: Path) -> SimulationState:
    """The newest generation, or the previous one, with a line on stderr, if the newest is unreadable.

    Raises
    ------
    StorageError
        if neither can be read
    """
    try:
        return load_state(Path(folder) / CHECKPOINT)
    except StorageError as error:
        if not (Path(folder) / PREVIOUS_CHECKPOINT).exists():
            raise
        state = load_state(Path(folder) / PREVIOUS_CHECKPOINT)
        print(f"{error}; going on from {PREVIOUS_CHECKPOINT}, step {state.step}", file=sys.stderr)
        return state
