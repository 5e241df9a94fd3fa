"""Exact laws of every scheme, read off the linear map that the compiled step applies in a harmonic well."""

import csv
import math

import numpy as np
import pytest
from chain import N_BEADS, chain_forces, chain_start, chain_system
from scipy.linalg import solve_discrete_lyapunov

from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.langevin import on_step_velocities
from cgprot.simulate.noise import STARTING_VELOCITIES, normal_noise
from cgprot.simulate.run import simulate
from cgprot.units import BOLTZMANN, ENERGY_TO_MASS_VELOCITY_SQUARED

TEMPERATURE, FRICTION, MASS = 300.0, 30.0, np.array([12.011])
THERMAL = BOLTZMANN * TEMPERATURE * ENERGY_TO_MASS_VELOCITY_SQUARED / MASS[0]  # kT/m, Å²/ps²
STRIDE = 0.01  # ps; brownian steps that reach as far as such a step of the others
TIMESTEP = {"langevin": STRIDE, "verlet": STRIDE, "brownian": STRIDE**2 * FRICTION / 2}
REDUCED_STEPS = np.round(np.arange(0.1, 1.95, 0.1), 1)  # ω h


def _recursion(scheme, omega, friction=FRICTION, step=7):
    """z' = M z + b ξ of z = (x, v), by unit vectors: one replica for x, one for v, one for the noise."""
    integrator = Integrator(scheme, MASS, TIMESTEP[scheme], friction, [0.0, 0.0, TEMPERATURE], 1, [0, 1, 2])
    stiffness = MASS[0] * omega**2 / ENERGY_TO_MASS_VELOCITY_SQUARED
    x, v = np.zeros((2, 3, 1, 3))
    x[0], v[1] = 1.0, 1.0
    columns = np.stack(integrator.step(x, v, -stiffness * x, step))[:, :, 0]  # (2, replica, 3)
    noise = columns[:, 2] / normal_noise(1, [2], step, 1)[0, 0]
    np.testing.assert_allclose(noise, noise[:, :1] * np.ones(3), rtol=1e-12)
    return columns[:, :2, 0], noise[:, 0]


def _recursion_of(step, omega):
    """The same of a step (x, v, acceleration, ξ) -> x, v."""
    columns = np.array(
        [step(*z, -(omega**2) * z[0], xi) for z, xi in (((1, 0), 0), ((0, 1), 0), ((0, 0), 1))]
    ).T
    return columns[:, :2], columns[:, 2]


def _largest_deviation(recursion, omega):
    matrix, noise = recursion
    covariance = solve_discrete_lyapunov(matrix, np.outer(noise, noise))
    # The last part of a step is x + h/2 v, v fresh with <v²> = kT/m.
    exact = THERMAL * np.array([[1 / omega**2, STRIDE / 2], [STRIDE / 2, 1]])
    return np.abs(covariance / exact - 1).max()


@pytest.mark.parametrize("reduced", REDUCED_STEPS)
@pytest.mark.parametrize("scheme", ["langevin", "brownian"])
def test_variances_in_a_well_are_exact(scheme, reduced):
    omega = reduced / STRIDE
    assert _largest_deviation(_recursion(scheme, omega), omega) < 1e-10


def _euler_maruyama(x, v, acceleration, noise):
    move = TIMESTEP["brownian"] / FRICTION
    return x + move * acceleration + math.sqrt(2 * THERMAL * move) * noise, v


@pytest.mark.parametrize("reduced", REDUCED_STEPS)
def test_euler_and_maruyama_would_widen_the_well(reduced):
    """Why brownian is not that: at ω h = 1.9 the variance would be ten times too large."""
    omega = reduced / STRIDE
    matrix, noise = _recursion_of(_euler_maruyama, omega)
    variance = noise[0] ** 2 / (1 - matrix[0, 0] ** 2)
    assert variance * omega**2 / THERMAL == pytest.approx(1 / (1 - reduced**2 / 4), rel=1e-10)


def _free_diffusion(matrix, noise, timestep):
    """[Å²/ps]: the stationary correlations of the displacements of a free bead, summed to infinity."""
    push, a = matrix[0, 1], matrix[1, 1]
    variance = noise[1] ** 2 / (1 - a**2)
    square = push**2 * variance + noise[0] ** 2
    later = push * (a * push * variance + noise[1] * noise[0]) / (1 - a)
    return (square + 2 * later) / (2 * timestep)


@pytest.mark.parametrize("friction", [20.0, 30.0, 500.0])
def test_brownian_diffuses_by_kt_over_friction(friction):
    diffusion = _free_diffusion(*_recursion("brownian", 0.0, friction), TIMESTEP["brownian"])
    assert diffusion == pytest.approx(THERMAL / friction, rel=1e-10)


def test_langevin_diffuses_by_kt_over_friction_within_a_percent():
    assert _free_diffusion(*_recursion("langevin", 0.0), STRIDE) == pytest.approx(
        THERMAL / FRICTION, rel=0.01
    )
    wrong = _free_diffusion(*_recursion("langevin", 0.0, 1.02 * FRICTION), STRIDE)
    assert wrong != pytest.approx(THERMAL / FRICTION, rel=0.01)


def test_brownian_mobility_is_one_over_mass_and_friction():
    integrator = Integrator("brownian", MASS, TIMESTEP["brownian"], FRICTION, 0.0, 1, [0])
    x, _ = integrator.step(np.zeros((1, 1, 3)), np.zeros((1, 1, 3)), np.full((1, 1, 3), 2.0), 0)
    speed = 2.0 * ENERGY_TO_MASS_VELOCITY_SQUARED / (MASS[0] * FRICTION)
    np.testing.assert_allclose(x / TIMESTEP["brownian"], speed, rtol=1e-12)


def _brownian_with(drift=0.5, memory=0.5, own=0.5):
    """A step with the share of the drift, of the last noise and of the new one as given."""

    def step(x, v, acceleration, noise):
        new = math.sqrt(THERMAL) * noise
        return x + STRIDE**2 * drift * acceleration + STRIDE * (memory * v + own * new), new

    return step


def test_brownian_by_the_book_is_the_compiled_one():
    for ours, book in zip(_recursion("brownian", 70.0), _recursion_of(_brownian_with(), 70.0), strict=True):
        np.testing.assert_allclose(ours, book, atol=1e-13)


@pytest.mark.parametrize(
    "mistake", [{"drift": 1.0}, {"memory": 0.0, "own": 1.0}, {"memory": 0.0}, {"own": 1.0}]
)
def test_well_or_diffusion_catch_a_mistaken_brownian_step(mistake):
    omega, step = 100.0, _brownian_with(**mistake)
    diffusion = _free_diffusion(*_recursion_of(step, 0.0), TIMESTEP["brownian"])
    wrong_well = _largest_deviation(_recursion_of(step, omega), omega) > 0.2
    assert wrong_well or diffusion != pytest.approx(THERMAL / FRICTION, rel=0.2)


def test_brownian_is_the_scheme_of_leimkuhler_and_matthews():
    """On an anharmonic chain: x <- x + Δt F/(m γ) + sqrt(2 kT Δt/(m γ)) (ξ_last + ξ)/2."""
    system, x, timestep = chain_system(), chain_start(2).positions, TIMESTEP["brownian"]
    integrator = Integrator("brownian", system.mass, timestep, FRICTION, TEMPERATURE, 3, [0, 1])
    ours, v = x, integrator.starting_velocities()
    mobility = timestep * ENERGY_TO_MASS_VELOCITY_SQUARED / (system.mass[:, None] * FRICTION)
    last = normal_noise(3, [0, 1], STARTING_VELOCITIES, N_BEADS)
    for step in range(50):
        ours, v = integrator.step(ours, v, chain_forces(ours)[1], step)
        noise = normal_noise(3, [0, 1], step, N_BEADS)
        spread = np.sqrt(2 * BOLTZMANN * TEMPERATURE * mobility)
        x = x + mobility * chain_forces(x)[1] + spread * (last + noise) / 2
        last = noise
    np.testing.assert_allclose(ours, x, rtol=0, atol=1e-10)


def _change_of_shadow_energy(matrix, omega):
    """Largest element of MᵀQM - Q, Q the energy that velocity Verlet keeps, over that of Q."""
    to_step = np.array([[1, 0], [-(omega**2) * STRIDE / 2, 1]])  # v at the time of x
    energy = to_step.T @ np.diag([omega**2 * (1 - (omega * STRIDE) ** 2 / 4), 1]) @ to_step
    return np.abs(matrix.T @ energy @ matrix - energy).max() / np.abs(energy).max()


@pytest.mark.parametrize("reduced", REDUCED_STEPS)
def test_verlet_keeps_its_shadow_energy_and_period(reduced):
    matrix, noise = _recursion("verlet", reduced / STRIDE)
    assert not noise.any()
    assert _change_of_shadow_energy(matrix, reduced / STRIDE) < 1e-12
    assert np.linalg.det(matrix) == pytest.approx(1.0, abs=1e-12)
    assert np.trace(matrix) == pytest.approx(2 - reduced**2, abs=1e-12)  # 2 cos(Ω Δt)


def _verlet_with(kick=1.0, damping=1.0):
    def step(x, v, acceleration, noise):
        v = damping * (v + kick * STRIDE * acceleration)
        return x + STRIDE * v, v

    return step


@pytest.mark.parametrize(
    ("mistake", "caught"), [({}, False), ({"kick": 0.5}, True), ({"damping": 0.9999}, True)]
)
def test_shadow_energy_catches_a_mistaken_verlet(mistake, caught):
    matrix, _ = _recursion_of(_verlet_with(**mistake), 100.0)
    assert (_change_of_shadow_energy(matrix, 100.0) > 1e-5) == caught


def test_verlet_is_velocity_verlet():
    """On an anharmonic chain: positions and, at their time, velocities of the textbook."""
    mass, timestep = chain_system().mass, 0.004
    to_acceleration = ENERGY_TO_MASS_VELOCITY_SQUARED / mass[:, None]
    integrator = Integrator("verlet", mass, timestep, 0.0, 0.0, 3, [0, 1])
    x, v = (
        chain_start(2).positions,
        Integrator("langevin", mass, 0.002, 1.0, 300.0, 3, [0, 1]).starting_velocities(),
    )
    force = chain_forces(x)[1]
    ours, behind = x, on_step_velocities(v, force, mass, -timestep)
    for step in range(100):
        ours, behind = integrator.step(ours, behind, chain_forces(ours)[1], step)
        x = x + timestep * v + timestep**2 / 2 * to_acceleration * force
        new = chain_forces(x)[1]
        v, force = v + timestep / 2 * to_acceleration * (force + new), new
    np.testing.assert_allclose(ours, x, rtol=0, atol=1e-10)
    at_step = on_step_velocities(behind, chain_forces(ours)[1], mass, timestep)
    np.testing.assert_allclose(at_step, v, rtol=0, atol=1e-8)
    assert np.abs(behind - v).max() > 0.1


@pytest.mark.parametrize(("scheme", "kept"), [("verlet", True), ("langevin", False)])
def test_the_log_shows_whether_the_energy_is_kept(tmp_path, scheme, kept):
    config = SimulateConfig(
        scheme=scheme, time_ps=0.4, timestep_fs=2.0, output_every_ps=0.002, friction_per_ps=1.0
    )
    simulate(chain_start(), chain_forces, config, tmp_path / "run", {"model": {"name": "chain"}}, [])
    with open(tmp_path / "run" / "log.csv") as stream:
        rows = list(csv.DictReader(stream))
    kinetic, potential = (
        np.array([float(row[f"{part}_energy_kcal_mol"]) for row in rows]) for part in ("kinetic", "potential")
    )
    assert np.std(potential) > 0.5
    # Velocities half a step behind would make the total swing by 0.007 of the potential energy.
    assert (np.std(kinetic + potential) < 0.001 * np.std(potential)) == kept
