"""A simulation from its start, or from a checkpoint, to its end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydantic import ValidationError

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import InputError, StorageError, UnstableError, UsageError
from cgprot.files.dcd import read_dcd
from cgprot.files.folder import RUN_FILE, check_new, create_folder, read_run, versions, write_run, write_text
from cgprot.files.lock import locked
from cgprot.files.psf import read_psf, write_psf
from cgprot.files.stop import Interrupted, StopSignal
from cgprot.files.universe import write_pdb
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.guard import Guard, Violation
from cgprot.simulate.langevin import kinetic_temperature, langevin_step, maxwell_boltzmann
from cgprot.simulate.noise import normal_noise
from cgprot.simulate.progress import Progress
from cgprot.simulate.record import SYSTEM_PDB, SYSTEM_PSF, Record, trajectory_name
from cgprot.simulate.state import SimulationState, read_checkpoint

Forces = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
_FARTHEST = 999.0  # Å


class _Moment(NamedTuple):
    state: SimulationState
    energy: np.ndarray  # (n_replicas,) [kcal/mol]
    forces: np.ndarray  # (n_replicas, n_beads, 3) [kcal/mol/Å]


def simulate(
    start: BeadFrames,
    forces: Forces,
    config: SimulateConfig,
    output: Path,
    record: dict,
    inputs: list[Path],
) -> None:
    """Run Langevin dynamics and leave a run folder.

    The folder receives run.json, system.psf, system.pdb (the start), one DCD a replica, log.csv and
    two generations of a checkpoint. Frame k is that of the time k * output_every_ps; frame 0 is the
    start. The protein is alone in infinite space: a box of `start` is left aside.

    Parameters
    ----------
    start : one frame, from which all replicas start with velocities of their own, or one a replica
    forces : positions (n_replicas, n_beads, 3) [Å] -> energies (n_replicas,) [kcal/mol], forces of
        the shape of the positions [kcal/mol/Å], all float64
    output : new folder; everything that can be refused is refused before it is created
    record : JSON-ready entries for run.json: which model, which start
    inputs : files that were read

    Raises
    ------
    UsageError
        if `output` exists, or the frames do not fit the number of replicas
    InputError
        if the start or what `forces` returns cannot be used
    UnstableError
        if a replica leaves sanity; its last good frame is in last_good_replica_*.pdb
    Interrupted
        after SIGINT or SIGTERM; the checkpoint is written
    """
    check_new(output)
    state = _starting_state(start, config)
    guard = Guard(start.system, state.positions, config.temperature, config.friction_per_ps)
    moment = _Moment(state, *_checked(forces(state.positions), state))
    violations = _violations(guard, moment, config)
    if violations:
        raise UnstableError(f"the starting structure: {_listed(violations)}: minimise or repair it first")
    folder = create_folder(output)
    with locked(folder):
        write_psf(folder / SYSTEM_PSF, start.system)
        write_pdb(folder / SYSTEM_PDB, start.system, start.positions[0])
        system = _system_of(folder)
        files = Record.create(folder, system, config.replicas, config.output_steps, config.timestep_ps)
        files.frame(state, moment.energy)
        files.checkpoint(state)
        write_run(folder, "simulate", config.model_dump(), inputs, device="cpu", **record)
        _Run(folder, system, forces, config, guard, files).to_end(moment)


def resume(folder: Path, forces: Forces, time_ps: float | None = None) -> None:
    """Go on from the checkpoint of a run folder, to the same bytes as if it had never stopped.

    Parameters
    ----------
    folder : what `simulate` left
    forces : the same function as at the start
    time_ps : a new end of the run, counted from its start; None keeps the old one

    Raises
    ------
    UsageError
        if the run is no simulation, or has reached its end
    StorageError
        if the folder is damaged or in use
    """
    folder = Path(folder)
    read_run(folder, "simulate")  # refuses what is no run folder before a lock file is put there
    with locked(folder):
        run = read_run(folder, "simulate")
        config, state = _config_of(folder, run, time_ps), read_checkpoint(folder)
        if state.step >= config.n_steps:
            raise UsageError(
                f"{folder}: has reached {state.step * config.timestep_ps:g} ps: give a longer --time-ps"
            )
        system = _system_of(folder)
        guard = Guard(system, _first_frames(folder, config), config.temperature, config.friction_per_ps)
        moment = _Moment(state, *_checked(forces(state.positions), state))
        files = Record.reopen(folder, system, state, config.output_steps, config.timestep_ps)
        run["config"] = config.model_dump()
        run.setdefault("resumed", []).append({"step": state.step, "versions": versions()})
        write_text(folder / RUN_FILE, json.dumps(run, indent=2) + "\n")
        _Run(folder, system, forces, config, guard, files).to_end(moment)


class _Run:
    """The loop and what it needs at every step."""

    def __init__(
        self,
        folder: Path,
        system: BeadSystem,
        forces: Forces,
        config: SimulateConfig,
        guard: Guard,
        files: Record,
    ) -> None:
        self._folder, self._mass, self._forces = folder, system.mass, forces
        self._config, self._guard, self._files = config, guard, files
        self._replicas = np.arange(config.replicas)

    def to_end(self, moment: _Moment) -> None:
        """Step until the time is reached or a signal comes."""
        config, good = self._config, moment.state
        with StopSignal() as stop, Progress(config, good.step) as progress:
            while moment.state.step < config.n_steps:
                moment = self._next(moment, good)
                step = moment.state.step
                if self._is_due(step) or stop.number:
                    self._refuse_insane(moment, good)
                    good = moment.state
                if step % config.output_steps == 0:
                    self._files.frame(good, moment.energy)
                    progress.show(kinetic_temperature(good.velocities, self._mass).mean())
                if step % config.checkpoint_steps == 0 or step == config.n_steps or stop.number:
                    self._files.checkpoint(good)
                if stop.number and step < config.n_steps:
                    raise Interrupted(
                        f"{self._folder}: stopped by {stop.name} at {good.step * config.timestep_ps:g} ps, "
                        f"checkpoint written: resume it to go on",
                        stop.number,
                    )
                progress.advance()

    def _is_due(self, step: int) -> bool:
        """Nothing is written that the guard has not seen."""
        config = self._config
        every = (config.guard_every_steps, config.output_steps, config.checkpoint_steps)
        return step == config.n_steps or any(step % steps == 0 for steps in every)

    def _next(self, moment: _Moment, good: SimulationState) -> _Moment:
        config, state = self._config, moment.state
        noise = normal_noise(state.seed, self._replicas, state.step, len(self._mass))
        positions, velocities = langevin_step(
            state.positions,
            state.velocities,
            moment.forces,
            noise,
            self._mass,
            config.timestep_ps,
            config.friction_per_ps,
            config.temperature,
        )
        state = SimulationState(positions, velocities, state.step + 1, state.seed)
        try:
            return _Moment(state, *self._forces(positions))
        except InputError:
            # Positions that no graph can be built of: the guard says which, with the last forces.
            self._refuse_insane(moment._replace(state=state), good)
            raise

    def _refuse_insane(self, moment: _Moment, good: SimulationState) -> None:
        violations = _violations(self._guard, moment, self._config)
        if not violations:
            return
        self._files.sync()
        for violation in violations:
            path = self._files.last_good(good.positions[violation.replica], violation.replica)
        step, time_ps = moment.state.step, moment.state.step * self._config.timestep_ps
        raise UnstableError(
            f"unstable at step {step} ({time_ps:g} ps): {_listed(violations)}; last good frame, of step "
            f"{good.step}, in {path if len(violations) == 1 else self._folder / 'last_good_replica_*.pdb'}: "
            f"shorten the time step or start from a structure that the model knows"
        )


def _starting_state(start: BeadFrames, config: SimulateConfig) -> SimulationState:
    if len(start) not in (1, config.replicas):
        raise UsageError(
            f"{len(start)} starting frames for {config.replicas} replicas: give one frame, or one a replica"
        )
    if not np.all(np.abs(start.positions[0]) < _FARTHEST):
        raise InputError(
            f"starting frame 0 has a coordinate beyond {_FARTHEST:g} Å, which no PDB can hold: centre it"
        )
    shape = (config.replicas, *start.positions.shape[1:])
    positions = np.broadcast_to(start.positions, shape).astype(np.float64)
    replicas = np.arange(config.replicas)
    velocities = maxwell_boltzmann(config.seed, replicas, start.system.mass, config.temperature)
    return SimulationState(positions, velocities, 0, config.seed)


def _checked(
    energy_and_forces: tuple[np.ndarray, np.ndarray], state: SimulationState
) -> tuple[np.ndarray, np.ndarray]:
    energy, forces = energy_and_forces
    shape = state.positions.shape
    if np.shape(energy) != shape[:1] or np.shape(forces) != shape:
        raise InputError(
            f"the model gives energies {np.shape(energy)} and forces {np.shape(forces)} "
            f"for positions {shape}: it belongs to another system"
        )
    return energy, forces


def _violations(guard: Guard, moment: _Moment, config: SimulateConfig) -> list[Violation]:
    state = moment.state
    time_ps = state.step * config.timestep_ps
    return guard.violations(state.positions, state.velocities, moment.energy, moment.forces, time_ps)


def _listed(violations: list[Violation]) -> str:
    return "; ".join(str(violation) for violation in violations)


def _system_of(folder: Path) -> BeadSystem:
    """The beads as system.psf states them, for a run and its resumption alike: it rounds the masses."""
    return read_psf(folder / SYSTEM_PSF)


def _first_frames(folder: Path, config: SimulateConfig) -> np.ndarray:
    paths = [folder / trajectory_name(replica) for replica in range(config.replicas)]
    first = [read_dcd(path, n_frames=1)[0] for path in paths]
    return np.concatenate(first).astype(np.float64)


def _config_of(folder: Path, run: dict, time_ps: float | None) -> SimulateConfig:
    try:
        config = SimulateConfig(**run["config"])
    except (ValidationError, KeyError, TypeError) as error:
        raise StorageError(
            f"{folder / RUN_FILE}: not a configuration of simulate ({_line(error)}): restore it"
        )
    if time_ps is None:
        return config
    try:
        return SimulateConfig(**(config.model_dump() | {"time_ps": time_ps}))
    except ValidationError as error:
        raise UsageError(f"--time-ps {time_ps:g}: {_line(error)}: choose another")


def _line(error: Exception) -> str:
    if isinstance(error, ValidationError):
        return "; ".join(str(part["msg"]) for part in error.errors())
    return str(error)
