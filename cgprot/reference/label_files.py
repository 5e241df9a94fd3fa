"""Mean forces of the frames in files."""

import sys
from collections import Counter
from pathlib import Path

import numpy as np

from cgprot.beads import BeadFrames, BeadSystem, Topology
from cgprot.errors import CgprotError, InputError, UsageError
from cgprot.files.dataset import HDF5_SUFFIXES
from cgprot.files.mdtraj_hdf5 import is_mdtraj_path
from cgprot.files.sources import read_source
from cgprot.files.universe import AtomSource
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference.forcefield import refuse_missing_platform
from cgprot.reference.frames import trajectory_temperature
from cgprot.reference.label import MAPPING, LabelConfig, label
from cgprot.reference.structure import load_structure, topology_of

_SEED_STRIDE = 2**20  # between trajectories: beyond every seed that a configuration may have


def label_sources(
    paths: list[Path],
    structure_path: Path,
    protein: str,
    temperature: float | None,
    every: int,
    config: LabelConfig,
) -> dict[str, BeadFrames]:
    """Mean forces of the frames in files; those that cannot be labelled are left out and told on stderr.

    Parameters
    ----------
    paths : all-atom trajectories of `structure_path`'s protein, datasets of beads, or run folders
    structure_path : all-atom structure
    protein : name in the dataset
    temperature : [K]; None takes what the files record
    every : label every n-th frame

    Returns
    -------
    {"protein/temperature/replica": frames}

    Raises
    ------
    StorageError, InputError
        if a file is missing, its beads are not the structure's, or none of its frames can be labelled
    UsageError
        if the platform is not there, or `every` or `temperature` is not above zero
    """
    refuse_missing_platform(config.platform)
    if every < 1:
        raise UsageError(f"--every {every}: must be 1 or more")
    if temperature is not None and not 0 < temperature < np.inf:
        raise UsageError(f"--temperature {temperature:g}: must be above 0 K and finite")
    structure = load_structure(structure_path)
    topology = topology_of(structure.topology)
    system = build_system(topology, load_rules(MAPPING))
    read = [frames for path in paths for frames in _read(path, structure_path, topology, system, temperature)]
    entries: dict[str, BeadFrames] = {}
    replicas: Counter[float] = Counter()
    refused: list[str] = []
    for index, (positions, time, kelvin) in enumerate(read):
        own_seed = config.model_copy(update={"seed": config.seed + _SEED_STRIDE * index})
        key = f"{protein}/{kelvin:g}/{replicas[kelvin]}"
        replicas[kelvin] += 1
        left_out: dict[int, str] = {}
        chosen = (positions[::every], time[::every])
        try:
            found = label(structure, system, *chosen, kelvin, own_seed, left_out)
        except CgprotError as error:
            raise type(error)(f"{key}: {error}")
        _tell_left_out(key, left_out, chosen[1], every)
        refused += [f"{key}: {problem}" for problem in left_out.values()]
        if len(found) or not left_out:
            entries[key] = found
    if refused and not entries:
        raise InputError(refused[0])
    return entries


def _tell_left_out(key: str, left_out: dict[int, str], time: np.ndarray, every: int) -> None:
    """One line a frame, by its place in the file and without the advice."""
    for number, problem in left_out.items():
        where = f"frame {number * every} ({time[number]:g} ps)"
        what = problem.partition(": ")[2] if problem.startswith("frame ") else problem
        print(f"{key}: left out: {where}: {what.rpartition(': ')[0] or what}", file=sys.stderr)


def _read(
    path: Path, structure_path: Path, topology: Topology, system: BeadSystem, temperature: float | None
):
    """Yield (positions, time, temperature) of every trajectory at `path`."""
    if path.is_dir() or (path.suffix in HDF5_SUFFIXES and not is_mdtraj_path(path)):
        for frames in read_source(path):
            kelvin = frames.temperature if temperature is None else temperature
            if kelvin is None:
                raise InputError(f"{path}: no one temperature of its frames is recorded: say --temperature")
            if not np.array_equal(frames.system.bead_name, system.bead_name):
                raise InputError(
                    f"{path}: its beads are not those of {structure_path}: give that protein's structure"
                )
            yield frames.positions.astype(float), frames.time, kelvin
    else:
        kelvin = trajectory_temperature(path, temperature)
        source = AtomSource(structure_path, [path])
        if len(source.topology.element) != len(topology.element):
            raise InputError(
                f"{structure_path}: {len(source.topology.element)} atoms, completed {len(topology.element)}: "
                "give the all-atom structure the trajectory was made with (system.pdb)"
            )
        steps = list(source)
        yield np.array([step.positions for step in steps]), np.array([step.time for step in steps]), kelvin
