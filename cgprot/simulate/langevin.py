"""One step of Langevin dynamics by the middle scheme, its start and its thermometer.

The array module follows the arrays: numpy in, numpy out; cupy in, cupy out.
"""

import math
from types import ModuleType
from typing import Any

import numpy as np

from cgprot.simulate.noise import STARTING_VELOCITIES, normal_noise
from cgprot.units import BOLTZMANN, ENERGY_TO_MASS_VELOCITY_SQUARED


def langevin_step(
    positions: Any,
    velocities: Any,
    forces: Any,
    noise: Any,
    mass: Any,
    timestep_ps: float,
    friction_per_ps: float,
    temperature: float,
) -> tuple[Any, Any]:
    """Kick, half drift, Ornstein-Uhlenbeck, half drift.

    The Langevin middle scheme in its leapfrog form (Zhang et al. 2019,
    doi:10.1021/acs.jpca.9b02771), which is OpenMM's LangevinMiddleIntegrator:

        v <- v + Δt F/m
        x <- x + Δt/2 v
        v <- a v + sqrt((1 - a²) kT/m) ξ,   a = exp(-γ Δt)
        x <- x + Δt/2 v

    The velocity that it returns is that right after the Ornstein-Uhlenbeck part: in a harmonic well
    its variance, and that of the position, are exact at every stable step.

    | symbol | variable | shape [unit] |
    |---|---|---|
    | x | positions | (n_replicas, n_beads, 3) [Å] |
    | v | velocities | same [Å/ps] |
    | F | forces at `positions` | same [kcal/mol/Å] |
    | ξ | noise, standard normal | same |
    | m | mass | (n_beads,) [Da] |
    | Δt, γ, T | timestep_ps, friction_per_ps, temperature | [ps], [1/ps], [K] |

    Returns
    -------
    positions, velocities : new arrays; the arguments stay as they are
    """
    mass = mass[:, None]
    damping = math.exp(-friction_per_ps * timestep_ps)
    refreshed = -math.expm1(-2.0 * friction_per_ps * timestep_ps)  # 1 - a²
    half = 0.5 * timestep_ps
    kicked = velocities + forces * (timestep_ps * ENERGY_TO_MASS_VELOCITY_SQUARED / mass)
    middle = positions + half * kicked
    thermal = damping * kicked + (refreshed * _velocity_variance(mass, temperature)) ** 0.5 * noise
    return middle + half * thermal, thermal


def _velocity_variance(mass: Any, temperature: float) -> Any:
    """kT/m [Å²/ps²]."""
    return BOLTZMANN * temperature * ENERGY_TO_MASS_VELOCITY_SQUARED / mass


def maxwell_boltzmann(seed: int, replicas: Any, mass: Any, temperature: float, xp: ModuleType = np) -> Any:
    """Velocities (n_replicas, n_beads, 3) [Å/ps] drawn at `temperature`.

    The centre of mass moves too: the thermostat acts on all 3 n_beads degrees of freedom, so none
    is taken away.
    """
    noise = normal_noise(seed, replicas, STARTING_VELOCITIES, len(mass), xp)
    return noise * _velocity_variance(mass[:, None], temperature) ** 0.5


def kinetic_energy(velocities: Any, mass: Any) -> Any:
    """(n_replicas,) [kcal/mol] of velocities (n_replicas, n_beads, 3) [Å/ps]."""
    return 0.5 * (mass[:, None] * velocities**2).sum(axis=(1, 2)) / ENERGY_TO_MASS_VELOCITY_SQUARED


def kinetic_temperature(velocities: Any, mass: Any) -> Any:
    """(n_replicas,) [K] of velocities (n_replicas, n_beads, 3) [Å/ps]; all 3 n_beads count."""
    return 2.0 * kinetic_energy(velocities, mass) / (3 * len(mass) * BOLTZMANN)
