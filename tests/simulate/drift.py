"""How fast the energy of an isolated system drifts, resolved far below its fluctuation."""

import numpy as np

from cgprot.simulate.langevin import kinetic_energy, on_step_velocities
from cgprot.units import BOLTZMANN, ENERGY_TO_MASS_VELOCITY_SQUARED, PS_PER_NS

ROOM_TEMPERATURE = 300.0  # K


def shadow_energies(step, forces, positions, velocities, mass, timestep_ps, n_steps):
    """(n_steps - 1, n_replicas) [kcal/mol]: what velocity Verlet keeps to fourth order in the time step.

    H + Δt² (v·(dF/dt))(-1/12) - Δt²/24 F·F/m, with dF/dt by central differences of the forces: the energy
    itself swings by Δt² and hides a drift for as long as a run of this length takes. Any true drift shows
    in both.

    Parameters
    ----------
    step : (positions, velocities, forces, number) -> positions, velocities, leapfrog
    forces : positions -> energies, forces
    """
    kept, last = [], None
    energy, force = forces(positions)
    for number in range(n_steps):
        at_step = on_step_velocities(velocities, force, mass, timestep_ps)
        positions, velocities = step(positions, velocities, force, number)
        next_energy, next_force = forces(positions)
        if last is not None:
            turning = (at_step * (next_force - last)).sum(axis=(1, 2)) * timestep_ps / 24
            squares = (force.astype(np.float64) ** 2 / mass[:, None]).sum(axis=(1, 2))
            bending = timestep_ps**2 / 24 * squares * ENERGY_TO_MASS_VELOCITY_SQUARED
            kept.append(energy + kinetic_energy(at_step, mass) - turning - bending)
        last, energy, force = force, next_energy, next_force
    return np.array(kept)


def drift(kept, timestep_ps, degrees_of_freedom):
    """Slope and its standard error over replicas, kT/ns/degree of freedom at 300 K."""
    time_ns = np.arange(len(kept)) * timestep_ps / PS_PER_NS
    slopes = np.polyfit(time_ns, kept - kept.mean(axis=0), 1)[0]
    slopes = slopes / (BOLTZMANN * ROOM_TEMPERATURE * degrees_of_freedom)
    return slopes.mean(), slopes.std(ddof=1) / np.sqrt(len(slopes))
