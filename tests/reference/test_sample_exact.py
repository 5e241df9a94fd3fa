"""What a sampled folder holds: forces of its positions, rigid bonds, each trajectory's own temperature."""

import csv

import numpy as np
import openmm
import pytest
from openmm import app, unit

from cgprot.files.universe import AtomSource
from cgprot.reference import sample as module
from cgprot.reference.peptide import as_quantity
from cgprot.reference.sample import SampleConfig, sample
from cgprot.reference.structure import load_structure, topology_of
from cgprot.units import ANGSTROM_PER_NM, BOLTZMANN

KELVIN = (250.0, 400.0)
KCAL_PER_ANGSTROM = unit.kilocalorie_per_mole / unit.angstrom


@pytest.fixture(scope="module")
def dipeptide(examples):
    return load_structure(examples / "alanine_dipeptide.pdb")


def frames_of(folder, kelvin):
    return list(AtomSource(folder / "system.pdb", [folder / f"{kelvin:g}K.trr"]))


@pytest.fixture(scope="module")
def folder(dipeptide, tmp_path_factory):
    """By the package's force field."""
    folder = tmp_path_factory.mktemp("sample") / "run"
    config = SampleConfig(temperature=KELVIN, time_ps=1.0, every_ps=0.1, equilibrate_ps=0.5)
    sample(dipeptide, config, folder, {}, [])
    return folder


@pytest.fixture(scope="module")
def flexible(dipeptide) -> openmm.System:
    """ff14SB with OBC2 and no constraint, by OpenMM's own files alone."""
    forcefield = app.ForceField("amber14/protein.ff14SB.xml", "implicit/obc2.xml")
    return forcefield.createSystem(dipeptide.topology, nonbondedMethod=app.NoCutoff)


@pytest.mark.parametrize("kelvin", KELVIN)
def test_written_forces_are_the_force_fields_at_the_written_positions(folder, flexible, kelvin):
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(flexible, openmm.VerletIntegrator(0.001), platform)
    frames = frames_of(folder, kelvin)
    assert len(frames) == 10
    for frame in frames:
        context.setPositions(as_quantity(frame.positions))
        forces = context.getState(getForces=True).getForces(asNumpy=True).value_in_unit(KCAL_PER_ANGSTROM)
        assert forces.std() > 5
        # Positions of single precision: where bonds are stiffest, 1e-6 Å are 1e-3 kcal/mol/Å.
        np.testing.assert_allclose(frame.forces, forces, atol=0.05)


def test_bonds_of_hydrogens_have_the_force_fields_length_throughout(folder, dipeptide, flexible):
    element = topology_of(dipeptide.topology).element
    (bonds,) = (force for force in flexible.getForces() if isinstance(force, openmm.HarmonicBondForce))
    every = [bonds.getBondParameters(number)[:3] for number in range(bonds.getNumBonds())]
    rigid = [(i, j, length._value * ANGSTROM_PER_NM) for i, j, length in every if "H" in element[[i, j]]]
    assert len(rigid) == (element == "H").sum()
    one, other, expected = map(np.array, zip(*rigid, strict=True))
    for kelvin in KELVIN:
        for frame in frames_of(folder, kelvin):
            found = np.linalg.norm(frame.positions[one] - frame.positions[other], axis=1)
            np.testing.assert_allclose(found, expected, atol=1e-4)


def tethered(positions: np.ndarray, mass: np.ndarray) -> openmm.System:
    """Every atom on a spring at its place, all of one frequency, 60 per ps."""
    system, force = openmm.System(), openmm.CustomExternalForce("k/2*((x-x0)^2 + (y-y0)^2 + (z-z0)^2)")
    for name in ("k", "x0", "y0", "z0"):
        force.addPerParticleParameter(name)
    for atom, weight in enumerate(mass.tolist()):
        system.addParticle(weight)
        force.addParticle(atom, [weight * 60.0**2, *positions[atom] / ANGSTROM_PER_NM])
    system.addForce(force)
    return system


@pytest.fixture(scope="module")
def swung(dipeptide, tmp_path_factory):
    """A folder of independent oscillators."""
    folder = tmp_path_factory.mktemp("sample") / "run"
    system = tethered(dipeptide.positions, topology_of(dipeptide.topology).mass)
    config = SampleConfig(
        temperature=KELVIN, time_ps=800, every_ps=0.5, equilibrate_ps=5, timestep_fs=4, platform="Reference"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "create_system", lambda *_, **__: system)
        patch.setattr(module, "partial_charges", lambda system: [0.0] * system.getNumParticles())
        sample(dipeptide, config, folder, {}, [])
    return folder


@pytest.mark.parametrize("kelvin", KELVIN)
@pytest.mark.parametrize("kind", ["potential", "kinetic"])
def test_oscillators_have_the_energy_of_the_temperature_that_names_the_file(swung, dipeptide, kelvin, kind):
    """RT/2 a degree of freedom of either kind: the scheme samples both exactly."""
    with (swung / f"{kelvin:g}K.csv").open() as log:
        energy = np.array([float(row[f"{kind}_energy_kcal_mol"]) for row in csv.DictReader(log)])
    found = energy / (0.5 * BOLTZMANN * 3 * dipeptide.topology.getNumAtoms())
    blocks = found.reshape(40, -1).mean(axis=1)  # of 20 ps each, twenty times what friction takes to forget
    error = blocks.std(ddof=1) / np.sqrt(len(blocks))
    assert error < 0.01 * kelvin
    assert found.mean() == pytest.approx(kelvin, abs=4 * error)
