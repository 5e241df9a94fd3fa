"""Simulations with the current model, and what came of them; a replica that left sanity is a finding."""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cgprot.analyse.structure import bond_lengths
from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import InputError, UnstableError
from cgprot.files.dcd import read_dcd
from cgprot.files.folder import RUN_FILE, read_run, sha256_of, write_text
from cgprot.files.psf import read_psf
from cgprot.model.checkpoint import load_model
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.forces import Forces, choose_forces, recorded_forces
from cgprot.simulate.guard import LARGEST_BOND_CHANGE
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.record import SYSTEM_PSF, trajectory_name
from cgprot.simulate.run import simulate
from cgprot.simulate.state import CHECKPOINT, SimulationState, Stopped, load_checkpoint

UNSTABLE_START = "unstable_start.txt"


class Trajectory(NamedTuple):
    """What one replica did.

    Attributes
    ----------
    replica : counted from 0
    temperature : [K]
    system : its beads
    positions : (n_frames, n_beads, 3) [Å], the frames of the run, then every step from the last look of the
        guard to the one that stopped the replica, if one did
    time : (n_frames,) [ps]
    trip : [ps], when the guard stopped it, or None
    reason : the guard's
    broken : bonds that had changed by more than the guard allows, at the trip
    minimised : whether the model had a minimum near the start
    """

    replica: int
    temperature: float
    system: BeadSystem
    positions: np.ndarray
    time: np.ndarray
    trip: float | None = None
    reason: str = ""
    broken: int = 0
    minimised: bool = True

    @property
    def simulated_ps(self) -> float:
        return float(self.time[-1])


def simulate_with(model: Path, start: BeadFrames, config: SimulateConfig, folder: Path) -> None:
    """Run dynamics from a start, into a folder that is there only when they have ended.

    The start is minimised by the model; where it has no minimum near, dynamics start without, and where
    the model's forces forbid that too the folder holds the reason alone.

    Parameters
    ----------
    model : file
    config : replicas that stop early are no failure
    """
    partial = folder.with_name(folder.name + ".partial")
    if partial.exists():
        shutil.rmtree(partial)
    potential, _ = load_model(model)
    system = start.system
    forces, engine = _fastest(lambda name: choose_forces(
        name, potential, system.bead_type, system.charge, start.positions, config.replicas, system.bonds
    ))  # fmt: skip
    record: dict = {"model": {"name": str(model), "sha256": sha256_of(model)}, "engine": engine}
    problem = _attempt(start, forces, config, partial, record, [model])
    if problem:
        unminimised = config.model_copy(update={"minimise": False})
        record["without_minimum"] = problem
        problem = _attempt(start, forces, unminimised, partial, record, [model])
    if problem:
        partial.mkdir(parents=True)
        write_text(partial / UNSTABLE_START, problem + "\n")
    partial.rename(folder)


def _fastest(choose: Callable) -> tuple[Forces, dict]:
    try:
        return choose("compressed")
    except InputError as error:
        print(
            f"cgprot refine: the network itself runs instead of its compressed form: {error}", file=sys.stderr
        )
        return choose("network")


def _attempt(start, forces, config, folder, record, inputs) -> str:
    """Why dynamics did not begin; empty if they did, wherever they ended."""
    try:
        simulate(start, forces, config, folder, record, inputs)
    except (UnstableError, InputError) as error:
        if not (folder / RUN_FILE).exists():
            return str(error)
    return ""


def read_dynamics(folder: Path, model: Path, start: BeadFrames, config: SimulateConfig) -> list[Trajectory]:
    """Every replica of a run of `simulate_with`, the way to its trip included."""
    if (folder / UNSTABLE_START).is_file():
        reason = (folder / UNSTABLE_START).read_text().strip()
        where = (config.temperatures[0], start.system, start.positions, start.time, 0.0, reason, 0, False)
        return [Trajectory(replica, *where) for replica in range(config.replicas)]
    system, run = read_psf(folder / SYSTEM_PSF), read_run(folder, "simulate")
    state = load_checkpoint(folder / CHECKPOINT).state
    stopped = {entry.replica: entry for entry in state.stopped}
    potential = load_model(model)[0] if stopped else None
    forces = potential and recorded_forces(
        run["engine"], potential, system.bead_type, system.charge, 1, system.bonds
    )
    found = [
        _trajectory(folder, replica, system, state, stopped.get(replica), forces, config)
        for replica in range(config.replicas)
    ]
    return [one._replace(minimised="without_minimum" not in run) for one in found]


def _trajectory(
    folder: Path,
    replica: int,
    system: BeadSystem,
    state: SimulationState,
    stopped: Stopped | None,
    forces: Forces | None,
    config: SimulateConfig,
) -> Trajectory:
    positions, time = read_dcd(folder / trajectory_name(replica))
    positions, kelvin = positions.astype(np.float64), float(config.temperatures[replica])
    if stopped is None or forces is None:
        return Trajectory(replica, kelvin, system, positions, time)
    way = way_to_trip(system, state, stopped, forces, config)
    steps = stopped.good_step + 1 + np.arange(len(way))
    lengths = bond_lengths(np.stack([positions[0], way[-1]]), system.bonds)
    broken = int((~(np.abs(lengths[1] - lengths[0]) <= LARGEST_BOND_CHANGE)).sum())
    before = time < steps[0] * config.timestep_ps - 1e-9
    return Trajectory(
        replica,
        kelvin,
        system,
        np.concatenate([positions[before], way]),
        np.concatenate([time[before], steps * config.timestep_ps]),
        stopped.step * config.timestep_ps,
        stopped.reason,
        broken,
    )


def way_to_trip(
    system: BeadSystem, state: SimulationState, stopped: Stopped, forces: Forces, config: SimulateConfig
) -> np.ndarray:
    """Every step of a replica from the last look of the guard to the one that stopped it.

    The state keeps positions and velocities of the last good look, and noise is keyed by the step: the
    steps are those of the run itself, taken again.

    Returns
    -------
    (n_steps, n_beads, 3) [Å]; they end early where there are no forces any more, and hold one at least
    """
    one = [stopped.replica]
    integrator = Integrator(
        config.scheme,
        system.mass,
        config.timestep_ps,
        config.frictions[one],
        config.bath(0)[one],
        [config.seeds[stopped.replica]],
        one,
    )
    positions, velocities, way = state.positions[one], state.velocities[one], []
    with np.errstate(over="ignore", invalid="ignore"):
        for step in range(stopped.good_step, stopped.step):
            try:
                _, force = forces(positions)
            except InputError:
                break
            positions, velocities = integrator.step(positions, velocities, force, step)
            way.append(positions[0].copy())
    return np.array(way or state.positions[one])
