"""The order in which training sees its frames: a function of (seed, step) alone, without any state."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from cgprot.errors import InputError


@lru_cache(maxsize=2)
def epoch_order(seed: int, epoch: int, n_frames: int) -> np.ndarray:
    """(n_frames,) int, every frame once, in an order of this epoch's own."""
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(n_frames)


class BatchesOfFrames:
    """So many frames a step; a batch may end one epoch and begin the next.

    Raises
    ------
    InputError
        if there are not so many frames: some would be in every batch more often than others
    """

    def __init__(self, n_frames: int, batch_frames: int, seed: int) -> None:
        if batch_frames > n_frames:
            raise InputError(
                f"train.batch_frames={batch_frames}, but there are {n_frames} training frames: lower it"
            )
        self._n_frames, self._batch_frames, self._seed = n_frames, batch_frames, seed

    def numbers(self, step: int) -> list[int]:
        """Which frames step `step` sees, counted from 0."""
        seen = range(step * self._batch_frames, (step + 1) * self._batch_frames)
        n = self._n_frames
        return [int(epoch_order(self._seed, k // n, n)[k % n]) for k in seen]


class BatchesOfEdges:
    """As many frames a step as have at most so many edges together, so that every step needs like memory.

    Each epoch is cut into batches anew, in its own order; its last batch may be small.

    Parameters
    ----------
    edges : (n_frames,) number of edges of each frame
    batch_edges : most edges of a batch

    Raises
    ------
    InputError
        if one frame alone has more
    """

    def __init__(self, edges: Sequence[int] | np.ndarray, batch_edges: int, seed: int) -> None:
        self._edges = np.asarray(edges, dtype=np.int64)
        self._batch_edges, self._seed = batch_edges, seed
        largest = int(self._edges.argmax())
        if self._edges[largest] > batch_edges:
            raise InputError(
                f"training frame {largest} alone has {self._edges[largest]} edges, more than "
                f"train.batch_edges={batch_edges}: raise it"
            )
        self._first_steps = [0]  # of every epoch known so far

    def numbers(self, step: int) -> list[int]:
        """Which frames step `step` sees, counted from 0."""
        while self._first_steps[-1] <= step:
            epoch = len(self._first_steps) - 1
            self._first_steps.append(self._first_steps[-1] + len(self._cuts(epoch)) - 1)
        epoch = int(np.searchsorted(self._first_steps, step, side="right")) - 1
        cuts, batch = self._cuts(epoch), step - self._first_steps[epoch]
        order = epoch_order(self._seed, epoch, len(self._edges))
        return order[cuts[batch] : cuts[batch + 1]].tolist()

    def _cuts(self, epoch: int) -> tuple[int, ...]:
        """Where the batches of an epoch begin in its order, and its end."""
        return _cuts_of(self, epoch)

    def pack(self, epoch: int) -> tuple[int, ...]:
        """Fill one batch after the other to the brim."""
        total = np.cumsum(self._edges[epoch_order(self._seed, epoch, len(self._edges))])
        cuts = [0]
        while cuts[-1] < len(total):
            before = total[cuts[-1] - 1] if cuts[-1] else 0
            cuts.append(int(np.searchsorted(total, before + self._batch_edges, side="right")))
        return tuple(cuts)


@lru_cache(maxsize=2)
def _cuts_of(batches: BatchesOfEdges, epoch: int) -> tuple[int, ...]:
    return batches.pack(epoch)


def share(numbers: Sequence[int], edges: np.ndarray, rank: int, size: int) -> list[int]:
    """The frames of a batch that process `rank` of `size` computes, so that all have like numbers of edges.

    The largest frame that is left goes to the process with the fewest edges so far.
    """
    load, mine = [0] * size, []
    for number in sorted(numbers, key=lambda k: -int(edges[k])):
        least = load.index(min(load))
        load[least] += int(edges[number])
        if least == rank:
            mine.append(number)
    return mine if size > 1 else list(numbers)
