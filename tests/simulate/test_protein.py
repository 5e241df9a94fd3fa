"""Chignolin with heavy-demo: its ensemble by physical_validation, its energy without friction."""

import warnings

import numpy as np
import pytest
from drift import drift, shadow_energies

from cgprot.model.checkpoint import load_model
from cgprot.simulate.forces import choose_forces
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.langevin import kinetic_energy
from cgprot.simulate.start import load_start
from cgprot.units import ANGSTROM_PER_NM, BOLTZMANN, KJ_PER_KCAL

# A cold cache of the engine takes a minute to compile.
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

TEMPERATURE = np.array([300.0, 300.0, 350.0, 350.0])  # of the replicas
COLD, HOT = [0, 1], [2, 3]
TIMESTEP, FRICTION = 0.002, 10.0
RELAXATION, STEPS, INTERVAL = 1500, 4000, 20
REPLICAS = np.arange(len(TEMPERATURE))


@pytest.fixture(scope="module")
def protein(examples):
    potential, metadata = load_model("heavy-demo")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = load_start(examples / "chignolin_300K.pdb", metadata["mapping"])
    system, frames = start.system, start.positions[:1].astype(np.float64)
    forces, _ = choose_forces("compressed", potential, system.bead_type, system.charge, frames, len(REPLICAS))
    return system, forces, np.repeat(frames, len(REPLICAS), 0)


@pytest.fixture(scope="module")
def run(protein):
    """Kinetic and potential energies (n_samples, n_replicas) [kcal/mol], and where the run ended."""
    system, forces, x = protein
    integrator = Integrator("langevin", system.mass, TIMESTEP, FRICTION, TEMPERATURE, 11, REPLICAS)
    v, samples = integrator.starting_velocities(), []
    energy, force = forces(x)
    for step in range(RELAXATION + STEPS):
        x, v = integrator.step(x, v, force, step)
        energy, force = forces(x)
        if step >= RELAXATION and step % INTERVAL == 0:
            samples.append((kinetic_energy(v, system.mass), energy))
    kinetic, potential = np.moveaxis(np.array(samples), 1, 0)
    return kinetic, potential, (x, v)


def _data(system, kinetic, potential, temperature):
    """What physical_validation wants to know."""
    validation = pytest.importorskip("physical_validation")
    units = validation.data.UnitData(
        kb=BOLTZMANN, energy_str="kcal/mol", energy_conversion=KJ_PER_KCAL,
        length_str="Å", length_conversion=1 / ANGSTROM_PER_NM,
        volume_str="Å³", volume_conversion=1 / ANGSTROM_PER_NM**3,
        temperature_str="K", temperature_conversion=1, pressure_str="bar", pressure_conversion=1,
        time_str="ps", time_conversion=1,
    )  # fmt: skip
    beads = validation.data.SystemData(
        natoms=system.n_beads, nconstraints=0, ndof_reduction_tra=0, ndof_reduction_rot=0,
        mass=system.mass, molecule_idx=[0], nconstraints_per_molecule=[0],
    )  # fmt: skip
    ensemble = validation.data.EnsembleData("NVT", natoms=system.n_beads, volume=1.0, temperature=temperature)
    kinetic, potential = kinetic.T.ravel(), potential.T.ravel()
    observables = validation.data.ObservableData(
        kinetic_energy=kinetic, potential_energy=potential, total_energy=kinetic + potential,
        volume=np.ones_like(kinetic),
    )  # fmt: skip
    return validation.data.SimulationData(
        units=units, dt=INTERVAL * TIMESTEP, system=beads, ensemble=ensemble, observables=observables
    )


def _kinetic_chance(system, run, replicas, scale=1.0):
    """Chance of so large a distance from the Maxwell-Boltzmann distribution, by Kolmogorov and Smirnov."""
    from physical_validation.kinetic_energy import distribution

    kinetic, potential, _ = run
    data = _data(system, scale * kinetic[:, replicas], potential[:, replicas], TEMPERATURE[replicas[0]])
    return distribution(data, strict=True, verbosity=0)


@pytest.mark.parametrize("replicas", [COLD, HOT])
def test_kinetic_energies_are_distributed_by_maxwell_and_boltzmann(protein, run, replicas):
    assert _kinetic_chance(protein[0], run, replicas) > 1e-3


@pytest.mark.parametrize("scale", [300 / 350, 350 / 300, 1.08])
def test_distribution_catches_velocities_of_another_temperature(protein, run, scale):
    """As after an exchange that forgets to scale them."""
    assert _kinetic_chance(protein[0], run, COLD, scale) < 1e-6


def _quantiles_off(system, run, cold, hot):
    """How far ln P(U, hot)/P(U, cold) is from the straight line that two canonical ensembles make."""
    from physical_validation.ensemble import check

    kinetic, potential, _ = run
    pair = [
        _data(system, kinetic[:, replicas], potential[:, replicas], temperature)
        for replicas, temperature in ((cold, 300.0), (hot, 350.0))
    ]
    return check(*pair, verbosity=0)[0]


def test_potential_energies_are_canonical(protein, run):
    assert _quantiles_off(protein[0], run, COLD, HOT) < 3


def test_ensemble_check_catches_replicas_under_the_wrong_temperature(protein, run):
    """Exchanged, or never heated."""
    assert _quantiles_off(protein[0], run, HOT, COLD) > 4
    assert _quantiles_off(protein[0], run, COLD, COLD) > 4


def test_energy_without_a_thermostat(protein, run):
    """Forces and tables in single precision, state in double: below 1e-3 kT/ns per degree of freedom."""
    system, forces, _ = protein
    timestep = 0.0005
    verlet = Integrator("verlet", system.mass, timestep, 0.0, 0.0, 0, REPLICAS)
    kept = shadow_energies(verlet.step, forces, *run[2], system.mass, timestep, 2000)
    slope, error = drift(kept, timestep, 3 * system.n_beads)
    assert abs(slope) + 2 * error < 1e-3, f"{slope:.1e} ± {error:.1e} kT/ns/degree of freedom"


def test_drift_catches_a_trace_of_friction(protein, run):
    system, forces, _ = protein
    timestep = 0.0005
    braked = Integrator("langevin", system.mass, timestep, 1e-5, 0.0, 0, REPLICAS)
    kept = shadow_energies(braked.step, forces, *run[2], system.mass, timestep, 500)
    slope, error = drift(kept, timestep, 3 * system.n_beads)
    assert slope < -1e-3
    assert abs(slope) > 4 * error
