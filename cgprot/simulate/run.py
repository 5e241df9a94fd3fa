"""A simulation from its start, or from a checkpoint, to its end."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from cgprot.beads import BeadFrames, BeadSystem, Forces
from cgprot.engine.cuda import CudaEngine
from cgprot.errors import StorageError, UsageError
from cgprot.files.dcd import read_dcd
from cgprot.files.folder import (
    RUN_FILE,
    amend_run,
    check_new,
    create_folder,
    read_run,
    versions,
    write_run,
    write_text,
)
from cgprot.files.lock import LOCK_FILE, locked
from cgprot.files.psf import read_psf, write_psf
from cgprot.files.universe import write_pdb
from cgprot.simulate.beginning import begin, guard_of, integrator_of, starting_state
from cgprot.simulate.box import refuse_overlapping_images
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.exchange import EXCHANGE_COLUMNS, EXCHANGE_LOG, exchanges
from cgprot.simulate.guard import Guard
from cgprot.simulate.integrator import Backend
from cgprot.simulate.loop import Loop, own_temperature, refuse_stopped, with_forces
from cgprot.simulate.record import SYSTEM_PDB, SYSTEM_PSF, UNITS, Record, newest_checkpoint, trajectory_name
from cgprot.simulate.state import Checkpoint, Moment, SimulationState
from cgprot.simulate.stretch import Stretch
from cgprot.simulate.viewing import lacks_copies, remove_copies, write_copies
from cgprot.simulate.whole import refuse_broken_molecule


def simulate(
    start: BeadFrames,
    forces: Forces,
    config: SimulateConfig,
    output: Path,
    record: dict,
    inputs: list[Path],
    texts: dict[str, str] | None = None,
    backend: Backend = "numba",
) -> None:
    """Run dynamics and leave a run folder.

    The folder receives run.json, system.psf, system.pdb (the start), one DCD a replica, log.csv and
    two generations of a checkpoint. Frame k is that of the time k * output_every_ps; frame 0 is the
    start, minimised where the configuration says so. In a box positions are not wrapped: molecules stay
    whole.

    Parameters
    ----------
    start : one frame, from which all replicas start with velocities of their own, or one a replica
    forces : positions (n_replicas, n_beads, 3) [Å] -> energies (n_replicas,) [kcal/mol], forces of
        the shape of the positions [kcal/mol/Å], all float64
    output : new folder; everything that can be refused is refused before it is created
    record : JSON-ready entries for run.json: which model, which start
    inputs : files that were read
    texts : further files of the folder, what a resumption needs beyond the above
    backend : of the integrator; with "cuda" and a GPU's engine as `forces` steps stay there between looks

    Raises
    ------
    UsageError
        if `output` exists, or the frames do not fit the number of replicas
    InputError
        if the start or what `forces` returns cannot be used
    UnstableError
        at the end, if a replica left sanity on the way; its last good frame is in last_good_replica_*.pdb
    Interrupted
        after SIGINT or SIGTERM; the checkpoint is written
    """
    check_new(output)
    integrator = integrator_of(start.system, config)
    state = starting_state(start, config, integrator)
    refuse_broken_molecule(start.system, state.positions)
    if config.box is not None:
        refuse_overlapping_images(start.system, state.positions, config.box)
    moment, guard, minimum = begin(start.system, state, forces, config)
    if minimum is not None:
        record = record | {"minimisation": minimum.record()}
    folder = create_folder(output)
    with locked(folder):
        files = _new_folder(folder, start.system, config, moment, texts or {})
        # The last of them: a folder with it can be resumed.
        write_run(
            folder,
            "simulate",
            config.model_dump(),
            inputs,
            units=UNITS,
            stopped=[],
            **({"device": "cpu"} | record),
        )
        _to_end(folder, forces, config, guard, files, moment, backend)


def resume(folder: Path, forces: Forces, time_ps: float | None = None, backend: Backend = "numba") -> None:
    """Go on from the checkpoint of a run folder, to the same bytes as if it had never stopped.

    Parameters
    ----------
    folder : what `simulate` left
    forces, backend : the same as at the start
    time_ps : a new end of the run, counted from its start; None keeps the old one

    Raises
    ------
    UsageError
        if the run is no simulation, or has reached its end
    StorageError
        if the folder is damaged or in use, or not what its checkpoint counts on
    """
    folder = Path(folder)
    _refuse_unfinished(folder)
    read_run(folder, "simulate")  # refuses what is no run folder before a lock file is put there
    with locked(folder):
        run = read_run(folder, "simulate")
        checkpoint = newest_checkpoint(folder, lambda line: print(line, file=sys.stderr))
        config, state = _config_of(folder, run, checkpoint, time_ps), checkpoint.state
        if lacks_copies(folder, config) and _is_over(config, state):
            write_copies(folder, config)  # it was killed behind its last checkpoint
            return
        _refuse_ended(folder, config, state)
        system = _system_of(folder)
        guard = guard_of(system, _first_frames(folder, config), config)
        moment = with_forces(state, forces)
        remove_copies(folder, config)  # stale from the next frame on
        files = Record.reopen(folder, system, config, checkpoint)
        amend_run(
            folder,
            config=config.model_dump(),
            stopped=[entry._asdict() for entry in state.stopped],
            resumed=[*run.get("resumed", []), {"step": state.step, "versions": versions()}],
        )
        _to_end(folder, forces, config, guard, files, moment, backend)


def _new_folder(
    folder: Path, system: BeadSystem, config: SimulateConfig, moment: Moment, texts: dict[str, str]
) -> Record:
    """Everything a folder begins with but run.json."""
    write_psf(folder / SYSTEM_PSF, system)
    write_pdb(folder / SYSTEM_PDB, system, moment.state.positions[0], config.box)
    for name, text in texts.items():
        write_text(folder / name, text)
    logs = {EXCHANGE_LOG: EXCHANGE_COLUMNS} if config.exchange_every_ps else {}
    files = Record.create(folder, _system_of(folder), config, logs)
    files.frame(*moment)
    files.checkpoint(moment.state)
    return files


def _to_end(
    folder: Path,
    forces: Forces,
    config: SimulateConfig,
    guard: Guard,
    files: Record,
    moment: Moment,
    backend: Backend,
) -> None:
    integrator = integrator_of(_system_of(folder), config, backend)
    on_gpu = backend == "cuda"
    stretch = Stretch(forces, integrator) if on_gpu and isinstance(forces, CudaEngine) else None
    schedule = _scheduled(config) if config.heat_ps or config.anneal else own_temperature
    between = [exchanges(config, files)] if config.exchange_every_ps else []
    loop = Loop(folder, forces, config, integrator, guard, files, schedule, between, stretch)
    state = loop.to_end(moment)
    write_copies(folder, config)
    refuse_stopped(folder, state, config.timestep_ps)


def _scheduled(config: SimulateConfig) -> Callable[[SimulationState], np.ndarray]:
    return lambda state: config.bath(state.step)


def _is_over(config: SimulateConfig, state: SimulationState) -> bool:
    return state.step >= config.n_steps or not state.running.any()


def _refuse_unfinished(folder: Path) -> None:
    if (folder / LOCK_FILE).exists() and not (folder / RUN_FILE).exists():
        raise StorageError(
            f"{folder}: was ended before its first step, nothing is in it: remove it and start the run again"
        )


def _refuse_ended(folder: Path, config: SimulateConfig, state: SimulationState) -> None:
    if not state.running.any():
        raise UsageError(f"{folder}: all its replicas have stopped: start a new run from another structure")
    if state.step >= config.n_steps:
        raise UsageError(
            f"{folder}: has reached {state.step * config.timestep_ps:g} ps: give a longer --time-ps"
        )


def _system_of(folder: Path) -> BeadSystem:
    """The beads as system.psf states them, for a run and its resumption alike: it rounds the masses."""
    return read_psf(folder / SYSTEM_PSF)


def _first_frames(folder: Path, config: SimulateConfig) -> np.ndarray:
    paths = [folder / trajectory_name(replica) for replica in range(config.replicas)]
    first = [read_dcd(path, n_frames=1)[0] for path in paths]
    return np.concatenate(first).astype(np.float64)


def _config_of(folder: Path, run: dict, checkpoint: Checkpoint, time_ps: float | None) -> SimulateConfig:
    try:
        config = SimulateConfig(**run["config"])
        begun = SimulateConfig(**checkpoint.config)
    except (ValidationError, KeyError, TypeError) as error:
        raise StorageError(
            f"{folder / RUN_FILE}: not a configuration of simulate ({_line(error)}): restore it"
        )
    for name in SimulateConfig.model_fields:
        if getattr(config, name) != getattr(begun, name) and name != "time_ps":
            raise StorageError(
                f"{folder / RUN_FILE}: {name} is {getattr(config, name)}, the run began with "
                f"{getattr(begun, name)}: put that back or start a new run"
            )
    if time_ps is None:
        return config
    try:
        return SimulateConfig(**(config.model_dump() | {"time_ps": time_ps}))
    except ValidationError as error:
        raise UsageError(f"--time-ps {time_ps:g}: {_line(error)}: choose another")


def _line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(str(part["msg"]).removeprefix("Value error, ") for part in error.errors())
    return str(error)
