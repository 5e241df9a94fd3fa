"""The law of `langevin.middle_step` and `noise.normal_noise` in one pass over the beads, compiled.

No sum runs over beads or replicas, so neither the order nor the company of a replica can touch its bits.
"""

import math
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from cgprot.compiled import kernel
from cgprot.simulate.schemes import Coefficients
from cgprot.units import ENERGY_TO_MASS_VELOCITY_SQUARED

# Typed, since Numba makes a float of uint64 and a plain integer.
_MULTIPLIER_0, _MULTIPLIER_2 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_WORD, _HALF_WORD = np.uint64(0xFFFFFFFF), np.uint64(32)
# A bead takes about 0.1 µs, to wake a thread some 20.
_BEADS_WORTH_A_THREAD = 1000
_TURN, _GRAIN = 2.0 * math.pi, 2.0**-32


@kernel
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds on one block; every argument and result a 32-bit word in a uint64."""
    for _ in range(10):
        p0, p2 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_2
        c0, c1, c2, c3 = (p2 >> _HALF_WORD) ^ c1 ^ k0, p2 & _WORD, (p0 >> _HALF_WORD) ^ c3 ^ k1, p0 & _WORD
        k0, k1 = (k0 + _WEYL_0) & _WORD, (k1 + _WEYL_1) & _WORD
    return c0, c1, c2, c3


@kernel
def _uniform(word):
    return (np.float64(word) + 0.5) * _GRAIN


@kernel
def _normals(step, replica, bead, seed):
    w0, w1, w2, w3 = philox(bead, step & _WORD, step >> _HALF_WORD, replica, seed & _WORD, seed >> _HALF_WORD)
    near, far = math.sqrt(-2.0 * math.log(_uniform(w0))), math.sqrt(-2.0 * math.log(_uniform(w1)))
    angle = _TURN * _uniform(w2)
    return near * math.cos(angle), near * math.sin(angle), far * math.cos(_TURN * _uniform(w3))


@kernel
def advance(
    replicas_here, positions, velocities, forces, new_positions, new_velocities, mass,
    stride, damping, thermal, seed, replicas, step,
):  # fmt: skip
    """One step of the replicas from `replicas_here[0]` up to `replicas_here[1]`.

    Parameters
    ----------
    positions, velocities, forces : (n_replicas, n_beads, 3) float64 [Å], [Å/ps], [kcal/mol/Å]
    new_positions, new_velocities : same, written; may be `positions` and `velocities` themselves
    mass : (n_beads,) [Da]
    stride, damping, thermal : (n_replicas,), of `cgprot.simulate.schemes.coefficients`
    seed, replicas : (n_replicas,) uint64; step : uint64
    """
    for r in range(replicas_here[0], replicas_here[1]):
        half, kick = 0.5 * stride[r], stride[r] * ENERGY_TO_MASS_VELOCITY_SQUARED
        for bead in range(len(mass)):
            noise = (0.0, 0.0, 0.0)
            if thermal[r] != 0.0:
                noise = _normals(step, replicas[r], np.uint64(bead), seed[r])
            for i in range(3):
                v = velocities[r, bead, i] + forces[r, bead, i] * (kick / mass[bead])
                x = positions[r, bead, i] + half * v
                v = damping[r] * v + thermal[r] / math.sqrt(mass[bead]) * noise[i]
                new_positions[r, bead, i] = x + half * v
                new_velocities[r, bead, i] = v


class FusedStep:
    """`advance` on new arrays, replicas dealt out to threads.

    Parameters
    ----------
    mass : (n_beads,) [Da]
    seed, replicas : (n_replicas,) uint64
    n_threads : at most
    """

    def __init__(self, mass: np.ndarray, seed: np.ndarray, replicas: np.ndarray, n_threads: int) -> None:
        self._mass, self._seed, self._replicas = mass, seed, replicas
        n_shares = max(1, min(n_threads, len(replicas) * len(mass) // _BEADS_WORTH_A_THREAD))
        bounds = np.rint(np.linspace(0, len(replicas), n_shares + 1)).astype(int).tolist()
        self._shares = list(pairwise(bounds))
        self._pool = ThreadPoolExecutor(n_shares)

    def load(self, scheme: Coefficients) -> None:
        """Take over the numbers of a scheme, (n_replicas,) each."""
        self._scheme = scheme

    def __call__(
        self, positions: np.ndarray, velocities: np.ndarray, forces: np.ndarray, step: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """(n_replicas, n_beads, 3) each; new arrays, the arguments stay as they are."""
        old = [np.ascontiguousarray(array, dtype=np.float64) for array in (positions, velocities, forces)]
        new = np.empty_like(old[0]), np.empty_like(old[1])
        rest = (*old, *new, self._mass, *self._scheme, self._seed, self._replicas, np.uint64(step))
        others = [self._pool.submit(advance, share, *rest) for share in self._shares[1:]]
        advance(self._shares[0], *rest)
        for other in others:
            other.result()
        return new
