"""The loop of a simulation: step, look, write."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cgprot.beads import Forces
from cgprot.errors import InputError, UnstableError
from cgprot.files.stop import Interrupted, StopSignal
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.guard import Guard
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.langevin import kinetic_temperature
from cgprot.simulate.progress import Progress
from cgprot.simulate.record import Record, last_good_name
from cgprot.simulate.state import Moment, SimulationState, Stopped


class Between(NamedTuple):
    """Something done between steps: an exchange of replicas, say.

    `act` gets the moment after every `every`-th step, once the guard has seen it and its frame is
    written, and gives the moment to go on from. What it writes (`Record.log`) counts with the next
    checkpoint; what it must remember lives in the state, or follows from it and the step's number.
    """

    every: int  # steps
    act: Callable[[Moment], Moment]


def own_temperature(state: SimulationState) -> np.ndarray:
    """The schedule of a run without one: every replica's bath as the state has it."""
    return state.temperature


class Loop:
    """Steps replicas to the end of a run and writes what they do.

    A replica that leaves sanity rests from then on, at the positions where it was last sane; it has
    no frame, no row of the log and no force any more. Replicas know nothing of each other (noise is
    keyed by their numbers, forces are a function of their own positions), so the others go on to the
    same bits as without it. It still costs its share of the force call, whose shape stays.

    Parameters
    ----------
    folder : for messages
    forces : positions (n_replicas, n_beads, 3) [Å] -> energies (n_replicas,) [kcal/mol], forces
        [kcal/mol/Å], all float64
    integrator, guard, record : of the same replicas
    schedule : state -> (n_replicas,) [K], the baths of the step that follows
    between : what is done between steps
    stretch : (moment, n_steps) -> the moment so many steps later, by the same forces and integrator;
        without it the host takes every step
    """

    def __init__(
        self,
        folder: Path,
        forces: Forces,
        config: SimulateConfig,
        integrator: Integrator,
        guard: Guard,
        record: Record,
        schedule: Callable[[SimulationState], np.ndarray] = own_temperature,
        between: Sequence[Between] = (),
        stretch: Callable[[Moment, int], Moment] | None = None,
    ) -> None:
        self._folder, self._forces, self._config = folder, forces, config
        self._integrator, self._guard, self._record = integrator, guard, record
        self._schedule, self._between, self._stretch = schedule, between, stretch
        every = {config.guard_every_steps, config.output_steps, config.checkpoint_steps}
        self._looks = (config.n_steps, every | {between.every for between in self._between})

    def to_end(self, moment: Moment) -> SimulationState:
        """Step until the time is reached, a signal comes or no replica runs any more.

        Returns
        -------
        the last state, written

        Raises
        ------
        Interrupted
            after SIGINT or SIGTERM; the checkpoint is written
        """
        config, good = self._config, moment.state
        # What overflows in a replica is the guard's to tell, by name.
        with (
            StopSignal() as stop,
            Progress(config, good.step) as self._progress,
            np.errstate(over="ignore", invalid="ignore"),
        ):
            while moment.state.step < config.n_steps and _any_runs(moment.state):
                step, moment = moment.state.step, self._next(moment, good)
                if self._is_due(moment.state.step):
                    moment = self._due(moment, good)
                    good = moment.state
                if stop.number and moment.state.step < config.n_steps:
                    self._interrupt(good, stop)
                self._progress.advance(moment.state.step - step)
            if good is not moment.state:  # the last replica stopped between two looks
                self._record.checkpoint(moment.state)
        return moment.state

    def _is_due(self, step: int) -> bool:
        """Nothing is written that the guard has not seen."""
        last, every = self._looks
        return step == last or any(step % steps == 0 for steps in every)

    def _due(self, moment: Moment, good: SimulationState) -> Moment:
        config, step = self._config, moment.state.step
        moment = self._stop_insane(moment, good)
        if step % config.output_steps == 0:
            self._record.frame(*moment)
            self._show(moment)
        for between in self._between:
            if step % between.every == 0:
                moment = between.act(moment)
        if step % config.checkpoint_steps == 0 or step == config.n_steps or not moment.state.running.any():
            self._record.checkpoint(moment.state)
        return moment

    def _interrupt(self, good: SimulationState, stop: StopSignal) -> None:
        # Not the state of this very step: the guard has not seen it, and looking now would move the
        # last good frames away from where an undisturbed run keeps them.
        self._record.checkpoint(good)
        raise Interrupted(
            f"{self._folder}: stopped by {stop.name}, checkpoint written at "
            f"{good.step * self._config.timestep_ps:g} ps: resume it to go on",
            stop.number or 0,
        )

    def _next(self, moment: Moment, good: SimulationState) -> Moment:
        """One step on, or as many as nobody wants to see."""
        state = moment.state
        bath = self._schedule(state)
        self._integrator.prepare(bath, ~state.running)
        if self._stretch is not None:
            # A replica that has no forces on the way is found by single steps.
            with suppress(InputError):
                return self._stretch(moment, self._steps_alike(state, bath))
        arrays = state.positions, state.velocities, moment.forces
        stepped = self._integrator.step(*arrays, state.step)
        state = SimulationState(*stepped, bath, state.step + 1, state.stopped)
        return self._evaluated(moment._replace(state=state), good)

    def _steps_alike(self, state: SimulationState, bath: np.ndarray) -> int:
        """How many steps there are to the next look, or to the first one in another bath."""
        last, every = self._looks
        n_steps = min(last - state.step, *(steps - state.step % steps for steps in every))
        ahead = (self._schedule(replace(state, step=state.step + n)) for n in range(1, n_steps))
        return next((n for n, then in enumerate(ahead, 1) if not np.array_equal(then, bath)), n_steps)

    def _evaluated(self, moment: Moment, good: SimulationState) -> Moment:
        """The moment with its own forces; replicas that none can be computed for are stopped."""
        while True:
            try:
                return with_forces(moment.state, self._forces)
            except InputError as error:
                n_stopped = len(moment.state.stopped)
                moment = self._stop_insane(moment, good)
                if len(moment.state.stopped) == n_stopped:
                    reasons = self._impossible(moment.state, good)
                    if not reasons:
                        raise error
                    moment = self._stop(moment, good, reasons)

    def _impossible(self, state: SimulationState, good: SimulationState) -> dict[int, str]:
        """Why there are no forces, by replica: each is tried with all others where they were sane."""
        reasons = {}
        for replica in np.flatnonzero(state.running).tolist():
            positions = good.positions.copy()
            positions[replica] = state.positions[replica]
            try:
                self._forces(positions)
            except InputError as error:
                reasons[replica] = f"replica {replica}: no forces ({error})"
        return reasons

    def _stop_insane(self, moment: Moment, good: SimulationState) -> Moment:
        time_ps = moment.state.step * self._config.timestep_ps
        violations = self._guard.violations(*moment, time_ps)
        return self._stop(moment, good, {v.replica: str(v) for v in violations}) if violations else moment

    def _stop(self, moment: Moment, good: SimulationState, reasons: dict[int, str]) -> Moment:
        state, step = moment.state, moment.state.step
        positions, velocities = state.positions.copy(), state.velocities.copy()
        energy, forces = moment.energy.copy(), moment.forces.copy()
        stopped = list(state.stopped)
        for replica, reason in reasons.items():
            positions[replica], velocities[replica] = good.positions[replica], good.velocities[replica]
            energy[replica], forces[replica] = 0.0, 0.0
            path = self._record.last_good(positions[replica], replica)
            stopped.append(Stopped(replica, step, good.step, reason))
            self._progress.tell(
                f"{self._folder}: step {step} ({step * self._config.timestep_ps:g} ps): {reason}; it stops, "
                f"its last good frame, of step {good.step}, is in {path.name}"
            )
        state = SimulationState(positions, velocities, state.temperature, step, tuple(stopped))
        self._record.note_stopped(state.stopped)
        return Moment(state, energy, forces)

    def _show(self, moment: Moment) -> None:
        state = moment.state
        if state.running.any():
            temperature = kinetic_temperature(state.velocities, self._integrator.mass)[state.running].mean()
            self._progress.show(temperature, moment.energy[state.running].mean())


def _any_runs(state: SimulationState) -> bool:
    return len(state.stopped) < len(state.positions)


def with_forces(state: SimulationState, forces: Forces) -> Moment:
    """A state with its energies and forces, none where a replica has stopped.

    Raises
    ------
    InputError
        if they cannot be computed, or belong to another system
    """
    energy, force = forces(state.positions)
    shape = state.positions.shape
    if np.shape(energy) != shape[:1] or np.shape(force) != shape:
        raise InputError(
            f"the model gives energies {np.shape(energy)} and forces {np.shape(force)} "
            f"for positions {shape}: it belongs to another system"
        )
    if state.stopped:
        resting = ~state.running
        energy, force = np.where(resting, 0.0, energy), np.where(resting[:, None, None], 0.0, force)
    return Moment(state, energy, force)


def refuse_stopped(folder: Path, state: SimulationState, timestep_ps: float) -> None:
    """Say at the end which replicas did not reach it.

    Raises
    ------
    UnstableError
        if there are any
    """
    if not state.stopped:
        return
    reasons = "; ".join(f"{entry.reason} at {entry.step * timestep_ps:g} ps" for entry in state.stopped)
    one = state.stopped[0].replica if len(state.stopped) == 1 else "*"
    n_replicas = len(state.positions)
    others = f", the others reached {state.step * timestep_ps:g} ps" if state.running.any() else ""
    raise UnstableError(
        f"{folder}: {len(state.stopped)} of {n_replicas} replicas stopped{others}: {reasons}; last good "
        f"frames in {last_good_name(one)}: shorten the time step or start from a structure that the "
        f"model knows"
    )
