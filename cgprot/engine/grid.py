"""Where the nodes of the tables lie: evenly in a place x that grows with the distance as r / (r + a).

Intervals are narrow where beads touch and forces are stiff, wide where most neighbours are: these share few
rows, which stay in a fast cache, and half as many rows are as exact as evenly spaced ones.
"""

import numpy as np
from numba.extending import register_jitable

SOFT = 2.0  # Å, the a above


@register_jitable
def horizon_of(cutoff, n_intervals):
    """x of an infinite distance, where that of the cutoff [Å] is n_intervals."""
    return n_intervals * (cutoff + SOFT) / cutoff


@register_jitable
def place_of(r, horizon):
    """x of a distance [Å]: the number of its interval, and the fraction passed of it."""
    return horizon * r / (r + SOFT)


@register_jitable
def rate_of(inverse_distance, horizon):
    """dx/dr [1/Å] where 1/r [1/Å] is known."""
    q = inverse_distance / (1 + SOFT * inverse_distance)
    return horizon * SOFT * q * q


def distance_of(x: np.ndarray, horizon: float) -> np.ndarray:
    """The distances [Å] of places."""
    return SOFT * x / (horizon - x)


def nodes(cutoff: float, n_intervals: int) -> tuple[np.ndarray, np.ndarray]:
    """The distances [Å] between which the intervals lie, and dr/dx [Å] there, (n_intervals + 1,) each."""
    x, horizon = np.arange(n_intervals + 1), horizon_of(cutoff, n_intervals)
    return distance_of(x, horizon), SOFT * horizon / (horizon - x) ** 2
