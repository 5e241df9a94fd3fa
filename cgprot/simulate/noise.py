"""Random numbers without a state: a keyed bijection of a counter.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, doi:10.1145/2063384.2063405; the Random123
library). The noise of a bead is a function of (seed, replica, step, bead) alone, so a restart has
no generator to restore and a replica is the same alone or among others.
"""

from types import ModuleType
from typing import Any

import numpy as np

# No run reaches this step: its noise belongs to the starting velocities.
STARTING_VELOCITIES = 2**64 - 1

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL_CONSTANTS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD = 0xFFFFFFFF


def philox4x32(counter: Any, key: Any, xp: ModuleType = np) -> Any:
    """Ten rounds of Philox on blocks of four 32-bit words.

    Parameters
    ----------
    counter : (4, ...) uint64, one 32-bit word in each
    key : (2,), or (2, n) with a key for each of the n places of the counter's second axis; 32-bit words
    xp : array module, numpy or cupy

    Returns
    -------
    (4, ...) uint64, one 32-bit word in each
    """
    key = _aligned(key, counter.ndim, xp)
    multipliers, weyl_constants = (
        _aligned(pair, counter.ndim, xp) for pair in (_MULTIPLIERS, _WEYL_CONSTANTS)
    )
    word = xp.uint64(_WORD)
    even, odd = counter[0::2], counter[1::2]
    for _ in range(_ROUNDS):
        # Each half goes on with the product of the other one.
        product = (even * multipliers)[::-1]
        even = (product >> xp.uint64(32)) ^ odd ^ key
        odd = product & word
        key = (key + weyl_constants) & word
    return xp.stack([even, odd], axis=1).reshape(counter.shape)


def _aligned(values: Any, n_axes: int, xp: ModuleType) -> Any:
    """uint64 with as many axes, those that are missing of length one and last."""
    array = xp.asarray(values, dtype=xp.uint64)
    return array.reshape(array.shape + (1,) * (n_axes - array.ndim))


def uniform_numbers(seed: Any, replicas: Any, step: int, number: int, xp: ModuleType = np) -> Any:
    """Numbers between 0 and 1, never either, four for every place of every replica.

    Parameters
    ----------
    seed : below 2**64, or one a replica, (n_replicas,)
    replicas : (n_replicas,) int below 2**32, the numbers of the replicas, in any order
    step : below 2**64
    number : of places
    xp : array module, numpy or cupy

    Returns
    -------
    (4, n_replicas, number) float64
    """
    counter = xp.empty((4, len(replicas), number), dtype=xp.uint64)
    counter[0] = xp.arange(number)
    counter[1] = step & _WORD
    counter[2] = step >> 32
    counter[3] = xp.asarray(replicas)[:, None]
    seeds = xp.asarray(seed, dtype=xp.uint64)
    key = xp.stack([seeds & xp.uint64(_WORD), seeds >> xp.uint64(32)])
    return (philox4x32(counter, key, xp) + 0.5) * 2.0**-32


def normal_noise(seed: Any, replicas: Any, step: int, n_beads: int, xp: ModuleType = np) -> Any:
    """Standard normal numbers of one step, three for every bead of every replica.

    Parameters
    ----------
    seed, replicas, step, xp : as for `uniform_numbers`
    n_beads : number of beads

    Returns
    -------
    (n_replicas, n_beads, 3) float64, no larger than 6.8 in magnitude
    """
    return _box_muller(uniform_numbers(seed, replicas, step, n_beads, xp), xp)


def _box_muller(uniform: Any, xp: ModuleType) -> Any:
    """Three normal numbers (..., 3) of each four uniform ones (4, ...)."""
    radius = xp.sqrt(-2.0 * xp.log(uniform[:2]))
    angle = (2.0 * np.pi) * uniform[2:]
    normal = xp.empty((*uniform.shape[1:], 3))
    normal[..., 0] = radius[0] * xp.cos(angle[0])
    normal[..., 1] = radius[0] * xp.sin(angle[0])
    normal[..., 2] = radius[1] * xp.cos(angle[1])
    return normal
