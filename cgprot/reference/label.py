"""Mean forces on given heavy-atom frames, averaged over the hydrogens (and implicit solvent).

The mean force of a bead is its force averaged over the all-atom ensemble with all beads held
(doi:10.1063/1.2938860, eq. 29). The heavy atoms get mass zero, so that they stay; the hydrogens,
their bonds flexible, run Langevin dynamics at 1 fs.

A label samples some hundred femtoseconds. Bonds, angles and amide hydrogens average within that; the
rotamers of a methyl or an amine are alike. Hydroxyls and thiols turn over barriers in picoseconds and longer:
Metropolis moves turn them (`cgprot.reference.rotors`), before the first sample and between samples.

The samples come in four runs of the hydrogens, each from velocities of its own: the scatter of their means is
the error of their mean. Blocks of one run tell too much, as hydrogens swing to and fro within 40 fs.
"""

from collections.abc import Callable, Collection
from functools import partial
from itertools import chain
from typing import NamedTuple

import numpy as np
import openmm
from openmm import unit
from pydantic import Field

from cgprot.beads import BeadFrames, BeadSystem, Topology
from cgprot.errors import InputError, UnstableError
from cgprot.mapping.project import Projection
from cgprot.reference.forcefield import (
    OpenmmConfig,
    create_system,
    openmm_errors_in_one_line,
    openmm_seeds,
    single_thread_context,
)
from cgprot.reference.frames import distorted
from cgprot.reference.hydrogens import place_hydrogens
from cgprot.reference.moves import shifted, twisted
from cgprot.reference.peptide import as_quantity
from cgprot.reference.rotors import Rotor, rotors_of, turn
from cgprot.reference.structure import Structure, topology_of
from cgprot.reference.workers import progress_bar, report_progress, run_jobs
from cgprot.units import FORCE_FROM_OPENMM

_TIMESTEP_PS = 0.001
# Strong coupling: the hydrogens' vibrations take the bath's temperature within the equilibration.
_FRICTION_PER_PS = 20.0
_FRAMES_PER_TASK = 20
_RUNS = 4
_FIRST_TURNS = 20  # tries of every hydroxyl before the first sample; a well takes about one in six
_LARGEST_FORCE = 2000.0  # kcal/mol/Å; only atoms that overlap feel more
# The labels are those of heavy atoms whose hydrogens are averaged over: the heavy mapping's.
MAPPING = "heavy"


class LabelConfig(OpenmmConfig):
    """How to average; steps are 1 fs."""

    samples: int = Field(default=20, ge=2 * _RUNS)
    steps_between: int = Field(default=10, ge=1)
    steps_between_runs: int = Field(default=50, ge=1)  # fewer leave the runs dependent
    equilibration_steps: int = Field(default=100, ge=0)
    # Å, standard deviation of a random shift of every bead
    displace: float = Field(default=0.0, ge=0, le=0.5)
    # every frame is scaled about its centre by a factor drawn between 1 - stretch and 1 + stretch
    stretch: float = Field(default=0.0, ge=0, le=0.3)
    # degrees, largest angle by which every frame is turned about its rotatable bonds
    twist: float = Field(default=0.0, ge=0, le=180.0)

    @property
    def moves(self) -> bool:
        """Whether heavy atoms are moved before labelling."""
        return bool(self.displace or self.stretch or self.twist)


class _Task(NamedTuple):
    system_xml: str
    topology: Topology
    beads: BeadSystem
    atoms: np.ndarray  # (n_frames, n_atoms, 3) [Å]
    relax: bool  # hydrogens were placed or turned, not sampled
    temperature: float
    config: LabelConfig
    numbers: np.ndarray  # (n_frames,) of the frames among all, which key their random numbers
    leave_out: bool  # frames that cannot be labelled, instead of refusing them


_Label = tuple[np.ndarray, np.ndarray]  # mean and standard error, (n_beads, 3) [kcal/mol/Å]


def label(
    structure: Structure,
    system: BeadSystem,
    positions: np.ndarray,
    time: np.ndarray,
    temperature: float,
    config: LabelConfig,
    left_out: dict[int, str] | None = None,
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
    config : LabelConfig; with `twist`, `stretch` and `displace` the heavy atoms are moved before labelling
    left_out : is told why, by number, of the frames that cannot be labelled; without it the first is refused

    Returns
    -------
    BeadFrames of the frames that are not left out; the forces are means, and force_noise is their
    standard error from the scatter of four runs, which does not see rotations slower than all of them

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
        positions = np.array([_with_hydrogens(structure, topology, system, frame) for frame in positions])
    torn = partial(distorted, topology, structure.positions, time=time)
    problems = torn(positions)
    if config.moves:
        # What a move does is chance; what is wrong before it, a wrong file.
        if problems:
            raise InputError(problems[min(problems)])
        positions, clashes = _moved(projection, topology, system.bead_of_atom, positions, config, torn)
        problems = torn(positions) | clashes
    if problems and left_out is None:
        raise InputError(problems[min(problems)])
    usable = np.array([number for number in range(len(positions)) if number not in problems], dtype=int)
    xml = openmm.XmlSerializer.serialize(_held_system(structure, config))
    # What turned with a bond may lie on other atoms.
    relax = relax or config.twist > 0
    whole = _Task(xml, topology, system, positions, relax, temperature, config, usable, left_out is not None)
    labels, refused = _labels(whole)
    if left_out is not None:
        left_out.update(problems | refused)
    kept, shape = list(labels), (len(labels), system.n_beads, 3)
    return BeadFrames(
        system=system,
        positions=projection.positions(positions[kept]),
        forces=np.reshape([mean for mean, _ in labels.values()], shape),
        force_noise=np.reshape([error for _, error in labels.values()], shape),
        time=time[kept],
        temperature=temperature,
    )


def _labels(whole: _Task) -> tuple[dict[int, _Label], dict[int, str]]:
    """By number the labels, and why a frame has none."""
    numbers = whole.numbers
    parts = np.split(numbers, range(_FRAMES_PER_TASK, len(numbers), _FRAMES_PER_TASK))
    tasks = [whole._replace(atoms=whole.atoms[part], numbers=part) for part in parts if len(part)]
    with progress_bar("label", len(numbers), "frames") as bar:
        found = run_jobs(_label_frames, tasks, whole.config.workers, bar)
    labels: dict[int, _Label] = {}
    refused: dict[int, str] = {}
    for number, outcome in zip(numbers.tolist(), chain.from_iterable(found), strict=True):
        if isinstance(outcome, str):
            refused[number] = outcome
        else:
            labels[number] = outcome
    return labels, refused


def _with_hydrogens(
    structure: Structure, topology: Topology, system: BeadSystem, beads: np.ndarray
) -> np.ndarray:
    """All atoms of a frame of beads; not-a-number where the frame is, which is refused later."""
    if not np.isfinite(beads).all():
        return np.full_like(structure.positions, np.nan)
    return place_hydrogens(topology, system, structure.positions, beads)


def _moved(
    projection: Projection,
    topology: Topology,
    bead_of_atom: np.ndarray,
    positions: np.ndarray,
    config: LabelConfig,
    torn: Callable[[np.ndarray], Collection[int]],
) -> tuple[np.ndarray, dict[int, str]]:
    """Frames twisted, then stretched or compressed and displaced, at random; and which clash, and how."""
    generator = np.random.default_rng([config.seed, len(positions)])
    clashes: dict[int, str] = {}
    if config.twist:
        positions, clashes = twisted(topology, positions, config.twist, config.seed)
    beads = projection.positions(positions)

    def shifts(frames: np.ndarray) -> np.ndarray:
        own = beads[frames]
        shift = generator.normal(scale=config.displace, size=own.shape)
        stretch = generator.uniform(-config.stretch, config.stretch, size=(len(own), 1, 1))
        return shift + stretch * (own - own.mean(axis=1, keepdims=True))

    if config.displace or config.stretch:
        positions = shifted(positions, bead_of_atom, shifts, torn)
    return positions, clashes


def _held_system(structure: Structure, config: LabelConfig) -> openmm.System:
    system = create_system(structure.topology, config.implicit, constrain_hydrogens=False)
    for atom in structure.topology.atoms():
        if atom.element.symbol != "H":
            system.setParticleMass(atom.index, 0.0)
    return system


def _label_frames(task: _Task) -> list[_Label | str]:
    """The labels, or in their place why there are none where that may be."""
    integrator = openmm.LangevinMiddleIntegrator(task.temperature, _FRICTION_PER_PS, _TIMESTEP_PS)
    system = openmm.XmlSerializer.deserialize(task.system_xml)
    context = single_thread_context(system, integrator, task.config.platform)
    projection, rotors = Projection(task.topology, task.beads), rotors_of(task.topology)
    results: list[_Label | str] = []
    for index in range(len(task.atoms)):
        try:
            results.append(_label_frame(context, projection, rotors, task, index))
        except (InputError, UnstableError) as error:
            if not task.leave_out:
                raise
            results.append(str(error))
        report_progress(1)
    return results


@openmm_errors_in_one_line()
def _label_frame(
    context: openmm.Context, projection: Projection, rotors: list[Rotor], task: _Task, index: int
) -> _Label:
    # A context starts its random stream anew only when made anew: a frame's label then does
    # not depend on the frames before it.
    number = int(task.numbers[index])
    integrator_seed, _ = openmm_seeds(task.config.seed, number)
    context.getIntegrator().setRandomNumberSeed(integrator_seed)
    context.reinitialize()
    context.setPositions(as_quantity(task.atoms[index]))
    if task.relax:
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=200)
    generator = np.random.default_rng([task.config.seed, number])
    turned = partial(turn, context, rotors, task.temperature, generator=generator)
    turned(sweeps=_FIRST_TURNS)
    return _mean_force(context, projection, task, number, turned)


def _mean_force(context, projection: Projection, task: _Task, frame: int, turned: Callable) -> _Label:
    shares = np.array_split(np.arange(task.config.samples), _RUNS)
    runs = [_forces_of_run(context, task, (frame, run), len(shares[run]), turned) for run in range(_RUNS)]
    if not all(np.isfinite(forces).all() for forces in runs):
        raise UnstableError(f"frame {frame}: forces are not finite: leave that frame out")
    mean, error = mean_of_runs([projection.forces(forces) for forces in runs])
    largest = np.linalg.norm(mean, axis=1)
    bead = int(largest.argmax())
    if largest[bead] > _LARGEST_FORCE:
        beads = task.beads
        raise InputError(
            f"frame {frame}: mean force {largest[bead]:.0f} kcal/mol/Å on {beads.bead_name[bead]} of "
            f"{beads.residue_name[bead]} {beads.residue_id[bead]}: leave that frame out or move it less"
        )
    return mean, error


def _forces_of_run(
    context: openmm.Context, task: _Task, key: tuple[int, int], samples: int, turned: Callable
) -> np.ndarray:
    """(samples, n_atoms, 3) [kcal/mol/Å] of one run of a frame, from velocities of its own."""
    config, integrator = task.config, context.getIntegrator()
    _, velocity_seed = openmm_seeds(config.seed, *key)
    context.setVelocitiesToTemperature(task.temperature, velocity_seed)
    integrator.step(config.steps_between_runs if key[1] else config.equilibration_steps)
    forces = []
    for _ in range(samples):
        integrator.step(config.steps_between)
        turned(sweeps=1)
        state = context.getState(getForces=True)
        newton = state.getForces(asNumpy=True).value_in_unit(unit.kilojoule_per_mole / unit.nanometer)
        forces.append(newton * FORCE_FROM_OPENMM)
    return np.array(forces)


def mean_of_runs(runs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of all samples and its standard error, from independent runs of (n_samples, ...) each.

    Samples of one run may be correlated; the error's square is unbiased for runs of one length.
    """
    means = np.array([run.mean(axis=0) for run in runs])
    lengths = np.array([len(run) for run in runs])
    weights = lengths / lengths.sum()
    return np.tensordot(weights, means, axes=1), means.std(axis=0, ddof=1) * np.linalg.norm(weights)
