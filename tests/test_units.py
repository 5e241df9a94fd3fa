"""The factors against the definitions that they come from."""

import pytest
from scipy import constants

from cgprot import units


def test_boltzmann_is_the_gas_constant_per_kcal():
    assert units.BOLTZMANN == pytest.approx(constants.R / constants.calorie / 1000, rel=1e-12)


def test_energy_to_mass_velocity_squared():
    kcal_per_mol = 1000 * constants.calorie / constants.N_A  # J
    # The dalton in kg is measured, 1/N_A g only to 3e-10.
    da_angstrom2_per_ps2 = constants.atomic_mass * (constants.angstrom / constants.pico) ** 2  # J
    assert units.ENERGY_TO_MASS_VELOCITY_SQUARED == pytest.approx(
        kcal_per_mol / da_angstrom2_per_ps2, rel=1e-8
    )


def test_force_factors_agree_with_openmm():
    unit = pytest.importorskip("openmm.unit")
    force = 1.0 * unit.kilojoule_per_mole / unit.nanometer
    assert units.FORCE_FROM_OPENMM == pytest.approx(
        force.value_in_unit(unit.kilocalorie_per_mole / unit.angstrom), rel=1e-12
    )


def test_akma_is_the_time_of_unit_mass_and_energy():
    assert units.AKMA_PS == pytest.approx(units.ENERGY_TO_MASS_VELOCITY_SQUARED**-0.5, rel=1e-5)


def test_coulomb_constant_from_the_charge_and_the_electric_constant():
    joule_metre = constants.e**2 / (4 * constants.pi * constants.epsilon_0) * constants.N_A
    assert units.COULOMB == pytest.approx(
        joule_metre / (1000 * constants.calorie) / constants.angstrom, rel=1e-9
    )
