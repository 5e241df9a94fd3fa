"""Sampling where no closed form helps: a double well against quadrature.

Every coordinate of every bead is a well of its own, so that averages over wells carry an honest standard
error. All start on one side: barriers are crossed before anything is counted.
"""

from itertools import pairwise

import numpy as np
import pytest
from scipy.integrate import quad

from cgprot.simulate.integrator import Integrator
from cgprot.units import BOLTZMANN, ENERGY_TO_MASS_VELOCITY_SQUARED

TEMPERATURE, MASS = 300.0, 12.011
KT = BOLTZMANN * TEMPERATURE
BARRIER, WIDTH, TILT = 2.0 * KT, 1.0, 0.3 * KT  # kcal/mol, Å, kcal/mol/Å
N_REPLICAS, N_BEADS, SAMPLES, INTERVAL = 16, 100, 40, 20


def _energy(x):
    return BARRIER * (x**2 / WIDTH**2 - 1) ** 2 + TILT * x


def _force(x):
    return -4 * BARRIER * x / WIDTH**2 * (x**2 / WIDTH**2 - 1) - TILT


OBSERVABLES = {
    "x": lambda x: x,
    "x²": lambda x: x**2,
    "x⁴": lambda x: x**4,
    "right well": lambda x: np.where(x > 0, 1.0, 0.0),
    "barrier": lambda x: np.where(np.abs(x) < WIDTH / 2, 1.0, 0.0),
}


def _exact(observable):
    def integral(weigh):
        edges = [-4 * WIDTH, -WIDTH / 2, 0, WIDTH / 2, 4 * WIDTH]
        return sum(
            quad(lambda x: weigh(x) * np.exp(-_energy(x) / KT), *piece)[0] for piece in pairwise(edges)
        )

    return integral(observable) / integral(lambda x: 1.0)


def _integrator(scheme, timestep, friction=5.0, seed=1):
    return Integrator(
        scheme, np.full(N_BEADS, MASS), timestep, friction, TEMPERATURE, seed, np.arange(N_REPLICAS)
    )


def _sampled(step, relaxation=500):
    """Deviations from quadrature in standard errors, `step` (x, v, F, number) -> x, v."""
    x = np.full((N_REPLICAS, N_BEADS, 3), WIDTH)
    v, sums = np.zeros_like(x), {name: np.zeros_like(x) for name in OBSERVABLES}
    for number in range(relaxation + SAMPLES * INTERVAL):
        x, v = step(x, v, _force(x), number)
        if number >= relaxation and number % INTERVAL == 0:
            for name, observable in OBSERVABLES.items():
                sums[name] += observable(x) / SAMPLES
    return {
        name: (total.mean() - _exact(OBSERVABLES[name])) / (total.std() / np.sqrt(total.size))
        for name, total in sums.items()
    }


# 0.02 ps is 0.36 of the inverse frequency in a well; brownian steps reach as far, but have no momentum.
@pytest.mark.parametrize(
    ("scheme", "timestep", "relaxation"), [("langevin", 0.02, 500), ("brownian", 0.02**2 * 5.0 / 2, 3000)]
)
def test_double_well_is_that_of_quadrature(scheme, timestep, relaxation):
    deviations = _sampled(_integrator(scheme, timestep).step, relaxation)
    assert max(abs(value) for value in deviations.values()) < 4.5, deviations


def _reused_noise(integrator):
    return lambda x, v, forces, number: integrator.step(x, v, forces, number % 50)


def _swapped_half_drift(integrator):
    """Drifts a whole step before the Ornstein-Uhlenbeck part and not behind it."""

    def step(x, v, forces, number):
        half = 0.5 * integrator.timestep_ps
        kicked = v + 2 * half * ENERGY_TO_MASS_VELOCITY_SQUARED / MASS * forces
        new_x, new_v = integrator.step(x, v, forces, number)
        return new_x + half * (kicked - new_v), new_v

    return step


def _hotter(integrator):
    integrator.temperature = 1.1 * TEMPERATURE
    return integrator.step


@pytest.mark.parametrize("mistake", [_reused_noise, _swapped_half_drift, _hotter])
def test_double_well_catches_mistakes(mistake):
    deviations = _sampled(mistake(_integrator("langevin", 0.04)))
    assert max(abs(value) for value in deviations.values()) > 8, deviations
