"""All-atom simulations by OpenMM, to be timed beside ours."""

import time
from typing import Any

import openmm
from openmm import app, unit

from cgprot.reference.forcefield import create_system
from cgprot.reference.peptide import as_quantity
from cgprot.reference.structure import Structure


def implicit(structure: Structure, model: str) -> tuple[Any, openmm.System]:
    """As the references are simulated: ff14SB in one of OpenMM's generalised Born models."""
    system = create_system(structure.topology, model, constrain_hydrogens=True)
    return as_quantity(structure.positions), system


def explicit(structure: Structure) -> tuple[Any, openmm.System]:
    """In a box of TIP3P water that reaches 10 Å beyond the protein; PME, cutoff 9 Å."""
    forcefield = app.ForceField("amber14/protein.ff14SB.xml", "amber14/tip3p.xml")
    modeller = app.Modeller(structure.topology, as_quantity(structure.positions))
    modeller.addSolvent(forcefield, padding=1.0 * unit.nanometer, model="tip3p")
    system = forcefield.createSystem(
        modeller.topology,
        nonbondedMethod=app.PME,
        nonbondedCutoff=0.9 * unit.nanometer,
        constraints=app.HBonds,
    )
    return modeller.positions, system


class AllAtom:
    """A simulation by OpenMM's CPU platform at 300 K, in steps of `step_ps`."""

    def __init__(self, positions: Any, system: openmm.System, step_ps: float, threads: int) -> None:
        self.n_atoms = system.getNumParticles()
        self._clock = time.process_time if threads == 1 else time.perf_counter
        integrator = openmm.LangevinMiddleIntegrator(300.0, 1.0, step_ps)
        platform = openmm.Platform.getPlatformByName("CPU")
        self._context = openmm.Context(system, integrator, platform, {"Threads": str(threads)})
        self._integrator = integrator
        self._context.setPositions(positions)
        openmm.LocalEnergyMinimizer.minimize(self._context, maxIterations=30)
        self._context.setVelocitiesToTemperature(300.0, 1)
        self.run(10)

    def run(self, steps: int) -> float:
        """Seconds a step; a frame is read at the end, as in a real run."""
        began = self._clock()
        self._integrator.step(steps)
        self._context.getState(getPositions=True)
        return (self._clock() - began) / steps
