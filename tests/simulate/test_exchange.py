"""Replica exchange keeps the joint ensemble; its random numbers are its own."""

import dataclasses

import numpy as np
import pytest

from cgprot.simulate.exchange import Attempt, exchange
from cgprot.simulate.langevin import kinetic_energy, kinetic_temperature
from cgprot.simulate.noise import normal_noise
from cgprot.simulate.state import SimulationState, Stopped
from cgprot.units import BOLTZMANN

MASS = np.array([12.0, 14.0, 16.0])
TEMPERATURE = np.array([330.0, 300.0, 360.0, 390.0])


def state_at(step: int = 0, stopped: tuple[Stopped, ...] = ()) -> SimulationState:
    noise = normal_noise(3, range(4), step, 3)
    velocities = noise * np.sqrt(BOLTZMANN * 418.4 * TEMPERATURE[:, None, None] / MASS[:, None])
    return SimulationState(noise.copy(), velocities, TEMPERATURE.copy(), step, stopped)


def log_weight(state: SimulationState, energy: np.ndarray) -> float:
    """ln of the joint density of all replicas in their baths, up to the normalisation.

    The phase-space volume is part of it: scaled velocities change it by 3/2 N ln(T_new / T_old), which
    cancels in a swap, so the plain Boltzmann exponents suffice.
    """
    return float(-((energy + kinetic_energy(state.velocities, MASS)) / (BOLTZMANN * state.temperature)).sum())


def test_a_swap_changes_the_joint_density_by_just_its_acceptance():
    energy = np.array([3.0, 1.0, 4.0, 1.5])
    before = state_at()
    after, attempts = exchange(before, energy, seed=1, attempt=0)
    accepted = sum(attempt.log_acceptance for attempt in attempts if attempt.accepted)
    assert any(attempt.accepted for attempt in attempts)
    change = log_weight(after, energy) - log_weight(before, energy)
    np.testing.assert_allclose(change, accepted, atol=1e-12)
    # The mistake that this is here for: velocities that keep their old temperature.
    unscaled = dataclasses.replace(after, velocities=before.velocities)
    assert abs(log_weight(unscaled, energy) - log_weight(before, energy) - accepted) > 1e-3


def test_velocities_take_the_temperature_of_their_new_bath():
    before = state_at()
    after, _ = exchange(before, np.zeros(4), seed=1, attempt=0)
    ratio = kinetic_temperature(after.velocities, MASS) / kinetic_temperature(before.velocities, MASS)
    np.testing.assert_allclose(ratio, after.temperature / before.temperature)
    assert sorted(after.temperature) == sorted(before.temperature)
    np.testing.assert_array_equal(after.positions, before.positions)


def test_even_attempts_take_the_coldest_pair_odd_ones_the_next():
    def pairs(attempt: int, stopped: tuple[Stopped, ...] = ()) -> list[tuple[int, int]]:
        return [(a.cold, a.hot) for a in exchange(state_at(stopped=stopped), np.zeros(4), 1, attempt)[1]]

    assert pairs(0) == [(1, 0), (2, 3)]
    assert pairs(1) == [(0, 2)]
    assert pairs(0, (Stopped(0, 5, 0, "bond"),)) == [(1, 2)]


@pytest.mark.parametrize("difference", [-1.0, 0.3, 2.0])
def test_pairs_swap_as_often_as_the_metropolis_rule_says(difference):
    energy = np.array([0.0, -difference, 0.0, 0.0])  # of the coldest, replica 1, beside replica 0
    n = 2000
    outcome = [exchange(state_at(step), energy, 1, 0)[1][0].accepted for step in range(n)]
    beta = 1.0 / (BOLTZMANN * TEMPERATURE)
    expected = min(1.0, np.exp((beta[1] - beta[0]) * -difference))
    sigma = np.sqrt(expected * (1 - expected) / n)
    assert abs(np.mean(outcome) - expected) <= 4 * sigma


def test_another_seed_or_step_draws_other_numbers():
    def outcomes(seed: int, first: int) -> list[bool]:
        energy = np.array([3.0, 0.0, 0.0, 0.0])
        return [exchange(state_at(first + k), energy, seed, 0)[1][0].accepted for k in range(64)]

    assert outcomes(1, 0) == outcomes(1, 0)
    assert outcomes(1, 0) != outcomes(2, 0)
    assert outcomes(1, 0) != outcomes(1, 64)


def test_a_row_of_the_log_says_who_had_which_bath():
    row = Attempt(1, 0, 300.0, 330.0, -0.25, True).row(500, 1.0)
    assert row == "500,1,1,0,300,330,-0.250000,1\n"
