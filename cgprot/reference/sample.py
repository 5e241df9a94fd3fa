"""All-atom molecular dynamics in implicit solvent: one trajectory per temperature."""

import csv
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import openmm
from openmm import app, unit
from pydantic import BaseModel, ConfigDict, Field

from cgprot.errors import UnstableError
from cgprot.files.folder import create_folder, write_run
from cgprot.files.psf import write_atom_psf
from cgprot.files.trajectory import ForceTrajectory
from cgprot.reference.forcefield import Implicit, create_system, partial_charges, single_thread_context
from cgprot.reference.peptide import as_quantity
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


class SampleConfig(BaseModel):
    """What to sample; times in ps and fs, temperatures in K."""

    model_config = ConfigDict(extra="forbid")

    temperature: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)
    time_ps: float = Field(gt=0)
    every_ps: float = Field(default=1.0, gt=0)
    equilibrate_ps: float = Field(default=10.0, ge=0)
    timestep_fs: float = Field(default=2.0, gt=0, le=4)
    implicit: Implicit = "obc2"
    platform: str = "CPU"
    workers: int = Field(default=1, ge=1)
    seed: int = Field(default=1, ge=0)


class _Task(NamedTuple):
    system_xml: str
    positions: np.ndarray
    temperature: float
    config: SampleConfig
    trajectory: Path
    seed: int


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
    InputError
        if the force field does not know a residue
    UnstableError
        if the energy leaves the finite numbers
    """
    system = create_system(structure.topology, config.implicit, constrain_hydrogens=True)
    topology = topology_of(structure.topology)
    create_folder(output)
    names = {f"{temperature:g}K.trr": temperature for temperature in config.temperature}
    write_run(output, "sample", config.model_dump() | source, inputs, trajectories=names)
    write_atom_psf(output / "system.psf", topology, np.array(partial_charges(system)))
    xml = openmm.XmlSerializer.serialize(system)
    start = _write_minimised(structure, xml, config, output / "system.pdb")
    tasks = [
        _Task(xml, start, temperature, config, output / name, config.seed * 1000 + index + 1)
        for index, (name, temperature) in enumerate(names.items())
    ]
    total = len(tasks) * (config.time_ps + config.equilibrate_ps)
    with progress_bar("sample", total, "ps") as bar:
        began = time.monotonic()
        run_jobs(_run_trajectory, tasks, config.workers, bar)
        bar.set_postfix_str(f"{total / PS_PER_NS / (time.monotonic() - began) * SECONDS_PER_DAY:.0f} ns/day")


def _write_minimised(structure: Structure, system_xml: str, config: SampleConfig, path: Path) -> np.ndarray:
    system = openmm.XmlSerializer.deserialize(system_xml)
    context = single_thread_context(system, openmm.VerletIntegrator(0.001), config.platform)
    context.setPositions(as_quantity(structure.positions))
    openmm.LocalEnergyMinimizer.minimize(context)
    positions = context.getState(getPositions=True).getPositions(asNumpy=True)
    with open(path, "w") as stream:
        app.PDBFile.writeFile(structure.topology, positions, stream, keepIds=True)
    return positions.value_in_unit(unit.nanometer) * ANGSTROM_PER_NM


def _run_trajectory(task: _Task) -> None:
    config = task.config
    timestep_ps = config.timestep_fs / FS_PER_PS
    integrator = openmm.LangevinMiddleIntegrator(task.temperature, _FRICTION_PER_PS, timestep_ps)
    integrator.setRandomNumberSeed(task.seed)
    system = openmm.XmlSerializer.deserialize(task.system_xml)
    context = single_thread_context(system, integrator, config.platform)
    context.setPositions(as_quantity(task.positions))
    context.setVelocitiesToTemperature(task.temperature, task.seed)
    integrator.step(round(config.equilibrate_ps / timestep_ps))
    report_progress(config.equilibrate_ps)
    trajectory = ForceTrajectory(task.trajectory, len(task.positions))
    steps = round(config.every_ps / timestep_ps)
    with open(task.trajectory.with_suffix(".csv"), "w", newline="") as stream:
        log = csv.writer(stream)
        log.writerow(["time_ps", "potential_energy_kcal_mol", "kinetic_energy_kcal_mol"])
        for frame in range(1, round(config.time_ps / config.every_ps) + 1):
            integrator.step(steps)
            log.writerow(_record(context, trajectory, frame * config.every_ps, task))
            report_progress(config.every_ps)
    trajectory.close()


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
