"""Threads that share one replica."""

import threading

import numpy as np
import pytest
from engines import TYPES, cluster, potential_of

from cgprot.engine.cpu import CpuEngine
from cgprot.engine.tables import tabulate
from cgprot.errors import InputError

N_BEADS = 200
POSITIONS = np.concatenate([cluster(seed) + 9.0 * seed for seed in range(N_BEADS // 10)], axis=1)


def engine_on(n_threads: int) -> CpuEngine:
    return CpuEngine(tabulate(potential_of(layers=2), 64), np.resize(TYPES, N_BEADS), 1, n_threads=n_threads)


@pytest.mark.parametrize("n_threads", [2, 5])
def test_shared_again_and_again(n_threads):
    """More threads than processors, too: whoever takes which block, whenever, the bits are the same."""
    energy, forces = engine_on(1)(POSITIONS)
    shared = engine_on(n_threads)
    for _ in range(100):
        again = shared(POSITIONS)
        assert again[0] == energy
        assert (again[1] == forces).all()


def test_nobody_waits_for_a_thread_that_is_asleep():
    energy, _ = engine_on(1)(POSITIONS)
    engine, release = engine_on(2), threading.Event()
    asleep = [engine.pool.submit(release.wait, 60) for _ in range(engine.n_threads)]
    try:
        assert engine(POSITIONS)[0] == energy
        assert not any(thread.done() for thread in asleep)
    finally:
        release.set()
    assert engine(POSITIONS)[0] == energy


def test_all_threads_stop_at_coincident_beads():
    engine, close = engine_on(3), POSITIONS.copy()
    energy, _ = engine(POSITIONS)
    close[0, 150] = close[0, 20]
    for _ in range(20):
        with pytest.raises(InputError, match="beads 20 and 150 coincide"):
            engine(close)
    assert engine(POSITIONS)[0] == energy
