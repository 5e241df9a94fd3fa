"""A whole run is the law: every step, bath and exchange recomputed from what was asked for."""

import csv

import numpy as np
import pytest
from chain import N_BEADS, chain_start, chain_system

from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.exchange import EXCHANGE_LOG, exchange
from cgprot.simulate.langevin import middle_step
from cgprot.simulate.noise import STARTING_VELOCITIES, normal_noise, uniform_numbers
from cgprot.simulate.run import simulate
from cgprot.simulate.schemes import coefficients
from cgprot.simulate.state import CHECKPOINT, SimulationState, load_checkpoint
from cgprot.units import BOLTZMANN, ENERGY_TO_MASS_VELOCITY_SQUARED

pytestmark = pytest.mark.usefixtures("synced")

MASS = chain_system().mass
BATHS = np.array([330.0, 300.0, 363.0, 400.0])  # not in the order of the replicas
FRICTION = np.array([60.0, 75.0, 90.0, 55.0])
SEEDS = np.array([5, 5, 2**63 + 7, 11], dtype=np.uint64)
N_STEPS, TIMESTEP = 40, 0.002
EXCHANGE_STEPS = 2
NUMBER_OF_EXCHANGES = 2**32 - 1  # the address of their noise, in the place of a replica's number


def wells(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every bead in a harmonic well of its own, where the chain of replica 0 starts."""
    away = positions - chain_start().positions
    return 40.0 * (away**2).sum(axis=(1, 2)), -80.0 * away


def heated(step: int) -> np.ndarray:
    """From 200 K to the bath within 20 steps."""
    return 200.0 + (BATHS - 200.0) * min(step / 20, 1.0)


def annealed(step: int) -> np.ndarray:
    """From the bath to 500 K within 20 steps, on to 100 K within 10 more."""
    up, down = step / 20, (step - 20) / 10
    return BATHS + (500.0 - BATHS) * up if up < 1 else np.full(4, max(500.0 - 400.0 * down, 100.0))


def run(folder, **changed) -> SimulationState:
    """The last state of four replicas that start 0.01 Å apart."""
    asked = {"temperature": tuple(BATHS), "friction_per_ps": tuple(FRICTION), "seed": tuple(SEEDS.tolist())}
    times = {"time_ps": N_STEPS * TIMESTEP, "output_every_ps": TIMESTEP, "checkpoint_every_ps": 0.02}
    simulate(chain_start(4), wells, SimulateConfig(**(asked | times | changed)), folder, {}, [])
    return load_checkpoint(folder / CHECKPOINT).state


def starting(bath: np.ndarray) -> np.ndarray:
    """Maxwell's velocities [Å/ps]."""
    width = np.sqrt(BOLTZMANN * ENERGY_TO_MASS_VELOCITY_SQUARED * bath[:, None, None] / MASS[:, None])
    return width * normal_noise(SEEDS, range(4), STARTING_VELOCITIES, N_BEADS)


def stepped(positions, velocities, bath, step, scheme="langevin"):
    noise = normal_noise(SEEDS, range(4), step, N_BEADS)
    numbers = coefficients(scheme, TIMESTEP, FRICTION, bath)
    return middle_step(positions, velocities, wells(positions)[1], noise, MASS, numbers)


def assert_same(state: SimulationState, positions, velocities) -> None:
    """Up to the masses, which a PSF rounds at the sixth digit."""
    np.testing.assert_allclose(state.positions, positions, rtol=0, atol=1e-6)
    np.testing.assert_allclose(state.velocities, velocities, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scheme", ["langevin", "brownian", "verlet"])
def test_every_replica_takes_the_steps_of_its_own_bath_friction_and_seed(tmp_path, scheme):
    positions, velocities = chain_start(4).positions, starting(BATHS)
    for step in range(N_STEPS):
        positions, velocities = stepped(positions, velocities, BATHS, step, scheme)
    assert_same(run(tmp_path / "run", scheme=scheme), positions, velocities)


@pytest.mark.parametrize(
    ("bath", "asked"),
    [
        (heated, {"heat_ps": 0.04, "heat_from": 200.0}),
        (annealed, {"anneal": ((0.04, 500.0), (0.06, 100.0))}),
    ],
)
def test_every_step_has_the_bath_of_its_time(tmp_path, bath, asked):
    positions, velocities = chain_start(4).positions, starting(bath(0))
    for step in range(N_STEPS):
        positions, velocities = stepped(positions, velocities, bath(step), step)
    assert_same(run(tmp_path / "run", **asked), positions, velocities)


def exchanged(velocities, bath, energy, step):
    """Metropolis on every second pair of neighbours in temperature; and the rows of the log, by hand."""
    order, rows = np.argsort(bath), []
    first = (step // EXCHANGE_STEPS) % 2
    pairs = [(order[0], order[1]), (order[2], order[3])] if first == 0 else [(order[1], order[2])]
    chance = uniform_numbers(5, [NUMBER_OF_EXCHANGES], step, len(pairs))[0, 0]
    bath, velocities = bath.copy(), velocities.copy()
    for (cold, hot), drawn in zip(pairs, chance, strict=True):
        beta_cold, beta_hot = 1 / (BOLTZMANN * bath[cold]), 1 / (BOLTZMANN * bath[hot])
        log_acceptance = (beta_cold - beta_hot) * (energy[cold] - energy[hot])
        rows.append([step, cold, hot, bath[cold], bath[hot], log_acceptance, drawn < np.exp(log_acceptance)])
        if drawn < np.exp(log_acceptance):
            velocities[cold] *= np.sqrt(bath[hot] / bath[cold])
            velocities[hot] *= np.sqrt(bath[cold] / bath[hot])
            bath[[cold, hot]] = bath[[hot, cold]]
    return velocities, bath, rows


def logged(folder) -> np.ndarray:
    """Rows of the log of exchanges, without their times."""
    with open(folder / EXCHANGE_LOG) as stream:
        return np.array([row[:1] + row[2:] for row in list(csv.reader(stream))[1:]], dtype=float)


def test_exchanges_take_the_right_pairs_energies_and_numbers(tmp_path):
    positions, velocities, bath, rows = chain_start(4).positions, starting(BATHS), BATHS, []
    for step in range(1, N_STEPS + 1):
        positions, velocities = stepped(positions, velocities, bath, step - 1)
        if step % EXCHANGE_STEPS == 0:
            velocities, bath, tried = exchanged(velocities, bath, wells(positions)[0], step)
            rows += tried
    state = run(tmp_path / "run", exchange_every_ps=EXCHANGE_STEPS * TIMESTEP)
    assert_same(state, positions, velocities)
    np.testing.assert_array_equal(state.temperature, bath)
    np.testing.assert_allclose(logged(tmp_path / "run"), np.array(rows, dtype=float), atol=1e-5)
    accepted = [row[-1] for row in rows]
    assert 5 <= sum(accepted) <= len(accepted) - 5
    assert {row[0] // EXCHANGE_STEPS % 2 for row in rows if row[-1]} == {0, 1}


@pytest.mark.parametrize("step", range(0, 40, 8))
@pytest.mark.parametrize("pair", [0, 1])
def test_a_pair_swaps_just_where_its_draw_is_below_the_acceptance(step, pair):
    chance = uniform_numbers(3, [NUMBER_OF_EXCHANGES], step, 2)[0, 0, pair]
    cold, hot = np.argsort(BATHS)[2 * pair : 2 * pair + 2]
    slope = 1 / (BOLTZMANN * BATHS[cold]) - 1 / (BOLTZMANN * BATHS[hot])
    state = SimulationState(np.zeros((4, 1, 3)), np.zeros((4, 1, 3)), BATHS, step)
    for shift in (-1e-6, 1e-6):
        energy = np.zeros(4)
        energy[cold] = (np.log(chance) + shift) / slope
        attempt = exchange(state, energy, 3, 0)[1][pair]
        assert (attempt.cold, attempt.hot, attempt.accepted) == (cold, hot, shift > 0)


def test_no_replica_has_the_number_of_the_exchanges():
    most = next(rule.le for rule in SimulateConfig.model_fields["replicas"].metadata if hasattr(rule, "le"))
    assert most < NUMBER_OF_EXCHANGES
