"""Stretches of steps against single ones: by a C compiler everywhere, on a GPU where there is one."""

import sys

import numpy as np
import pytest
from cuda_on_c import cupy_on_c
from engines import TYPES, cluster, potential_of

from cgprot.engine.cuda import CudaEngine
from cgprot.engine.tables import tabulate
from cgprot.errors import InputError
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.loop import with_forces
from cgprot.simulate.state import SimulationState, Stopped
from cgprot.simulate.stretch import Stretch

MASS, N_REPLICAS = np.linspace(12.0, 33.0, 10), 3
POTENTIAL = tabulate(potential_of(scale=20.0, layers=1), 64)


@pytest.fixture(params=["on c", pytest.param("gpu", marks=pytest.mark.gpu)])
def cupy(request, monkeypatch):
    if request.param == "gpu":
        return pytest.importorskip("cupy")
    stand_in = cupy_on_c()
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    return stand_in


class Made:
    """An engine, its integrator, and the moment from which all begin."""

    def __init__(self, room: int = 16) -> None:
        self.engine = CudaEngine(POTENTIAL, TYPES, N_REPLICAS, np.float64, room=room)
        temperature = np.array([300.0, 0.0, 400.0])
        self.integrator = Integrator("langevin", MASS, 0.002, 5.0, temperature, 7, range(N_REPLICAS), "cuda")
        velocities = self.integrator.starting_velocities()
        self.state = SimulationState(cluster(3, N_REPLICAS), velocities, temperature, 2**40 + 5)
        self.moment = with_forces(self.state, self.engine)

    def step_by_step(self, n_steps: int):
        moment = self.moment
        for _ in range(n_steps):
            state = moment.state
            arrays = state.positions, state.velocities, moment.forces
            stepped = self.integrator.step(*arrays, state.step)
            later = SimulationState(*stepped, state.temperature, state.step + 1, state.stopped)
            moment = with_forces(later, self.engine)
        return moment


def arrays_of(moment):
    return [moment.state.positions, moment.state.velocities, moment.energy, moment.forces]


def assert_same(one, other):
    assert one.state.step == other.state.step
    for array, its_like in zip(arrays_of(one), arrays_of(other), strict=True):
        np.testing.assert_array_equal(array, its_like)


def test_a_stretch_is_its_steps_to_the_last_bit(cupy):
    made = Made()
    stretch, expected = Stretch(made.engine, made.integrator), made.step_by_step(9)
    assert_same(stretch(made.moment, 9), expected)
    assert_same(stretch(stretch(made.moment, 4), 5), expected)
    assert np.abs(expected.state.positions - made.state.positions).max() > 0.01


def test_replays_launch_what_was_captured(cupy, monkeypatch):
    if not hasattr(cupy, "launches"):
        pytest.skip("launches are counted by the stand-in alone")
    made = Made()
    stretch = Stretch(made.engine, made.integrator)
    stretch(made.moment, 3)
    n_launches = len(cupy.launches)
    stretch(made.moment, 50)
    assert len(cupy.launches) == n_launches


def test_a_stretch_in_which_room_runs_out_leaves_no_trace(cupy):
    crowd = Made(room=64)
    expected, made = crowd.step_by_step(6), Made(room=64)
    made.engine._make_room(0)
    assert_same(Stretch(made.engine, made.integrator)(made.moment, 6), expected)
    assert made.engine.room == 16


def test_a_replica_at_rest_keeps_its_place_and_velocity_and_the_others_their_bits(cupy):
    made = Made()
    expected = made.step_by_step(8)
    state = SimulationState(
        *arrays_of(made.moment)[:2], made.state.temperature, made.state.step, (Stopped(1, 0, 0, "tired"),)
    )
    moment = with_forces(state, made.engine)
    made.integrator.prepare(state.temperature, ~state.running)
    rested = Stretch(made.engine, made.integrator)(moment, 8)
    for array, before, other in zip(arrays_of(rested), arrays_of(moment), arrays_of(expected), strict=True):
        np.testing.assert_array_equal(array[1], before[1])
        np.testing.assert_array_equal(array[[0, 2]], other[[0, 2]])


def test_a_replica_without_forces_ends_the_stretch_and_the_next_one_is_right(cupy):
    made = Made()
    stretch = Stretch(made.engine, made.integrator)
    broken = made.state.positions.copy()
    broken[2, 4] = np.nan
    state = SimulationState(broken, made.state.velocities, made.state.temperature, made.state.step)
    with pytest.raises(InputError, match="replica 2"):
        stretch(made.moment._replace(state=state), 5)
    assert_same(stretch(made.moment, 5), made.step_by_step(5))
