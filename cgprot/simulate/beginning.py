"""How a run begins: its replicas, minimised if asked for, and the guard that measures from there."""

from dataclasses import replace

import numpy as np
import torch

from cgprot.beads import BeadFrames, BeadSystem, Forces
from cgprot.errors import InputError, UnstableError, UsageError
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.guard import Guard
from cgprot.simulate.integrator import Backend, Integrator
from cgprot.simulate.loop import with_forces
from cgprot.simulate.minimise import Minimum, minimise
from cgprot.simulate.state import Moment, SimulationState
from cgprot.simulate.whole import refuse_broken_molecule

_FARTHEST = 999.0  # Å


def starting_state(start: BeadFrames, config: SimulateConfig, integrator: Integrator) -> SimulationState:
    """All replicas at the start, with velocities of their own.

    Raises
    ------
    UsageError
        if the frames do not fit the number of replicas
    InputError
        if a coordinate is too large for a PDB
    """
    refuse_other_number(start, config)
    if not np.all(np.abs(start.positions[0]) < _FARTHEST):
        raise InputError(
            f"starting frame 0 has a coordinate beyond {_FARTHEST:g} Å, which no PDB can hold: centre it"
        )
    shape = (config.replicas, *start.positions.shape[1:])
    # Contiguous, as every later step has them: compiled code is made for one layout.
    positions = np.ascontiguousarray(np.broadcast_to(start.positions, shape), dtype=np.float64)
    return SimulationState(positions, integrator.starting_velocities(), config.bath(0), 0)


def refuse_other_number(start: BeadFrames, config: SimulateConfig) -> None:
    """Refuse frames that are neither one nor one a replica.

    Raises
    ------
    UsageError
        naming both numbers
    """
    if len(start) not in (1, config.replicas):
        raise UsageError(
            f"{len(start)} starting frames for {config.replicas} replicas: give one frame, or one a replica"
        )


def begin(
    system: BeadSystem, state: SimulationState, forces: Forces, config: SimulateConfig
) -> tuple[Moment, Guard, Minimum | None]:
    """The first moment, minimised if asked for, and the guard that measures from there.

    The structure that was given is what a minimum is measured from: bonds and handedness must outlast
    it. What the dynamics is measured from is the minimum, which frame 0 holds for a resumption.
    """
    guard = guard_of(system, state.positions, config)
    minimum = None
    if config.minimise:
        minimum = minimise(forces, state.positions, config.minimise_force)
        state = replace(state, positions=minimum.positions)
    moment = with_forces(state, forces)
    violations = guard.violations(*moment, time_ps=0.0)
    if violations:
        listed = "; ".join(map(str, violations))
        if minimum is None:
            raise UnstableError(f"the starting structure: {listed}: --minimise or repair it first")
        raise UnstableError(
            f"the minimised start: {listed}: start from a structure that the model knows, or --no-minimise"
        )
    if minimum is None:
        return moment, guard, None
    _refuse_collapsed(system, state.positions)
    return moment, guard_of(system, state.positions, config), minimum


def _refuse_collapsed(system: BeadSystem, positions: np.ndarray) -> None:
    try:
        refuse_broken_molecule(system, positions)
    except InputError as error:
        raise UnstableError(
            f"the minimum of the model is no molecule ({error}): start from a structure that the model "
            f"knows, or --no-minimise"
        )


def integrator_of(system: BeadSystem, config: SimulateConfig, backend: Backend = "numba") -> Integrator:
    """The steps that a configuration asks for."""
    return Integrator(
        config.scheme,
        system.mass,
        config.timestep_ps,
        config.frictions,
        config.bath(0),
        config.seed,
        np.arange(config.replicas),
        backend,
        n_threads=torch.get_num_threads(),
    )


def guard_of(system: BeadSystem, starting_positions: np.ndarray, config: SimulateConfig) -> Guard:
    """What watches replicas that start at these positions, (n_replicas, n_beads, 3) [Å]."""
    # Baths that stay, or are exchanged, are the state's own.
    warmest = config.warmest_bath if config.anneal or config.heat_ps else None
    heat_ps, flips = config.heat_ps, config.allow_flips
    return Guard(system, starting_positions, config.frictions, config.scheme, flips, heat_ps, warmest)
