"""Every frame once an epoch, in an order that needs no memory; batches and shares of like size."""

import numpy as np
import pytest

from cgprot.errors import InputError
from cgprot.train.order import BatchesOfEdges, BatchesOfFrames, share


def test_every_epoch_shows_every_frame_once_in_a_new_order():
    batches = BatchesOfFrames(10, 4, seed=3)
    seen = np.concatenate([batches.numbers(step) for step in range(10)]).reshape(4, 10)
    for epoch in seen:
        assert sorted(epoch) == list(range(10))
    assert len({tuple(epoch) for epoch in seen}) == 4


def test_a_batch_of_more_frames_than_there_are_is_refused():
    BatchesOfFrames(10, 10, seed=3)
    with pytest.raises(InputError, match=r"train\.batch_frames=11, but there are 10 training frames"):
        BatchesOfFrames(10, 11, seed=3)


def frames_of(kind, seed):
    edges = np.random.default_rng(0).integers(1, 60, size=40)
    return BatchesOfFrames(40, 7, seed) if kind == "frames" else BatchesOfEdges(edges, 100, seed)


@pytest.mark.parametrize("kind", ["frames", "edges"])
def test_order_depends_on_the_seed_and_the_step_alone(kind):
    batches = frames_of(kind, seed=3)
    steps = [batches.numbers(step) for step in range(60)]
    assert [frames_of(kind, seed=3).numbers(step) for step in (59, 0, 31)] == [steps[k] for k in (59, 0, 31)]
    assert [frames_of(kind, seed=4).numbers(step) for step in range(5)] != steps[:5]


def epochs(edges, batch_edges, n_steps):
    """Batches of the first steps, cut where all frames have been seen."""
    batches, seen, found = BatchesOfEdges(edges, batch_edges, seed=1), [], []
    for step in range(n_steps):
        found.append(batches.numbers(step))
        if sum(map(len, found)) == len(edges):
            seen.append(found)
            found = []
    return seen


def test_batches_of_edges_are_full_and_show_every_frame_once_an_epoch():
    edges = np.random.default_rng(0).integers(1, 60, size=200)
    seen = epochs(edges, 300, 80)
    assert len(seen) >= 3
    for epoch in seen:
        assert sorted(np.concatenate(epoch)) == list(range(200))
        loads = [edges[batch].sum() for batch in epoch]
        assert max(loads) <= 300
        assert min(loads[:-1]) > 300 - 60  # the next frame did not fit
    assert seen[0] != seen[1]


def test_a_frame_that_fits_exactly_is_taken_and_a_larger_one_refused():
    assert sorted(BatchesOfEdges([5, 5, 5], 5, seed=0).numbers(k)[0] for k in range(3)) == [0, 1, 2]
    assert len(BatchesOfEdges([5, 5, 0], 10, seed=0).numbers(0)) >= 2
    with pytest.raises(InputError, match=r"frame 1 alone has 6 edges.*batch_edges=5: raise it") as caught:
        BatchesOfEdges([5, 6, 1], 5, seed=0)
    assert "\n" not in str(caught.value)


def test_shares_are_the_batch_and_of_like_size():
    edges = np.random.default_rng(2).integers(1, 60, size=100)
    shares = [share(range(100), edges, rank, 3) for rank in range(3)]
    assert sorted(np.concatenate(shares)) == list(range(100))
    loads = [edges[part].sum() for part in shares]
    assert max(loads) - min(loads) <= 60
    assert share(range(10), np.array([10] * 9 + [90]), 0, 2) == [9]  # one large frame against nine small
    assert share([4, 2], edges, 0, 1) == [4, 2]
    assert [len(share([4], edges, rank, 2)) for rank in range(2)] == [1, 0]
