"""Temperature replica exchange: neighbours in temperature swap their baths.

Y. Sugita, Y. Okamoto, Chem. Phys. Lett. 314, 141 (1999), doi:10.1016/S0009-2614(99)01123-9. Here the
baths wander and the replicas stay, so every trajectory is continuous and forces and neighbour lists
remain with the positions that they belong to; the log states whose bath was which.
"""

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.loop import Between, Moment
from cgprot.simulate.noise import uniform_numbers
from cgprot.simulate.record import Record
from cgprot.simulate.state import SimulationState
from cgprot.units import BOLTZMANN

EXCHANGE_LOG = "exchange.csv"
EXCHANGE_COLUMNS = "step,time_ps,cold_replica,hot_replica,cold_K,hot_K,log_acceptance,accepted"
# No run has so many replicas: the random numbers of exchanges are no bead's noise.
_REPLICA_OF_EXCHANGES = 2**32 - 1


class Attempt(NamedTuple):
    """Two replicas that may swap baths; `cold` had the lower temperature [K]."""

    cold: int
    hot: int
    cold_temperature: float
    hot_temperature: float
    log_acceptance: float
    accepted: bool

    def row(self, step: int, time_ps: float) -> str:
        """A line of the log."""
        baths = f"{self.cold_temperature:.12g},{self.hot_temperature:.12g}"
        outcome = f"{self.log_acceptance:.6f},{int(self.accepted)}"
        return f"{step},{time_ps:.12g},{self.cold},{self.hot},{baths},{outcome}\n"


def exchange(
    state: SimulationState, energy: np.ndarray, seed: int, attempt: int
) -> tuple[SimulationState, list[Attempt]]:
    """Try to swap the baths of every second pair of neighbours in temperature.

    A pair swaps with the probability min(1, exp((1/kT_cold - 1/kT_hot) (U_cold - U_hot))), and the
    velocities are scaled to their new baths, v <- sqrt(T_new / T_old) v, which keeps the joint
    ensemble of positions and velocities. Replicas that have stopped take no part.

    Parameters
    ----------
    state : with the bath of every replica
    energy : (n_replicas,) [kcal/mol], potential
    seed : of the random numbers, which state.step addresses
    attempt : its number; even ones begin with the coldest pair, odd ones with the next

    Returns
    -------
    the state to go on from, and what was tried, from the coldest pair up
    """
    order = np.flatnonzero(state.running)
    order = order[np.argsort(state.temperature[order], kind="stable")]
    pairs = list(zip(order[attempt % 2 :: 2], order[attempt % 2 + 1 :: 2], strict=False))
    chance = uniform_numbers(seed, [_REPLICA_OF_EXCHANGES], state.step, len(pairs))[0, 0]
    attempts = [
        _attempt(state.temperature, energy, int(cold), int(hot), chance[k])
        for k, (cold, hot) in enumerate(pairs)
    ]
    return _swapped(state, attempts), attempts


def exchanges(config: SimulateConfig, record: Record) -> Between:
    """What the loop does between steps where a configuration asks for exchanges; each is logged."""
    every = config.exchange_steps
    assert every is not None

    def act(moment: Moment) -> Moment:
        step = moment.state.step
        state, attempts = exchange(moment.state, moment.energy, config.seeds[0], step // every)
        rows = [attempt.row(step, step * config.timestep_ps) for attempt in attempts]
        record.log("".join(rows), EXCHANGE_LOG)
        return moment._replace(state=state)

    return Between(every, act)


def _attempt(temperature: np.ndarray, energy: np.ndarray, cold: int, hot: int, chance: float) -> Attempt:
    beta_cold, beta_hot = (1.0 / (BOLTZMANN * temperature[replica]) for replica in (cold, hot))
    log_acceptance = float((beta_cold - beta_hot) * (energy[cold] - energy[hot]))
    accepted = bool(np.log(chance) < log_acceptance)
    return Attempt(cold, hot, float(temperature[cold]), float(temperature[hot]), log_acceptance, accepted)


def _swapped(state: SimulationState, attempts: list[Attempt]) -> SimulationState:
    temperature, velocities = state.temperature.copy(), state.velocities.copy()
    for cold, hot, cold_temperature, hot_temperature, _, accepted in attempts:
        if accepted:
            temperature[cold], temperature[hot] = hot_temperature, cold_temperature
            velocities[cold] *= np.sqrt(hot_temperature / cold_temperature)
            velocities[hot] *= np.sqrt(cold_temperature / hot_temperature)
    return replace(state, velocities=velocities, temperature=temperature)
