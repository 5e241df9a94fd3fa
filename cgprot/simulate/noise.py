"""Random numbers without a state: a keyed bijection of a counter.

Philox4x32-10 (Salmon, Moraes, Dror, Shaw 2011, doi:10.1145/2063384.2063405; the Random123
library). The noise of a bead is a function of (seed, replica, step, bead) alone, so a restart has
no generator to restore and a replica is the same alone or among others.
"""

from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np

# No run reaches this step: its noise belongs to the starting velocities.
STARTING_VELOCITIES = 2**64 - 1

_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL_CONSTANTS = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
_WORD = 0xFFFFFFFF


def philox4x32(counter: Any, key: tuple[int, int], xp: ModuleType = np) -> Any:
    """Ten rounds of Philox on blocks of four 32-bit words.

    Parameters
    ----------
    counter : (4, ...) uint64, one 32-bit word in each
    key : two 32-bit words
    xp : array module, numpy or cupy

    Returns
    -------
    (4, ...) uint64, one 32-bit word in each
    """
    multipliers, round_keys = _constants(key, counter.ndim, xp)
    even, odd = counter[0::2], counter[1::2]
    for round_key in round_keys:
        # Each half goes on with the product of the other one.
        product = (even * multipliers)[::-1]
        even = (product >> xp.uint64(32)) ^ odd ^ round_key
        odd = product & xp.uint64(_WORD)
    return xp.stack([even, odd], axis=1).reshape(counter.shape)


@lru_cache(maxsize=64)
def _constants(key: tuple[int, int], n_axes: int, xp: ModuleType) -> tuple[Any, Any]:
    """Multipliers (2, 1, ...) and round keys (rounds, 2, 1, ...) ready to broadcast."""
    ones = (1,) * (n_axes - 1)
    schedule = [
        [(word + turn * weyl) & _WORD for word, weyl in zip(key, _WEYL_CONSTANTS, strict=True)]
        for turn in range(_ROUNDS)
    ]
    multipliers = xp.asarray(_MULTIPLIERS, dtype=xp.uint64).reshape(2, *ones)
    return multipliers, xp.asarray(schedule, dtype=xp.uint64).reshape(_ROUNDS, 2, *ones)


def normal_noise(seed: int, replicas: Any, step: int, n_beads: int, xp: ModuleType = np) -> Any:
    """Standard normal numbers of one step, three for every bead of every replica.

    Parameters
    ----------
    seed : below 2**64
    replicas : (n_replicas,) int, the numbers of the replicas, in any order
    step : below 2**64
    n_beads : number of beads
    xp : array module, numpy or cupy

    Returns
    -------
    (n_replicas, n_beads, 3) float64, no larger than 6.8 in magnitude
    """
    counter = xp.empty((4, len(replicas), n_beads), dtype=xp.uint64)
    counter[0] = xp.arange(n_beads)
    counter[1] = step & _WORD
    counter[2] = step >> 32
    counter[3] = xp.asarray(replicas)[:, None]
    return _box_muller(philox4x32(counter, (seed & _WORD, seed >> 32), xp), xp)


def _box_muller(words: Any, xp: ModuleType) -> Any:
    """Three normal numbers (..., 3) of each block of four words (4, ...)."""
    uniform = (words + 0.5) * 2.0**-32  # never 0, never 1
    radius = xp.sqrt(-2.0 * xp.log(uniform[:2]))
    angle = (2.0 * np.pi) * uniform[2:]
    normal = xp.empty((*words.shape[1:], 3))
    normal[..., 0] = radius[0] * xp.cos(angle[0])
    normal[..., 1] = radius[0] * xp.sin(angle[0])
    normal[..., 2] = radius[1] * xp.cos(angle[1])
    return normal
