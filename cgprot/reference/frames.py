"""Trajectories -> frames of beads: what `cgprot map` writes and `cgprot label` reads."""

from pathlib import Path

import numpy as np

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import InputError, UsageError
from cgprot.files.folder import RUN_FILE, read_run
from cgprot.files.universe import AtomFrame, AtomSource
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import MappingRules


def map_trajectories(
    topology: Path,
    trajectories: list[Path],
    rules: MappingRules,
    protein: str,
    temperature: float | None = None,
) -> tuple[dict[str, BeadFrames], int]:
    """Project every frame of every trajectory onto beads.

    Parameters
    ----------
    topology, trajectories : anything MDAnalysis reads
    rules : the mapping
    protein : name of the protein in the dataset
    temperature : [K]; None reads it from the run.json that `cgprot sample` wrote beside the file

    Returns
    -------
    ({"protein/temperature/replica": frames}, number of solvent atoms left out)

    Raises
    ------
    StorageError, InputError
        if a file is missing, does not fit, or holds positions or forces that are not finite
    """
    temperatures = [trajectory_temperature(path, temperature) for path in trajectories]
    entries: dict[str, BeadFrames] = {}
    n_dropped = 0
    for path, kelvin in zip(trajectories, temperatures, strict=True):
        source = AtomSource(topology, [path])
        system = build_system(source.topology, rules)
        replica = sum(key.startswith(f"{protein}/{kelvin:g}/") for key in entries)
        entries[f"{protein}/{kelvin:g}/{replica}"] = _map_source(path, source, system, kelvin)
        n_dropped = source.n_dropped
    return entries, n_dropped


def trajectory_temperature(trajectory: Path, temperature: float | None) -> float:
    """The temperature [K] given, or the one `cgprot sample` recorded for this file."""
    if temperature is not None:
        if temperature <= 0:
            raise UsageError(f"--temperature {temperature:g}: must be above 0 K")
        return temperature
    folder = Path(trajectory).parent
    if (folder / RUN_FILE).is_file():
        recorded = read_run(folder).get("trajectories", {})
        if Path(trajectory).name in recorded:
            return float(recorded[Path(trajectory).name])
    raise InputError(f"{trajectory}: its temperature is not known: say --temperature")


def _map_source(path: Path, source: AtomSource, system: BeadSystem, temperature: float) -> BeadFrames:
    projection = Projection(source.topology, system)
    try:
        mapped = [_map_frame(projection, frame) for frame in source]
    except InputError as error:
        raise InputError(f"{path}: {error}")
    positions, forces, time = zip(*mapped, strict=True)
    if any(force is None for force in forces) and not all(force is None for force in forces):
        raise InputError(f"{path}: some frames have forces and some do not: split the trajectory")
    return BeadFrames(
        system=system,
        positions=np.array(positions),
        forces=None if forces[0] is None else np.array(forces),
        time=np.array(time),
        temperature=temperature,
    )


def _map_frame(projection: Projection, frame: AtomFrame):
    forces = None if frame.forces is None else projection.forces(frame.forces)
    return projection.positions(frame.positions), forces, frame.time
