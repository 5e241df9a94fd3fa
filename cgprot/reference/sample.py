"""All-atom molecular dynamics in implicit solvent: one trajectory per temperature."""

import csv
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import openmm
from openmm import unit
from pydantic import Field, model_validator

from cgprot.errors import UnstableError
from cgprot.files.folder import check_new, create_folder, write_run
from cgprot.files.psf import write_atom_psf
from cgprot.files.trajectory import ForceTrajectory
from cgprot.reference.forcefield import (
    OpenmmConfig,
    create_system,
    openmm_errors_in_one_line,
    openmm_seeds,
    partial_charges,
    refuse_missing_platform,
    single_thread_context,
)
from cgprot.reference.peptide import as_quantity
from cgprot.reference.prepare import minimised, write_structure
from cgprot.reference.structure import Structure, topology_of
from cgprot.reference.workers import progress_bar, report_progress, run_jobs
from cgprot.units import (
    ANGSTROM_PER_NM,
    FORCE_FROM_OPENMM,
    FS_PER_PS,
    KCAL_PER_KJ,
    PS_PER_NS,
    SECONDS_PER_DAY,
)

_FRICTION_PER_PS = 1.0
_REPORT_PS = 1.0  # longest stretch between two reports to the progress bar


class SampleConfig(OpenmmConfig):
    """What to sample; times in ps and fs, temperatures in K."""

    temperature: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    time_ps: float = Field(gt=0)
    every_ps: float = Field(default=1.0, gt=0)
    equilibrate_ps: float = Field(default=10.0, ge=0)
    timestep_fs: float = Field(default=2.0, gt=0, le=4)

    @model_validator(mode="after")
    def _distinct_temperatures(self) -> "SampleConfig":
        names = [f"{temperature:g}" for temperature in self.temperature]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(
                    f"temperature {name} is given twice: name each once, and use another seed to repeat it"
                )
        return self

    @model_validator(mode="after")
    def _whole_steps(self) -> "SampleConfig":
        for name in ("time_ps", "every_ps", "equilibrate_ps"):
            steps = getattr(self, name) * FS_PER_PS / self.timestep_fs
            if (name != "equilibrate_ps" and round(steps) < 1) or abs(steps - round(steps)) > 1e-6 * steps:
                raise ValueError(
                    f"{name} {getattr(self, name):g} is {steps:.6g} steps of {self.timestep_fs:g} fs: "
                    f"choose a whole number of steps"
                )
        if self.every_ps > self.time_ps:
            raise ValueError(
                f"every_ps {self.every_ps:g} exceeds time_ps {self.time_ps:g}: no frame would be written"
            )
        if self.steps(self.time_ps) % self.steps(self.every_ps):
            raise ValueError(
                f"time_ps {self.time_ps:g} is {self.time_ps / self.every_ps:.6g} times every_ps "
                f"{self.every_ps:g}: choose a whole number of frames"
            )
        return self

    def steps(self, time_ps: float) -> int:
        """The nearest number of steps in a time."""
        return round(time_ps * FS_PER_PS / self.timestep_fs)


class _Task(NamedTuple):
    system_xml: str
    positions: np.ndarray
    temperature: float
    config: SampleConfig
    trajectory: Path
    number: int  # of the temperature, which keys its random numbers


def sample(
    structure: Structure, config: SampleConfig, output: Path, source: dict, inputs: list[Path]
) -> None:
    """Run one trajectory per temperature, in parallel processes.

    ff14SB, Langevin middle integrator, rigid X-H bonds, no cutoff. The folder receives system.pdb,
    system.psf, and for every temperature 300K.trr (positions and forces, without the constraint
    forces, which cancel between a heavy atom and its hydrogens) and 300K.csv.

    Parameters
    ----------
    structure : all atoms
    output : new folder
    source : where the structure came from, for run.json
    inputs : files that were read

    Raises
    ------
    UsageError
        if `output` is there already, or the platform is not
    InputError
        if the force field does not know a residue, or the energy has no minimum near the structure
    UnstableError
        if the energy leaves the finite numbers
    """
    check_new(output)
    refuse_missing_platform(config.platform)
    system = create_system(structure.topology, config.implicit, constrain_hydrogens=True)
    topology = topology_of(structure.topology)
    xml = openmm.XmlSerializer.serialize(system)
    start = minimised(structure, system, config.platform)
    create_folder(output)
    names = {f"{temperature:g}K.trr": temperature for temperature in config.temperature}
    write_run(output, "sample", config.model_dump() | source, inputs, trajectories=names)
    write_atom_psf(output / "system.psf", topology, np.array(partial_charges(system)))
    write_structure(output / "system.pdb", Structure(structure.topology, start))
    tasks = [
        _Task(xml, start, temperature, config, output / name, number)
        for number, (name, temperature) in enumerate(names.items())
    ]
    total = len(tasks) * (config.time_ps + config.equilibrate_ps)
    with progress_bar("sample", total, "ps", _as_ns_per_day) as bar:
        run_jobs(_run_trajectory, tasks, config.workers, bar)


def _as_ns_per_day(ps_per_second: float) -> str:
    return f"{ps_per_second / PS_PER_NS * SECONDS_PER_DAY:.3g} ns/day"


@openmm_errors_in_one_line()
def _run_trajectory(task: _Task) -> None:
    config = task.config
    timestep_ps = config.timestep_fs / FS_PER_PS
    integrator = openmm.LangevinMiddleIntegrator(task.temperature, _FRICTION_PER_PS, timestep_ps)
    integrator_seed, velocity_seed = openmm_seeds(config.seed, task.number)
    integrator.setRandomNumberSeed(integrator_seed)
    system = openmm.XmlSerializer.deserialize(task.system_xml)
    context = single_thread_context(system, integrator, config.platform)
    context.setPositions(as_quantity(task.positions))
    context.setVelocitiesToTemperature(task.temperature, velocity_seed)
    _advance(integrator, config, config.equilibrate_ps)
    trajectory = ForceTrajectory(task.trajectory, len(task.positions))
    with open(task.trajectory.with_suffix(".csv"), "w", newline="") as stream:
        log = csv.writer(stream)
        log.writerow(["time_ps", "potential_energy_kcal_mol", "kinetic_energy_kcal_mol"])
        for frame in range(1, round(config.time_ps / config.every_ps) + 1):
            _advance(integrator, config, config.every_ps)
            log.writerow(_record(context, trajectory, frame * config.every_ps, task))
    trajectory.close()


def _advance(integrator: openmm.Integrator, config: SampleConfig, time_ps: float) -> None:
    left, most = config.steps(time_ps), max(1, config.steps(_REPORT_PS))
    while left > 0:
        steps = min(left, most)
        integrator.step(steps)
        report_progress(steps * config.timestep_fs / FS_PER_PS)
        left -= steps


def _record(context: openmm.Context, trajectory: ForceTrajectory, time_ps: float, task: _Task) -> list:
    state = context.getState(getPositions=True, getForces=True, getEnergy=True)
    energies = [
        energy.value_in_unit(unit.kilojoule_per_mole) * KCAL_PER_KJ
        for energy in (state.getPotentialEnergy(), state.getKineticEnergy())
    ]
    if not np.isfinite(energies).all():
        raise UnstableError(
            f"{task.trajectory.name}: energy not finite at {time_ps:g} ps and {task.temperature:g} K: "
            "use a shorter --timestep-fs or a better structure"
        )
    positions = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer) * ANGSTROM_PER_NM
    forces = state.getForces(asNumpy=True)._value * FORCE_FROM_OPENMM
    trajectory.append(positions, forces, time_ps)
    return [f"{value:.4f}" for value in (time_ps, *energies)]
