"""Which frames to label: pure functions of scores.

A frame is worth a label where it leads to a trip, where the members of a committee differ, where forces are
large beside those that were learnt from, and where a simulation ends up: a slow drift shows in no force.
Every protein has a queue for each of these reasons. The proteins take turns, and each turn takes the next
frame of the protein's next queue, so that no protein and no reason eats up the budget.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

TRIP, SPREAD, FORCE, LATE = "trip", "spread", "force", "late"
BEFORE = "before a refused frame"
_WAY_PS = 1.0  # before a trip; what is earlier has little to do with it


class Pick(NamedTuple):
    """A frame, by its number among the candidates, and why."""

    candidate: int
    reason: str


class Scores(NamedTuple):
    """Of every candidate, (n,) each.

    Attributes
    ----------
    protein, replica : int; a replica's number is its own among those of all proteins
    before_trip : [ps], of the same replica; infinite if it never tripped
    spread : of a committee, the largest on a bead [kcal/mol/Å]; NaN where it was not looked at
    force : the largest on a bead beside those of its type in the training data; NaN likewise
    """

    protein: np.ndarray
    replica: np.ndarray
    before_trip: np.ndarray
    spread: np.ndarray
    force: np.ndarray


def pick(scores: Scores, budget: int) -> list[Pick]:
    """At most `budget` frames, none of them twice."""
    proteins = np.unique(scores.protein)
    return take_turns([queues(scores, protein) for protein in proteins], budget)


def queues(scores: Scores, protein: int) -> dict[str, list[int]]:
    """The candidates of one protein by reason, the most wanted first."""
    own = np.flatnonzero(scores.protein == protein)
    found = {TRIP: ways(scores.replica[own], scores.before_trip[own])}
    for reason, values in ((SPREAD, scores.spread[own]), (FORCE, scores.force[own])):
        order = np.argsort(-values, kind="stable")  # NaN comes last
        found[reason] = order[: int((~np.isnan(values)).sum())].tolist()
    found[LATE] = latest(scores.replica[own], scores.before_trip[own])
    return {reason: own[order].tolist() for reason, order in found.items()}


def ways(replica: np.ndarray, before_trip: np.ndarray) -> list[int]:
    """The last frames before each trip, each at least twice as far from it as the one taken before.

    What breaks grows exponentially, and frames of neighbouring steps are alike. The first frame of every
    replica comes before the second of any.
    """
    ranked = []
    for number in np.unique(replica):
        own = np.flatnonzero((replica == number) & (before_trip <= _WAY_PS))
        last, rank = -np.inf, 0
        for index in own[np.argsort(before_trip[own], kind="stable")].tolist():
            if before_trip[index] >= max(2 * last, last + 1e-9):
                ranked.append((rank, number, index))
                last, rank = float(before_trip[index]), rank + 1
    return [index for _, _, index in sorted(ranked)]


def latest(replica: np.ndarray, before_trip: np.ndarray) -> list[int]:
    """The end of every replica, then its middle, its quarters, its eighths, and so on.

    What comes shortly before a trip is left out. The first frame of every replica comes before the second of
    any.
    """
    ranked = []
    for number in np.unique(replica):
        own = np.flatnonzero((replica == number) & (before_trip > _WAY_PS))[::-1]
        bits = max(len(own) - 1, 1).bit_length()
        halving = [int(f"{k:0{bits}b}"[::-1], 2) for k in range(2**bits)]  # 0, 1/2, 1/4, 3/4, 1/8, ...
        frames = [int(own[k]) for k in halving if k < len(own)]
        ranked += [(rank, number, frame) for rank, frame in enumerate(frames)]
    return [frame for _, _, frame in sorted(ranked)]


def take_turns(queues_of: Sequence[Mapping[str, Sequence[int]]], budget: int) -> list[Pick]:
    """The frames of queues by reason, one mapping a protein, in the order in which they are taken."""
    taken: dict[int, str] = {}
    lines = [{reason: iter(queue) for reason, queue in queues.items()} for queues in queues_of]
    while any(lines) and len(taken) < budget:
        for line in lines:
            while line and len(taken) < budget:
                reason = next(iter(line))
                queue = line.pop(reason)
                index = next((k for k in queue if k not in taken), None)
                if index is not None:
                    taken[index] = reason
                    line[reason] = queue  # now the last of its protein's
                    break
    return [Pick(index, reason) for index, reason in taken.items()]


def earlier(candidate: int, replica: np.ndarray, time: np.ndarray, used: set[int]) -> int | None:
    """The nearest earlier candidate of the same replica that was not used yet.

    Parameters
    ----------
    replica, time : (n,) of all candidates
    """
    own = np.flatnonzero((replica == replica[candidate]) & (time < time[candidate]))
    free = [index for index in own.tolist() if index not in used]
    return max(free, key=lambda index: time[index], default=None)
