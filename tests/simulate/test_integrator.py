"""The compiled step is the law, for every scheme; a replica's steps are its own."""

import numpy as np
import pytest

from cgprot.errors import InputError, UsageError
from cgprot.simulate.fused import philox
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.langevin import kinetic_temperature, middle_step
from cgprot.simulate.noise import normal_noise, philox4x32
from cgprot.simulate.schemes import coefficients

SCHEMES = ("langevin", "verlet", "brownian")
N_REPLICAS, N_BEADS, STEP = 5, 13, 2**40 + 17
generator = np.random.default_rng(0)
MASS = generator.uniform(12.0, 33.0, N_BEADS)
SCALES = np.array([5.0, 4.0, 25.0]).reshape(3, 1, 1, 1)
POSITIONS, VELOCITIES, FORCES = SCALES * generator.normal(size=(3, N_REPLICAS, N_BEADS, 3))
FRICTION = np.linspace(60.0, 90.0, N_REPLICAS)
TEMPERATURE = np.linspace(0.0, 400.0, N_REPLICAS)
SEED = generator.integers(0, 2**64, N_REPLICAS, dtype=np.uint64)
REPLICAS = np.array([7, 0, 3, 2**32 - 1, 4])


def _integrator(scheme="langevin", rows=slice(None), **changed):
    arguments = {
        "friction_per_ps": FRICTION[rows],
        "temperature": TEMPERATURE[rows],
        "seed": SEED[rows],
        "replicas": REPLICAS[rows],
    }
    return Integrator(scheme, MASS, 0.002, **(arguments | changed))


def _stepped(integrator, rows=slice(None), step=STEP):
    return np.stack(integrator.step(POSITIONS[rows], VELOCITIES[rows], FORCES[rows], step))


def _law(scheme="langevin", step=STEP):
    noise = normal_noise(SEED, REPLICAS, step, N_BEADS)
    numbers = coefficients(scheme, 0.002, FRICTION, TEMPERATURE)
    return np.stack(middle_step(POSITIONS, VELOCITIES, FORCES, noise, MASS, numbers))


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("settings", [{"backend": "numpy"}, {}, {"n_threads": 2}, {"n_threads": 9}])
def test_every_backend_computes_the_law(scheme, settings):
    np.testing.assert_allclose(_stepped(_integrator(scheme, **settings)), _law(scheme), rtol=0, atol=1e-13)


@pytest.mark.parametrize("scheme", ["langevin", "brownian"])
def test_the_comparison_sees_another_steps_noise(scheme):
    assert np.abs(_stepped(_integrator(scheme)) - _law(scheme, STEP + 1)).max() > 1e-3


def test_compiled_philox_gives_the_bits_of_the_law():
    words = generator.integers(0, 2**32, size=(200, 6), dtype=np.uint64)
    for block in words:
        law = philox4x32(block[:4], block[4:])
        np.testing.assert_array_equal(np.array(philox(*block), dtype=np.uint64), law)


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_replica_is_bitwise_the_same_in_any_company(scheme, backend):
    together = _stepped(_integrator(scheme, backend=backend))
    for rows in ([2], [4, 0], [3, 1, 2]):
        alone = _stepped(_integrator(scheme, rows, backend=backend), rows)
        np.testing.assert_array_equal(alone, together[:, rows])


def test_replica_is_bitwise_the_same_alone_or_among_64():
    frames = generator.normal(size=(3, 64, N_BEADS, 3))
    temperature, replicas = np.linspace(280.0, 420.0, 64), np.arange(64)
    together = Integrator("langevin", MASS, 0.002, 1.0, temperature, 5, replicas, n_threads=3).step(
        *frames, 9
    )
    for replica in (0, 1, 31, 63):
        one = slice(replica, replica + 1)
        alone = Integrator("langevin", MASS, 0.002, 1.0, temperature[one], 5, [replica])
        np.testing.assert_array_equal(alone.step(*frames[:, one], 9), np.stack(together)[:, one])


def test_replicas_of_another_number_or_seed_differ():
    equal = np.zeros((2, N_BEADS, 3))
    for seed, replicas in ((1, [0, 1]), ([1, 2], [0, 0])):
        velocities = Integrator("langevin", MASS, 0.002, 1.0, 300.0, seed, replicas).step(
            equal, equal, equal, 0
        )[1]
        assert not np.isclose(velocities[0], velocities[1], rtol=1e-6).any()


def test_temperature_may_change_between_steps():
    integrator = _integrator(temperature=100.0)
    before = _stepped(integrator)
    integrator.temperature = TEMPERATURE
    np.testing.assert_array_equal(_stepped(integrator), _stepped(_integrator()))
    integrator.temperature = 100.0
    np.testing.assert_array_equal(_stepped(integrator), before)


def test_starting_velocities_have_the_temperature_of_their_replica():
    temperature = np.array([100.0, 400.0])
    integrator = Integrator("langevin", np.full(3000, 12.0), 0.002, 1.0, temperature, 1, [0, 1])
    measured = kinetic_temperature(integrator.starting_velocities(), integrator.mass)
    np.testing.assert_allclose(measured, temperature, rtol=0.05)


def test_arguments_stay_as_they_are():
    arrays = [POSITIONS.copy(), VELOCITIES.copy(), FORCES.copy()]
    _integrator().step(*arrays, 0)
    np.testing.assert_array_equal(arrays, [POSITIONS, VELOCITIES, FORCES])


def test_arrays_in_another_order_or_precision_are_taken():
    turned = [np.asfortranarray(array) for array in (POSITIONS, VELOCITIES, FORCES)]
    np.testing.assert_array_equal(np.stack(_integrator().step(*turned, STEP)), _stepped(_integrator()))
    single = FORCES.astype(np.float32)
    narrow = _integrator().step(POSITIONS, VELOCITIES, single, STEP)
    np.testing.assert_array_equal(
        narrow, _integrator().step(POSITIONS, VELOCITIES, single.astype(float), STEP)
    )


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        ("scheme 'euler' is unknown", {"scheme": "euler"}),
        ("backend 'torch' is unknown", {"backend": "torch"}),
        ("no motion without friction", {"scheme": "brownian", "friction_per_ps": 0.0}),
        (
            "too weak for a step of 0.002 ps: give at least 10/ps",
            {"scheme": "brownian", "friction_per_ps": 1.0},
        ),
    ],
)
def test_refused(said, asked):
    with pytest.raises(UsageError, match=said):
        _integrator(**asked)


def test_arrays_of_another_system_are_refused():
    with pytest.raises(InputError, match=r"forces of shape \(5, 12, 3\): expected \(5, 13, 3\)"):
        _integrator().step(POSITIONS, VELOCITIES, FORCES[:, :-1], 0)
