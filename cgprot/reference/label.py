"""Mean forces on given heavy-atom frames, averaged over the hydrogens (and implicit solvent).

The mean force of a bead is its force averaged over the all-atom ensemble with all beads held
(doi:10.1063/1.2938860, eq. 29). The heavy atoms get mass zero, so that they stay; the hydrogens,
their bonds flexible, run Langevin dynamics at 1 fs.

A label samples some hundred femtoseconds. Bonds, angles and amide hydrogens average within that;
hydroxyls, thiols and methyls rotate over barriers in picoseconds and longer, so their average is
over the rotamer that the frame has (or, of placed hydrogens, that the minimiser found), and the
standard error, from blocks of that same stretch, does not see what is missing. Raise `samples` and
`steps_between` where that matters.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import openmm
from openmm import unit
from pydantic import Field

from cgprot.beads import BeadFrames, BeadSystem, Topology
from cgprot.errors import CgprotError, InputError, UnstableError, UsageError
from cgprot.files.sources import read_source
from cgprot.files.universe import AtomSource
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import load_rules
from cgprot.reference.forcefield import (
    OpenmmConfig,
    create_system,
    openmm_errors_in_one_line,
    openmm_seeds,
    refuse_missing_platform,
    single_thread_context,
)
from cgprot.reference.frames import trajectory_temperature
from cgprot.reference.hydrogens import place_hydrogens
from cgprot.reference.peptide import as_quantity
from cgprot.reference.structure import Structure, load_structure, refuse_distorted, topology_of
from cgprot.reference.workers import progress_bar, report_progress, run_jobs
from cgprot.units import FORCE_FROM_OPENMM

_TIMESTEP_PS = 0.001
# Strong coupling: the hydrogens' vibrations take the bath's temperature within the equilibration.
_FRICTION_PER_PS = 20.0
_FRAMES_PER_TASK = 20
_BLOCKS = 5
_SEED_STRIDE = 2**20  # between trajectories: beyond every seed that a configuration may have
_LARGEST_FORCE = 2000.0  # kcal/mol/Å; only atoms that overlap feel more
# The labels are those of heavy atoms whose hydrogens are averaged over: the heavy mapping's.
_MAPPING = "heavy"


class LabelConfig(OpenmmConfig):
    """How to average; steps are 1 fs."""

    samples: int = Field(default=20, ge=2 * _BLOCKS)
    steps_between: int = Field(default=10, ge=1)
    equilibration_steps: int = Field(default=100, ge=0)
    # Å, standard deviation of a random shift of every bead
    displace: float = Field(default=0.0, ge=0, le=0.5)
    # every frame is scaled about its centre by a factor drawn between 1 - stretch and 1 + stretch
    stretch: float = Field(default=0.0, ge=0, le=0.3)


class _Task(NamedTuple):
    system_xml: str
    topology: Topology
    beads: BeadSystem
    atoms: np.ndarray  # (n_frames, n_atoms, 3) [Å]
    relax: bool  # hydrogens were placed, not sampled
    temperature: float
    config: LabelConfig
    first: int  # number of the task's first frame, which keys its random numbers


def label(
    structure: Structure,
    system: BeadSystem,
    positions: np.ndarray,
    time: np.ndarray,
    temperature: float,
    config: LabelConfig,
) -> BeadFrames:
    """Mean forces of frames, with the standard error of each component.

    Parameters
    ----------
    structure : all atoms with hydrogens
    system : its beads
    positions : (n_frames, n_atoms, 3) [Å], hydrogens as sampled, or (n_frames, n_beads, 3) [Å],
        hydrogens then placed and minimised first
    time : (n_frames,) [ps]
    temperature : of the hydrogens [K]
    config : LabelConfig; with `stretch` and `displace` the heavy atoms are moved before labelling

    Returns
    -------
    BeadFrames whose forces are means and whose force_noise is their standard error from the
    scatter of five consecutive blocks; it does not see rotations slower than the label (see above)

    Raises
    ------
    InputError
        if a frame's bonds are not the structure's, or its mean forces exceed 2000 kcal/mol/Å
    UnstableError
        if a frame's forces are not finite
    """
    topology = topology_of(structure.topology)
    projection = Projection(topology, system)
    relax = positions.shape[1] == system.n_beads and system.n_beads != len(topology.element)
    if relax:
        positions = np.array(
            [place_hydrogens(topology, system, structure.positions, frame) for frame in positions]
        )
    refuse_distorted(topology, structure.positions, positions, time)
    positions = _moved(projection, system.bead_of_atom, positions, config)
    refuse_distorted(topology, structure.positions, positions, time)
    xml = openmm.XmlSerializer.serialize(_held_system(structure, config))
    tasks = [
        _Task(xml, topology, system, positions[i : i + _FRAMES_PER_TASK], relax, temperature, config, i)
        for i in range(0, len(positions), _FRAMES_PER_TASK)
    ]
    with progress_bar("label", len(positions), "frames") as bar:
        results = run_jobs(_label_frames, tasks, config.workers, bar)
    return BeadFrames(
        system=system,
        positions=projection.positions(positions),
        forces=np.concatenate([mean for mean, _ in results]),
        force_noise=np.concatenate([error for _, error in results]),
        time=time,
        temperature=temperature,
    )


def label_sources(
    paths: list[Path],
    structure_path: Path,
    protein: str,
    temperature: float | None,
    every: int,
    config: LabelConfig,
) -> dict[str, BeadFrames]:
    """Mean forces of the frames in files.

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
        if a file is missing, or its beads are not the structure's
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
    system = build_system(topology, load_rules(_MAPPING))
    read = [frames for path in paths for frames in _read(path, structure_path, topology, system, temperature)]
    entries: dict[str, BeadFrames] = {}
    for index, (positions, time, kelvin) in enumerate(read):
        replica = sum(key.startswith(f"{protein}/{kelvin:g}/") for key in entries)
        own_seed = config.model_copy(update={"seed": config.seed + _SEED_STRIDE * index})
        key = f"{protein}/{kelvin:g}/{replica}"
        try:
            entries[key] = label(structure, system, positions[::every], time[::every], kelvin, own_seed)
        except CgprotError as error:
            raise type(error)(f"{key}: {error}")
    return entries


def _read(
    path: Path, structure_path: Path, topology: Topology, system: BeadSystem, temperature: float | None
):
    """Yield (positions, time, temperature) of every trajectory at `path`."""
    if path.is_dir() or path.suffix == ".h5":
        for frames in read_source(path):
            kelvin = frames.temperature if temperature is None else temperature
            if kelvin is None:
                raise InputError(f"{path}: its temperature is not recorded: say --temperature")
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


def _moved(
    projection: Projection, bead_of_atom: np.ndarray, positions: np.ndarray, config: LabelConfig
) -> np.ndarray:
    """Frames stretched or compressed, and every bead shifted, at random; hydrogens keep their bonds."""
    if config.displace == config.stretch == 0.0:
        return positions
    generator = np.random.default_rng([config.seed, len(positions)])
    beads = projection.positions(positions)
    shift = generator.normal(scale=config.displace, size=beads.shape)
    stretch = generator.uniform(-config.stretch, config.stretch, size=(len(positions), 1, 1))
    shift += stretch * (beads - beads.mean(axis=1, keepdims=True))
    return positions + shift[:, bead_of_atom]


def _held_system(structure: Structure, config: LabelConfig) -> openmm.System:
    system = create_system(structure.topology, config.implicit, constrain_hydrogens=False)
    for atom in structure.topology.atoms():
        if atom.element.symbol != "H":
            system.setParticleMass(atom.index, 0.0)
    return system


@openmm_errors_in_one_line()
def _label_frames(task: _Task) -> tuple[np.ndarray, np.ndarray]:
    integrator = openmm.LangevinMiddleIntegrator(task.temperature, _FRICTION_PER_PS, _TIMESTEP_PS)
    system = openmm.XmlSerializer.deserialize(task.system_xml)
    context = single_thread_context(system, integrator, task.config.platform)
    projection = Projection(task.topology, task.beads)
    results = []
    for index, atoms in enumerate(task.atoms):
        # A context starts its random stream anew only when made anew: a frame's label then does
        # not depend on the frames before it.
        integrator_seed, velocity_seed = openmm_seeds(task.config.seed, task.first + index)
        integrator.setRandomNumberSeed(integrator_seed)
        context.reinitialize()
        context.setPositions(as_quantity(atoms))
        if task.relax:
            openmm.LocalEnergyMinimizer.minimize(context, maxIterations=200)
        context.setVelocitiesToTemperature(task.temperature, velocity_seed)
        results.append(_mean_force(context, projection, task, task.first + index))
        report_progress(1)
    return np.array([mean for mean, _ in results]), np.array([error for _, error in results])


def _mean_force(context, projection: Projection, task: _Task, frame: int) -> tuple[np.ndarray, np.ndarray]:
    integrator = context.getIntegrator()
    integrator.step(task.config.equilibration_steps)
    forces = []
    for _ in range(task.config.samples):
        integrator.step(task.config.steps_between)
        state = context.getState(getForces=True)
        newton = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        forces.append(newton * FORCE_FROM_OPENMM)
    if not np.isfinite(forces).all():
        raise UnstableError(f"frame {frame}: forces are not finite: leave that frame out")
    mean, error = block_mean(projection.forces(np.array(forces)), _BLOCKS)
    largest = np.linalg.norm(mean, axis=1)
    bead = int(largest.argmax())
    if largest[bead] > _LARGEST_FORCE:
        beads = task.beads
        raise InputError(
            f"frame {frame}: mean force {largest[bead]:.0f} kcal/mol/Å on {beads.bead_name[bead]} of "
            f"{beads.residue_name[bead]} {beads.residue_id[bead]}: leave that frame out or displace less"
        )
    return mean, error


def block_mean(samples: np.ndarray, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean over the first axis and its standard error from block averages.

    Blocks longer than the correlation time are independent, so the scatter of their means is the
    error of correlated samples (Flyvbjerg and Petersen, doi:10.1063/1.457480). Motions slower than
    a block, a label's of 40 fs by default, make the error too small.
    """
    means = np.array([block.mean(axis=0) for block in np.array_split(samples, blocks)])
    return samples.mean(axis=0), means.std(axis=0, ddof=1) / np.sqrt(blocks)
