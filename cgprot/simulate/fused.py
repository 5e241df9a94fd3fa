"""The law of `langevin.middle_step` and `noise.normal_noise` in one pass over the beads, compiled.

No sum runs over beads or replicas, so neither the order nor the company of a replica can touch its bits.
"""

import math

import numba
import numpy as np

from cgprot.units import ENERGY_TO_MASS_VELOCITY_SQUARED

_kernel = numba.njit(nogil=True, cache=True, error_model="numpy")

# Typed, since Numba makes a float of uint64 and a plain integer.
_MULTIPLIER_0, _MULTIPLIER_2 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL_0, _WEYL_1 = np.uint64(0x9E3779B9), np.uint64(0xBB67AE85)
_WORD, _HALF_WORD = np.uint64(0xFFFFFFFF), np.uint64(32)
_TURN, _GRAIN = 2.0 * math.pi, 2.0**-32


@_kernel
def philox(c0, c1, c2, c3, k0, k1):
    """Ten rounds on one block; every argument and result a 32-bit word in a uint64."""
    for _ in range(10):
        p0, p2 = c0 * _MULTIPLIER_0, c2 * _MULTIPLIER_2
        c0, c1, c2, c3 = (p2 >> _HALF_WORD) ^ c1 ^ k0, p2 & _WORD, (p0 >> _HALF_WORD) ^ c3 ^ k1, p0 & _WORD
        k0, k1 = (k0 + _WEYL_0) & _WORD, (k1 + _WEYL_1) & _WORD
    return c0, c1, c2, c3


@_kernel
def _uniform(word):
    return (np.float64(word) + 0.5) * _GRAIN


@_kernel
def _normals(step, replica, bead, seed):
    w0, w1, w2, w3 = philox(bead, step & _WORD, step >> _HALF_WORD, replica, seed & _WORD, seed >> _HALF_WORD)
    near, far = math.sqrt(-2.0 * math.log(_uniform(w0))), math.sqrt(-2.0 * math.log(_uniform(w1)))
    angle = _TURN * _uniform(w2)
    return near * math.cos(angle), near * math.sin(angle), far * math.cos(_TURN * _uniform(w3))


@_kernel
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
