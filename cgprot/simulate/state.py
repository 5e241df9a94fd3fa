"""Where a simulation stands, on disk in two generations."""

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from cgprot.errors import StorageError
from cgprot.files.folder import write_bytes
from cgprot.files.growing import Mark
from cgprot.files.marks import CHECKPOINT, PREVIOUS_CHECKPOINT, STATE_KEY

_NEXT_CHECKPOINT = "checkpoint.next.safetensors"
_ARRAYS = ("positions", "velocities", "temperature")


class Stopped(NamedTuple):
    """A replica that left sanity: seen at `step`, last sane at `good_step`, and what was seen."""

    replica: int
    step: int
    good_step: int
    reason: str


@dataclass(frozen=True, eq=False)
class SimulationState:
    """All that changes in a run; with the configuration, all that is needed to go on.

    Attributes
    ----------
    positions : (n_replicas, n_beads, 3) float64 [Å]
    velocities : same shape, float64 [Å/ps]
    temperature : (n_replicas,) float64 [K], of the bath of each replica
    step : steps done
    stopped : replicas that left sanity; they rest where they were last sane
    """

    positions: np.ndarray
    velocities: np.ndarray
    temperature: np.ndarray
    step: int
    stopped: tuple[Stopped, ...] = ()

    @property
    def running(self) -> np.ndarray:
        """(n_replicas,) bool."""
        running = np.ones(len(self.positions), dtype=bool)
        running[[entry.replica for entry in self.stopped]] = False
        return running


class Moment(NamedTuple):
    """A state with the energies and forces that belong to it."""

    state: SimulationState
    energy: np.ndarray  # (n_replicas,) [kcal/mol]
    forces: np.ndarray  # (n_replicas, n_beads, 3) [kcal/mol/Å]


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """A state, and what it counts on.

    Attributes
    ----------
    state : SimulationState
    files : where every growing file of the folder stood, by its name
    config : what was asked, JSON-ready
    system_sha256 : of the file that states the beads
    """

    state: SimulationState
    files: dict[str, Mark]
    config: dict
    system_sha256: str


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all."""
    state = checkpoint.state
    arrays = {name: np.ascontiguousarray(getattr(state, name), dtype="<f8") for name in _ARRAYS}
    entry = {
        "step": state.step,
        "stopped": state.stopped,
        "files": checkpoint.files,
        "config": checkpoint.config,
        "system_sha256": checkpoint.system_sha256,
    }
    # One entry: safetensors puts several in random order, and equal states are to be equal files.
    text = json.dumps({"sha256": _sha256(entry, arrays)} | entry)
    write_bytes(path, save(arrays, metadata={STATE_KEY: text}))


def _sha256(entry: dict, arrays: dict[str, np.ndarray]) -> str:
    digest = hashlib.sha256(json.dumps(entry, sort_keys=True).encode())
    for name in _ARRAYS:
        digest.update(f"{name} {arrays[name].shape}".encode())
        digest.update(np.ascontiguousarray(arrays[name], dtype="<f8").tobytes())
    return digest.hexdigest()


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and check it against its SHA-256 (safetensors itself takes a flipped bit).

    Raises
    ------
    StorageError
        if the file is missing, no checkpoint, or damaged
    """
    try:
        with safe_open(str(path), framework="numpy") as file:
            entry = json.loads(file.metadata()[STATE_KEY])
            arrays = {name: file.get_tensor(name) for name in _ARRAYS}
        intact = entry.pop("sha256") == _sha256(entry, arrays)
        stopped = tuple(Stopped(*fields) for fields in entry["stopped"])
        state = SimulationState(**arrays, step=entry["step"], stopped=stopped)
        files = {name: Mark(*mark) for name, mark in entry["files"].items()}
        checkpoint = Checkpoint(state, files, entry["config"], entry["system_sha256"])
    except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise StorageError(f"{path}: not a readable checkpoint ({error}): restore it or start the run again")
    if not intact:
        raise StorageError(f"{path}: damaged, its SHA-256 does not fit: restore it or start the run again")
    return checkpoint


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> None:
    """Write the newest generation; the one before becomes the previous one."""
    folder = Path(folder)
    # First write, then rename: a full disk leaves both generations as they were.
    save_checkpoint(folder / _NEXT_CHECKPOINT, checkpoint)
    if (folder / CHECKPOINT).exists():
        _rename(folder / CHECKPOINT, folder / PREVIOUS_CHECKPOINT)
    _rename(folder / _NEXT_CHECKPOINT, folder / CHECKPOINT)


def read_checkpoint(
    folder: Path, check: Callable[[Checkpoint], object], tell: Callable[[str], object]
) -> Checkpoint:
    """The newest generation that can be read and passes `check`; it is the newest one from then on.

    Parameters
    ----------
    check : raises StorageError if the folder does not hold what a checkpoint counts on
    tell : is told, in one line, if it is the previous generation

    Raises
    ------
    StorageError
        if neither will do: what is wrong with the newest one
    """
    newest, previous = Path(folder) / CHECKPOINT, Path(folder) / PREVIOUS_CHECKPOINT
    try:
        return _checked(newest, check)
    except StorageError as error:
        try:
            checkpoint = _checked(previous, check)
        except StorageError:
            raise error from None
        tell(f"{error}; going on from {PREVIOUS_CHECKPOINT}, step {checkpoint.state.step}")
    # Otherwise the next write would turn the bad one into the previous one.
    _rename(previous, newest)
    return checkpoint


def _checked(path: Path, check: Callable[[Checkpoint], object]) -> Checkpoint:
    checkpoint = load_checkpoint(path)
    check(checkpoint)
    return checkpoint


def _rename(old: Path, new: Path) -> None:
    try:
        os.replace(old, new)
    except OSError as error:
        raise StorageError(f"{new}: could not be renamed ({error}): check the folder")
