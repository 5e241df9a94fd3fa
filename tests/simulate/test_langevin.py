"""Exact answers: the step is linear in a harmonic well, so its matrix says all about it."""

import math

import numpy as np
import pytest
from scipy.linalg import expm, solve_discrete_lyapunov

from cgprot.simulate.langevin import kinetic_energy, kinetic_temperature, langevin_step, maxwell_boltzmann
from cgprot.simulate.noise import normal_noise
from cgprot.units import BOLTZMANN, ENERGY_TO_MASS_VELOCITY_SQUARED

TEMPERATURE, FRICTION, MASS = 300.0, 3.0, np.array([12.011])
THERMAL = BOLTZMANN * TEMPERATURE * ENERGY_TO_MASS_VELOCITY_SQUARED / MASS[0]  # kT/m, Å²/ps²
TIMESTEP = 0.02


def _row(*values):
    return np.array(values, dtype=float).reshape(-1, 1, 1)


def _recursion(step, omega, friction=FRICTION, temperature=TEMPERATURE, timestep=TIMESTEP):
    """z' = M z + b ξ of z = (x, v) in a well of angular frequency `omega`, by unit vectors."""
    stiffness = MASS[0] * omega**2 / ENERGY_TO_MASS_VELOCITY_SQUARED
    x, v, noise = _row(1, 0, 0), _row(0, 1, 0), _row(0, 0, 1)
    positions, velocities = step(x, v, -stiffness * x, noise, MASS, timestep, friction, temperature)
    columns = np.stack([positions.ravel(), velocities.ravel()])
    return columns[:, :2], columns[:, 2]


def _covariance(step, omega):
    matrix, noise = _recursion(step, omega)
    return solve_discrete_lyapunov(matrix, np.outer(noise, noise))


def _exact_covariance(omega):
    # O leaves (x, v) independent with <v²> = kT/m; the last half drift adds Δt/2 v to x.
    return THERMAL * np.array([[1 / omega**2, TIMESTEP / 2], [TIMESTEP / 2, 1]])


def _deviation(step, omega):
    exact = _exact_covariance(omega)
    return np.abs(_covariance(step, omega) / exact - 1).max()


REDUCED_STEPS = np.round(np.arange(0.1, 1.95, 0.1), 1)


@pytest.mark.parametrize("reduced", REDUCED_STEPS)
def test_harmonic_well_is_sampled_exactly(reduced):
    assert _deviation(langevin_step, reduced / TIMESTEP) < 1e-10


def test_arguments_are_left_as_they_are():
    x, v = _row(1.0), _row(2.0)
    langevin_step(x, v, _row(3.0), _row(4.0), MASS, TIMESTEP, FRICTION, TEMPERATURE)
    assert (x, v) == (_row(1.0), _row(2.0))


# Planted mistakes. Friction of another rate with its own, consistent noise samples the same ensemble:
# only the dynamics can tell.


def _step_with(damping=lambda a: a, noise_scale=1.0, drift=(0.5, 0.5)):
    def step(x, v, forces, noise, mass, timestep, friction, temperature):
        a = damping(math.exp(-friction * timestep))
        thermal = BOLTZMANN * temperature * ENERGY_TO_MASS_VELOCITY_SQUARED / mass[:, None]
        v = v + timestep * forces * ENERGY_TO_MASS_VELOCITY_SQUARED / mass[:, None]
        x = x + drift[0] * timestep * v
        v = a * v + np.sqrt((1 - a * a) * thermal) * noise_scale * noise
        return x + drift[1] * timestep * v, v

    return step


def _step_with_plain_noise(x, v, forces, noise, mass, timestep, friction, temperature):
    """Forgets kT/m."""
    return _step_with(noise_scale=1 / math.sqrt(THERMAL))(
        x, v, forces, noise, mass, timestep, friction, temperature
    )


def test_the_planted_steps_equal_the_real_one_without_a_mistake():
    for ours, other in zip(_recursion(langevin_step, 20.0), _recursion(_step_with(), 20.0), strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-13)


@pytest.mark.parametrize("drift", [(1.0, 0.0), (0.0, 1.0), (0.25, 0.75)])
def test_well_catches_a_misplaced_drift(drift):
    assert _deviation(_step_with(drift=drift), 1.0 / TIMESTEP) > 0.05


def test_well_catches_noise_without_its_variance():
    assert _deviation(_step_with_plain_noise, 1.0 / TIMESTEP) > 0.5


def _free_decay(step):
    """Friction [1/ps] that a free velocity shows."""
    matrix, _ = _recursion(step, 0.0, temperature=0.0)
    return -math.log(matrix[1, 1]) / TIMESTEP


def _diffusion(step):
    """Coefficient [Å²/ps] of a free bead: its stationary velocity correlations, summed to infinity."""
    matrix, noise = _recursion(step, 0.0)
    push, a = matrix[0, 1], matrix[1, 1]
    variance = noise[1] ** 2 / (1 - a**2)
    # Δx = push v + noise[0] ξ,  v' = a v + noise[1] ξ; 2 D Δt = <Δx²> + 2 Σ <Δx Δx_later>.
    square = push**2 * variance + noise[0] ** 2
    later = push * (a * push * variance + noise[1] * noise[0]) / (1 - a)
    return (square + 2 * later) / (2 * TIMESTEP)


def _terminal_velocity(step, force):
    """Mean speed [Å/ps] under a constant force, by the fixed point of the recursion at 0 K."""
    matrix, _ = _recursion(step, 0.0, temperature=0.0)
    x, v = step(_row(0), _row(0), _row(force), _row(0), MASS, TIMESTEP, FRICTION, 0.0)
    steady = v.item() / (1 - matrix[1, 1])
    return (matrix[0, 1] * steady + x.item()) / TIMESTEP


def _correction():
    """(γΔt/2) coth(γΔt/2), by which the scheme exceeds 1/γ: 1 + (γΔt)²/12 + ..."""
    half = FRICTION * TIMESTEP / 2
    return half / math.tanh(half)


def test_free_velocity_decays_by_friction():
    assert _free_decay(langevin_step) == pytest.approx(FRICTION, rel=1e-12)


def test_free_diffusion():
    assert _diffusion(langevin_step) == pytest.approx(THERMAL / FRICTION * _correction(), rel=1e-10)
    assert pytest.approx(1.0, abs=(FRICTION * TIMESTEP) ** 2 / 10) == _correction()


def test_terminal_velocity_and_einstein_relation():
    mobility = _terminal_velocity(langevin_step, force=1.0)
    expected = ENERGY_TO_MASS_VELOCITY_SQUARED / (MASS[0] * FRICTION) * _correction()
    assert mobility == pytest.approx(expected, rel=1e-12)
    assert mobility * BOLTZMANN * TEMPERATURE == pytest.approx(_diffusion(langevin_step), rel=1e-10)


def test_dynamics_catch_a_wrong_friction():
    doubled = _step_with(damping=lambda a: a**2)
    assert _deviation(doubled, 1.0 / TIMESTEP) < 1e-10  # the ensemble cannot tell
    assert _free_decay(doubled) == pytest.approx(2 * FRICTION)
    assert _diffusion(doubled) == pytest.approx(THERMAL / (2 * FRICTION), rel=0.01)
    assert _terminal_velocity(doubled, 1.0) < 0.51 * _terminal_velocity(langevin_step, 1.0)


def test_diffusion_catches_noise_without_its_variance():
    assert _diffusion(_step_with_plain_noise) != pytest.approx(THERMAL / FRICTION * _correction(), rel=0.1)


def _oscillator_error(step, timestep):
    """Largest deviation at 1 ps from the matrix exponential of a damped oscillator at 0 K."""
    omega = 12.0
    matrix, _ = _recursion(step, omega, temperature=0.0, timestep=timestep)
    # The scheme is B A O A of a symmetric B/2 A O A B/2: half a kick leads in and out.
    half_kick = np.array([[1, 0], [-(omega**2) * timestep / 2, 1]])
    scheme = half_kick @ np.linalg.matrix_power(matrix, round(1 / timestep)) @ np.linalg.inv(half_kick)
    return np.abs(scheme - expm(np.array([[0, 1], [-(omega**2), -FRICTION]]))).max()


def test_damped_oscillator_to_second_order():
    errors = [_oscillator_error(langevin_step, timestep) for timestep in (0.004, 0.002, 0.001)]
    assert errors[-1] < 1e-3
    np.testing.assert_allclose(np.divide(errors[:-1], errors[1:]), 4.0, rtol=0.01)


@pytest.mark.parametrize("drift", [(1.0, 0.0), (0.25, 0.75)])
def test_damped_oscillator_catches_a_misplaced_drift(drift):
    errors = [_oscillator_error(_step_with(drift=drift), timestep) for timestep in (0.002, 0.001)]
    assert errors[0] / errors[1] < 3.0


def _noise_correlation(noise_step):
    """Correlation of the noise of consecutive steps, as a run would draw it."""
    draws = np.stack([normal_noise(1, np.arange(4), noise_step(step), 100) for step in range(20)])
    return float(np.mean(draws[1:] * draws[:-1]))


def _sampled_temperature(noise_step):
    """Of 400 free beads after 200 steps, about its target."""
    velocities, positions = np.zeros((4, 100, 3)), np.zeros((4, 100, 3))
    mass = np.full(100, MASS[0])
    for step in range(200):
        noise = normal_noise(1, np.arange(4), noise_step(step), 100)
        positions, velocities = langevin_step(
            positions, velocities, 0.0 * positions, noise, mass, TIMESTEP, FRICTION, TEMPERATURE
        )
    return kinetic_temperature(velocities, mass).mean() / TEMPERATURE


def test_noise_of_different_steps_is_independent():
    assert abs(_noise_correlation(lambda step: step)) < 0.03
    assert _sampled_temperature(lambda step: step) == pytest.approx(1.0, abs=0.15)


def test_reused_noise_is_caught():
    assert _noise_correlation(lambda step: 0) > 0.9
    assert _sampled_temperature(lambda step: 0) > 10


def test_openmm_goes_the_same_way_at_zero_temperature():
    openmm = pytest.importorskip("openmm")
    stiffness, mass, start = np.array([30.0, 50.0, 80.0]), 12.011, np.array([0.3, -0.2, 0.1])
    system = openmm.System()
    system.addParticle(mass)
    well = openmm.CustomExternalForce("0.5*(kx*x^2+ky*y^2+kz*z^2)")
    for name, value in zip("xyz", stiffness, strict=True):
        well.addGlobalParameter("k" + name, value * 4.184 * 100)  # kJ/mol/nm²
    well.addParticle(0, [])
    system.addForce(well)
    integrator = openmm.LangevinMiddleIntegrator(0.0, 5.0, 0.002)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions([start / 10])
    context.setVelocities([np.array([1.0, 2.0, 3.0]) / 10])
    x, v = start.reshape(1, 1, 3), np.array([[[1.0, 2.0, 3.0]]])
    for _ in range(200):
        x, v = langevin_step(x, v, -stiffness * x, np.zeros_like(x), np.array([mass]), 0.002, 5.0, 0.0)
    integrator.step(200)
    state = context.getState(getPositions=True, getVelocities=True)
    np.testing.assert_allclose(10 * state.getPositions(asNumpy=True)._value, x[0], atol=1e-6)
    np.testing.assert_allclose(10 * state.getVelocities(asNumpy=True)._value, v[0], atol=1e-5)


def test_starting_velocities_have_the_temperature_and_no_other_steps_noise():
    mass = np.linspace(12.0, 32.0, 400)
    velocities = maxwell_boltzmann(1, np.arange(50), mass, TEMPERATURE)
    assert kinetic_temperature(velocities, mass).mean() == pytest.approx(TEMPERATURE, rel=0.03)
    by_bead = (mass[:, None] * velocities**2).mean(axis=(0, 2)) / ENERGY_TO_MASS_VELOCITY_SQUARED
    assert by_bead[:200].mean() == pytest.approx(BOLTZMANN * TEMPERATURE, rel=0.05)
    assert by_bead[200:].mean() == pytest.approx(BOLTZMANN * TEMPERATURE, rel=0.05)
    first_step = normal_noise(1, np.arange(50), 0, 400)
    assert abs(np.corrcoef(velocities.ravel(), first_step.ravel())[0, 1]) < 0.03
    assert not maxwell_boltzmann(1, np.arange(2), mass, 0.0).any()


def test_kinetic_energy_of_one_bead():
    velocities = np.array([[[3.0, 4.0, 0.0]]])
    assert kinetic_energy(velocities, np.array([2.0])) == pytest.approx(25.0 / 418.4)
    assert kinetic_temperature(velocities, np.array([2.0])) == pytest.approx(
        2 * 25.0 / 418.4 / (3 * 0.0019872042586), rel=1e-9
    )
