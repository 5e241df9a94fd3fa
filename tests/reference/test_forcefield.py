import openmm
import pytest
from openmm import app, unit

from cgprot.reference.forcefield import create_system, protein_forcefield
from cgprot.reference.peptide import as_quantity
from cgprot.reference.structure import load_structure


def energy(system, positions) -> float:
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(as_quantity(positions))
    return context.getState(getEnergy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)


def test_native_obc2_is_the_force_fields_own(examples):
    structure = load_structure(examples / "chignolin.pdb")
    generic = protein_forcefield("obc2").createSystem(structure.topology, nonbondedMethod=app.NoCutoff)
    ours = create_system(structure.topology, "obc2", constrain_hydrogens=False)
    expected = energy(generic, structure.positions)
    assert energy(ours, structure.positions) == pytest.approx(expected, abs=1e-3)
    # The solvent is worth hundreds of kJ/mol: leaving it out would be seen.
    solvent = next(i for i, force in enumerate(ours.getForces()) if isinstance(force, openmm.GBSAOBCForce))
    ours.removeForce(solvent)
    assert abs(energy(ours, structure.positions) - expected) > 100
