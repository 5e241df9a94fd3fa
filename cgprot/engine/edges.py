"""Who hears whom: the edges of one structure, and where each lies in the tables."""

import math
from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from cgprot.compiled import kernel
from cgprot.engine.grid import horizon_of, place_of

COINCIDENT = 1e-6  # Å, below this two beads have no direction between them


class Edges(NamedTuple):
    """Who hears whom in one structure: an edge for each direction.

    Attributes
    ----------
    start : (N + 1,) int64, the edges that bead i receives are start[i] ... start[i + 1]
    filled : (N,) int64, where the next edge of a bead goes while they are found
    sender, reverse : (E,) int64, the other bead, and the edge that runs back
    interval : (E,) int64, the table row
    fraction : (E,), t within it
    inverse_distance : (E,) [1/Å]
    direction : (E, 3), from the sender to the receiver
    slope : (E,), dE/dx through the messages that this edge carries, x its place in the table
    gradient : (E, 3), dE/d(r_i - r_j) through all that this edge carries
    """

    start: np.ndarray
    filled: np.ndarray
    sender: np.ndarray
    reverse: np.ndarray
    interval: np.ndarray
    fraction: np.ndarray
    inverse_distance: np.ndarray
    direction: np.ndarray
    slope: np.ndarray
    gradient: np.ndarray


@kernel
def find_edges(positions, pairs, shifts, cutoff, n_intervals, edges):
    """The edges within the cutoff among sorted pairs i <= j.

    `shifts` (len(pairs), 3) or (0, 3) is added to the position of j. Returns 0, or one more than the
    number of a pair that coincides.
    """
    start, filled, horizon = edges.start, edges.filled, horizon_of(cutoff, n_intervals)
    start[:] = 0
    for p in range(len(pairs)):
        r = math.sqrt(_squared_distance(positions, pairs, shifts, p))
        if r < COINCIDENT:
            return p + 1
        if r < cutoff:
            start[pairs[p, 0] + 1] += 1
            start[pairs[p, 1] + 1] += 1
    for i in range(len(positions)):
        start[i + 1] += start[i]
        filled[i] = start[i]
    for p in range(len(pairs)):
        r = math.sqrt(_squared_distance(positions, pairs, shifts, p))
        if r < cutoff:
            place = place_of(r, horizon)
            interval = min(int(place), n_intervals - 1)
            _add_pair(positions, pairs, shifts, p, r, interval, place - interval, edges)
    return 0


@register_jitable
def _squared_distance(positions, pairs, shifts, p):
    i, j = pairs[p, 0], pairs[p, 1]
    total = 0.0
    for k in range(3):
        shift = shifts[p, k] if len(shifts) else 0.0
        total += (positions[i, k] - (positions[j, k] + shift)) ** 2
    return total


@register_jitable
def _add_pair(positions, pairs, shifts, p, r, interval, fraction, edges):
    i, j = pairs[p, 0], pairs[p, 1]
    there = edges.filled[i]
    edges.filled[i] += 1
    back = edges.filled[j]
    edges.filled[j] += 1
    edges.sender[there], edges.sender[back] = j, i
    edges.reverse[there], edges.reverse[back] = back, there
    for edge in (there, back):
        edges.interval[edge] = interval
        edges.fraction[edge] = fraction
        edges.inverse_distance[edge] = 1 / r
        edges.slope[edge] = 0
    for k in range(3):
        shift = shifts[p, k] if len(shifts) else 0.0
        component = (positions[i, k] - (positions[j, k] + shift)) / r
        edges.direction[there, k], edges.direction[back, k] = component, -component
