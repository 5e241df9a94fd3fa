"""Velocity Verlet on springs keeps its energy: the drift of a short run, with its standard error."""

import numpy as np
import pytest
from chain import N_BEADS, chain_forces, chain_start, chain_system
from drift import drift, shadow_energies

from cgprot.simulate.integrator import Integrator

MASS, TIMESTEP, N_REPLICAS, N_STEPS = chain_system().mass, 0.002, 64, 16000
REPLICAS = np.arange(N_REPLICAS)


@pytest.fixture(scope="module")
def thermal():
    """Positions and velocities in equilibrium at 300 K, after 16 ps of strong friction.

    From anywhere else the little that the shadow energy misses relaxes, and looks like a drift.
    """
    integrator = Integrator("langevin", MASS, TIMESTEP, 20.0, 300.0, 3, REPLICAS)
    x, v = np.repeat(chain_start().positions, N_REPLICAS, 0), integrator.starting_velocities()
    for step in range(8000):
        x, v = integrator.step(x, v, chain_forces(x)[1], step)
    return x, v


def _drift(start, forces=chain_forces, scheme="verlet", friction=0.0):
    step = Integrator(scheme, MASS, TIMESTEP, friction, 0.0, 0, REPLICAS).step
    kept = shadow_energies(step, forces, *start, MASS, TIMESTEP, N_STEPS)
    return drift(kept, TIMESTEP, 3 * N_BEADS)


def _rounded_to(dtype):
    def forces(positions):
        energy, force = chain_forces(positions)
        return energy, force.astype(dtype)

    return forces


@pytest.mark.parametrize(("dtype", "limit"), [(np.float64, 1e-5), (np.float32, 1e-3)])
def test_drift_is_below_its_limit(thermal, dtype, limit):
    slope, error = _drift(thermal, _rounded_to(dtype))
    assert abs(slope) + 2 * error < limit, f"{slope:.1e} ± {error:.1e} kT/ns/degree of freedom"


def _whirling(positions):
    """Forces of no energy: a hundredth of them turned by a right angle."""
    energy, force = chain_forces(positions)
    return energy, force + 1e-2 * np.cross(force, [0.0, 0.0, 1.0])


def _delayed():
    """A ten-thousandth of the forces is that of the step before."""
    last = []

    def forces(positions):
        energy, force = chain_forces(positions)
        last.append(force)
        return energy, force + 1e-4 * (last[max(len(last) - 2, 0)] - force)

    return forces


@pytest.mark.parametrize(
    "mistake",
    [
        {"scheme": "langevin", "friction": 1e-5},
        {"forces": _whirling},
        {"forces": _delayed()},
    ],
)
def test_drift_catches_mistakes(thermal, mistake):
    slope, error = _drift(thermal, **mistake)
    assert abs(slope) > max(1e-3, 4 * error)
