"""One step of dynamics by the middle scheme, its start and its thermometer.

The array module follows the arrays: numpy in, numpy out; cupy in, cupy out.
"""

from types import ModuleType
from typing import Any

import numpy as np

from cgprot.simulate.noise import STARTING_VELOCITIES, normal_noise
from cgprot.simulate.schemes import Coefficients, coefficients
from cgprot.units import BOLTZMANN, ENERGY_TO_MASS_VELOCITY_SQUARED


def middle_step(
    positions: Any, velocities: Any, forces: Any, noise: Any, mass: Any, scheme: Coefficients
) -> tuple[Any, Any]:
    """Kick, half drift, Ornstein-Uhlenbeck, half drift: the one map of all schemes.

        v <- v + h F/m
        x <- x + h/2 v
        v <- a v + sqrt((1 - a²) kT/m) ξ
        x <- x + h/2 v

    This is the law; the fused kernels compute the same. The velocity that it returns is that right
    after the Ornstein-Uhlenbeck part.

    | symbol | variable | shape [unit] |
    |---|---|---|
    | x | positions | (n_replicas, n_beads, 3) [Å] |
    | v | velocities | same [Å/ps] |
    | F | forces at `positions` | same [kcal/mol/Å] |
    | ξ | noise, standard normal | same |
    | m | mass | (n_beads,) [Da] |
    | h, a, sqrt((1 - a²) kT) | scheme, of `cgprot.simulate.schemes.coefficients` | each () or (n_replicas,) |

    Returns
    -------
    positions, velocities : new arrays; the arguments stay as they are
    """
    stride, damping, thermal = (_each_replica(value) for value in scheme)
    mass = mass[:, None]
    kicked = velocities + forces * (stride * ENERGY_TO_MASS_VELOCITY_SQUARED / mass)
    middle = positions + 0.5 * stride * kicked
    refreshed = damping * kicked + thermal / mass**0.5 * noise
    return middle + 0.5 * stride * refreshed, refreshed


def langevin_step(
    positions: Any,
    velocities: Any,
    forces: Any,
    noise: Any,
    mass: Any,
    timestep_ps: float,
    friction_per_ps: Any,
    temperature: Any,
) -> tuple[Any, Any]:
    """`middle_step` with h = Δt and a = exp(-γ Δt): OpenMM's LangevinMiddleIntegrator.

    Friction γ [1/ps] and temperature T [K] are numbers or one a replica, (n_replicas,). In a harmonic
    well the variances of position and velocity are exact at every stable step.
    """
    scheme = coefficients("langevin", timestep_ps, friction_per_ps, temperature)
    return middle_step(positions, velocities, forces, noise, mass, scheme)


def on_step_velocities(velocities: Any, forces: Any, mass: Any, timestep_ps: float) -> Any:
    """Velocities [Å/ps] at the time of the positions, of the scheme verlet, whose own are half a step behind.

    `forces` [kcal/mol/Å] are those at the positions. With these velocities the total energy is kept
    to second order in the time step.
    """
    return velocities + forces * (0.5 * timestep_ps * ENERGY_TO_MASS_VELOCITY_SQUARED / mass[:, None])


def _each_replica(value: Any) -> Any:
    """() stays, (n_replicas,) becomes (n_replicas, 1, 1)."""
    return value[:, None, None] if np.ndim(value) else value


def maxwell_boltzmann(seed: Any, replicas: Any, mass: Any, temperature: Any, xp: ModuleType = np) -> Any:
    """Velocities (n_replicas, n_beads, 3) [Å/ps] drawn at `temperature`; seed and temperature may be one a
    replica.

    The centre of mass moves too: the thermostat acts on all 3 n_beads degrees of freedom, so none
    is taken away.
    """
    noise = normal_noise(seed, replicas, STARTING_VELOCITIES, len(mass), xp)
    variance = BOLTZMANN * ENERGY_TO_MASS_VELOCITY_SQUARED / mass[:, None] * _each_replica(temperature)
    return noise * variance**0.5


def kinetic_energy(velocities: Any, mass: Any) -> Any:
    """(n_replicas,) [kcal/mol] of velocities (n_replicas, n_beads, 3) [Å/ps]."""
    return 0.5 * (mass[:, None] * velocities**2).sum(axis=(1, 2)) / ENERGY_TO_MASS_VELOCITY_SQUARED


def kinetic_temperature(velocities: Any, mass: Any) -> Any:
    """(n_replicas,) [K] of velocities (n_replicas, n_beads, 3) [Å/ps]; all 3 n_beads count."""
    return 2.0 * kinetic_energy(velocities, mass) / (3 * len(mass) * BOLTZMANN)
