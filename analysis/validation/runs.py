"""The simulations of a validation: begun, taken up again or found done; and the references beside them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from scale import Dynamics, Scale

from cgprot.beads import BeadFrames
from cgprot.errors import CgprotError, InputError, StorageError, UnstableError
from cgprot.files.dataset import read_dataset
from cgprot.files.folder import RUN_FILE, read_run, write_text
from cgprot.files.sources import read_source
from cgprot.model.checkpoint import load_model
from cgprot.simulate.command import Beginning, resume_run, start_run
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.record import SYSTEM_PSF, newest_checkpoint
from cgprot.simulate.start import load_start
from cgprot.simulate.state import CHECKPOINT, Stopped
from cgprot.units import PS_PER_NS, SECONDS_PER_DAY

STRUCTURES = Path(__file__).parent / "structures"


class Task(NamedTuple):
    """What every part of the validation works on."""

    model: str
    folder: Path
    references: Path
    structures: Path
    scale: Scale

    def path(self, *parts: str) -> Path:
        """A file of the results, its folder made."""
        path = self.folder.joinpath(*parts)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class Run(NamedTuple):
    """A simulation of one protein, or why there is none."""

    config: SimulateConfig
    replicas: list[BeadFrames]
    stopped: dict[int, Stopped]  # by replica
    end_ps: float  # of those that did not stop
    ns_per_day: float  # of all replicas together, nan if it was interrupted
    refused: str = ""

    def at(self, temperature: float) -> list[int]:
        """The replicas of a temperature."""
        return np.flatnonzero(self.config.temperatures == temperature).tolist()

    def lasted_ps(self, replica: int) -> float:
        """When it was last sane."""
        stop = self.stopped.get(replica)
        return self.end_ps if stop is None else stop.good_step * self.config.timestep_ps


def simulated(task: Task, name: str, temperatures: list[float], replicas: int, time_ps: float) -> Run:
    """Run a protein to `time_ps`, or take what is there; a model's refusal is a result."""
    dynamics = task.scale.dynamics
    each = tuple(kelvin for kelvin in temperatures for _ in range(replicas))
    config = _config(dynamics, each, time_ps)
    folder, refusal = task.path("runs", name), task.path("runs", f"{name}.refused.txt")
    if refusal.is_file():
        return _refused(config, refusal.read_text())
    try:
        _run_to_end(task, name, config, folder)
    except (UnstableError, InputError) as error:
        if not (folder / RUN_FILE).exists():
            write_text(refusal, str(error))
            return _refused(config, str(error))
    return _read(folder, config)


def _refused(config: SimulateConfig, reason: str) -> Run:
    return Run(config, [], {}, 0.0, float("nan"), reason)


def _config(dynamics: Dynamics, temperatures: tuple[float, ...], time_ps: float) -> SimulateConfig:
    return SimulateConfig(
        temperature=temperatures,
        replicas=len(temperatures),
        time_ps=time_ps,
        timestep_fs=dynamics.timestep_fs,
        output_every_ps=dynamics.output_every_ps,
        minimise=dynamics.minimise,
        seed=dynamics.seed,
    )


def _run_to_end(task: Task, name: str, config: SimulateConfig, folder: Path) -> None:
    if not (folder / RUN_FILE).exists():
        beginning = Beginning(task.structures / f"{name}.pdb")
        start_run(beginning, task.model, config, folder, task.scale.dynamics.engine)
        return
    _refuse_other(folder, config)
    state = newest_checkpoint(folder, print).state
    if state.step < config.n_steps and state.running.any():
        resume_run(folder, config.time_ps)


def _refuse_other(folder: Path, config: SimulateConfig) -> None:
    """A run that is there may be shorter or longer, and nothing else."""
    found = SimulateConfig(**read_run(folder)["config"])
    if found.model_copy(update={"time_ps": config.time_ps}) != config:
        raise StorageError(f"{folder}: was run with another scale: remove it or choose another FOLDER")


def _read(folder: Path, config: SimulateConfig) -> Run:
    state = newest_checkpoint(folder, print).state
    stopped = {entry.replica: entry for entry in state.stopped}
    run = Run(config, read_source(folder), stopped, state.step * config.timestep_ps, float("nan"))
    return run._replace(ns_per_day=_speed(folder, run))


def _speed(folder: Path, run: Run) -> float:
    """Until the run was first taken up again, from its first frame on, so without compilation [ns/day]."""
    kept = folder.with_name(f"{folder.name}.ns_per_day.txt")
    if not kept.is_file():
        if read_run(folder).get("resumed"):
            return float("nan")
        seconds = (folder / CHECKPOINT).stat().st_mtime - (folder / SYSTEM_PSF).stat().st_mtime
        total = sum(run.lasted_ps(replica) for replica in range(run.config.replicas))
        write_text(kept, f"{total / PS_PER_NS / seconds * SECONDS_PER_DAY:.4g}\n")
    return float(kept.read_text())


def native(task: Task, name: str) -> BeadFrames:
    """The frame that a protein starts from, as beads."""
    return load_start(task.structures / f"{name}.pdb", load_model(task.model)[1]["mapping"])


def reference(task: Task, name: str) -> BeadFrames | None:
    """The all-atom trajectory of a protein as beads, if it has been made."""
    path = task.references / f"{name}_300K.h5"
    try:
        return next(iter(read_dataset(path).values())) if path.is_file() else None
    except CgprotError as error:
        raise StorageError(f"{path}: {error}")


def after(frames: BeadFrames, time_ps: float) -> BeadFrames | None:
    """Frames later than a time, or None if there is none; a reference's time starts where it was begun."""
    later = frames.time - frames.time[0] >= time_ps
    if not later.any():
        return None
    return BeadFrames(
        frames.system, frames.positions[later], time=frames.time[later], temperature=frames.temperature
    )
