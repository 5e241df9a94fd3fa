import pickle

import openmm
import pytest
from openmm import app, unit

from cgprot.errors import UnstableError, UsageError
from cgprot.reference.forcefield import (
    OpenmmConfig,
    create_system,
    openmm_errors_in_one_line,
    openmm_seeds,
    protein_forcefield,
    refuse_missing_platform,
)
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


def test_seeds_are_distinct_and_never_the_random_one():
    seeds = [seed for key in range(100) for index in range(20) for seed in openmm_seeds(key, index)]
    assert len(set(seeds)) == len(seeds) == 4000
    assert min(seeds) > 0
    assert max(seeds) < 2**31
    assert openmm_seeds(0, 0) == openmm_seeds(0, 0)


def test_a_platform_that_is_not_there_is_named():
    with pytest.raises(UsageError, match=r"--platform Abacus: not on this computer: choose from .*Reference"):
        refuse_missing_platform("Abacus")


@openmm_errors_in_one_line()
def failing_job(_):
    raise openmm.OpenMMException("Particle coordinate is NaN.\nFor more, see")


def test_what_openmm_raises_in_a_job_is_one_line():
    with pytest.raises(UnstableError, match="Particle coordinate is NaN") as caught:
        pickle.loads(pickle.dumps(failing_job))(None)
    assert "\n" not in str(caught.value)


def test_infinite_numbers_are_refused():
    class Config(OpenmmConfig):
        time_ps: float

    with pytest.raises(ValueError, match="finite"):
        Config(time_ps=float("inf"))
