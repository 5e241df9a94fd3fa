"""The sums over the neighbours of one bead: the edges themselves, messages, and their derivatives.

Every function but the first fills what belongs to one receiving bead, its neighbours in ascending order of
their numbers. No array over edges and channels is ever written to memory.

A table row holds the cubic of one interval of r, c0 + c1 t + c2 t² + c3 t³ with 0 <= t < 1, for each of
I, A, S: (4, 3, P), flattened. Rows of features: `cgprot.engine.channels`.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numba.extending import register_jitable

from cgprot.engine.channels import SQRT2, SQRT6, WIDTH, kernel, load

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
    slope : (E,), dE/dr through the messages that this edge carries
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


# No fast mathematics here: whether a pair is near must not depend on the order of a sum.
@numba.njit(nogil=True, cache=True, error_model="numpy")
def find_edges(positions, pairs, shifts, cutoff, spacing, edges):
    """The edges within the cutoff among sorted pairs i <= j.

    `shifts` (len(pairs), 3) or (0, 3) is added to the position of j. Returns 0, or one more than the
    number of a pair that coincides.
    """
    start, filled = edges.start, edges.filled
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
            _add_pair(positions, pairs, shifts, p, r, spacing, edges)
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
def _add_pair(positions, pairs, shifts, p, r, spacing, edges):
    i, j = pairs[p, 0], pairs[p, 1]
    there = edges.filled[i]
    edges.filled[i] += 1
    back = edges.filled[j]
    edges.filled[j] += 1
    edges.sender[there], edges.sender[back] = j, i
    edges.reverse[there], edges.reverse[back] = back, there
    interval = int(r / spacing)
    for edge in (there, back):
        edges.interval[edge] = interval
        edges.fraction[edge] = r / spacing - interval
        edges.inverse_distance[edge] = 1 / r
        edges.slope[edge] = 0
    for k in range(3):
        shift = shifts[p, k] if len(shifts) else 0.0
        component = (positions[i, k] - (positions[j, k] + shift)) / r
        edges.direction[there, k], edges.direction[back, k] = component, -component


@kernel
def sum_embedding(i, edges, table, species, bead_type, out, lanes):
    """out = Σ_j Y(r̂_ij) f(r_ij) (a_i + b_j)."""
    P = WIDTH * len(lanes)
    for c in range(9 * P):
        out[c] = 0
    a = species[bead_type[i], 0]
    for edge in range(edges.start[i], edges.start[i + 1]):
        t, f = edges.fraction[edge], table[edges.interval[edge]]
        b = species[bead_type[edges.sender[edge]], 1]
        y1, y2, y3, y4, y5, y6, y7, y8 = harmonics(edges.direction[edge])
        for c in range(P):
            z = a[c] + b[c]
            f_A, f_S = z * _value(f, 1, c, P, t), z * _value(f, 2, c, P, t)
            out[c] += table.dtype.type(math.sqrt(3)) * z * _value(f, 0, c, P, t)
            out[P + c] += y1 * f_A
            out[2 * P + c] += y2 * f_A
            out[3 * P + c] += y3 * f_A
            out[4 * P + c] += y4 * f_S
            out[5 * P + c] += y5 * f_S
            out[6 * P + c] += y6 * f_S
            out[7 * P + c] += y7 * f_S
            out[8 * P + c] += y8 * f_S


@kernel
def sum_messages(i, edges, table, features, out, lanes):
    """out += Σ_j f(r_ij) X_j."""
    P = WIDTH * len(lanes)
    for edge in range(edges.start[i], edges.start[i + 1]):
        t, f = edges.fraction[edge], table[edges.interval[edge]]
        X = features[edges.sender[edge]]
        for c in range(P):
            f_I, f_A, f_S = _value(f, 0, c, P, t), _value(f, 1, c, P, t), _value(f, 2, c, P, t)
            out[c] += f_I * X[c]
            out[P + c] += f_A * X[P + c]
            out[2 * P + c] += f_A * X[2 * P + c]
            out[3 * P + c] += f_A * X[3 * P + c]
            out[4 * P + c] += f_S * X[4 * P + c]
            out[5 * P + c] += f_S * X[5 * P + c]
            out[6 * P + c] += f_S * X[6 * P + c]
            out[7 * P + c] += f_S * X[7 * P + c]
            out[8 * P + c] += f_S * X[8 * P + c]


@kernel
def compare_messages(i, edges, table, spacing, upstream, features, lanes):
    """slope_ij += Σ f'(r_ij) (G_i · X_j), over channels and parts."""
    P = WIDTH * len(lanes)
    G = upstream[i]
    for edge in range(edges.start[i], edges.start[i + 1]):
        t, f = edges.fraction[edge], table[edges.interval[edge]]
        X = features[edges.sender[edge]]
        total = features.dtype.type(0)
        for c in range(P):
            total += (
                _slope(f, 0, c, P, t) * (G[c] * X[c])
                + _slope(f, 1, c, P, t)
                * (G[P + c] * X[P + c] + G[2 * P + c] * X[2 * P + c] + G[3 * P + c] * X[3 * P + c])
                + _slope(f, 2, c, P, t)
                * (
                    G[4 * P + c] * X[4 * P + c]
                    + G[5 * P + c] * X[5 * P + c]
                    + G[6 * P + c] * X[6 * P + c]
                    + G[7 * P + c] * X[7 * P + c]
                    + G[8 * P + c] * X[8 * P + c]
                )
            )
        edges.slope[edge] += total / spacing


@kernel
def differentiate_embedding(i, edges, table, spacing, species, bead_type, upstream, lanes):
    """gradient_ij = ∂(G · Y(r̂_ij) f(r_ij) (a_i + b_j))/∂r + slope_ij r̂_ij."""
    P = WIDTH * len(lanes)
    a, G = species[bead_type[i], 0], upstream
    for edge in range(edges.start[i], edges.start[i + 1]):
        t, f = edges.fraction[edge], table[edges.interval[edge]]
        b = species[bead_type[edges.sender[edge]], 1]
        u = edges.direction[edge]
        y1, y2, y3, y4, y5, y6, y7, y8 = harmonics(u)
        zero = upstream.dtype.type(0)
        slope, q1, q2, q3, q4, q5, q6, q7, q8 = zero, zero, zero, zero, zero, zero, zero, zero, zero
        for c in range(P):
            z = a[c] + b[c]
            f_A, f_S = z * _value(f, 1, c, P, t), z * _value(f, 2, c, P, t)
            G0, G1, G2, G3, G4, G5, G6, G7, G8 = load(G, c, P)
            q1 += f_A * G1
            q2 += f_A * G2
            q3 += f_A * G3
            q4 += f_S * G4
            q5 += f_S * G5
            q6 += f_S * G6
            q7 += f_S * G7
            q8 += f_S * G8
            slope += z * (
                table.dtype.type(math.sqrt(3)) * _slope(f, 0, c, P, t) * G0
                + _slope(f, 1, c, P, t) * (y1 * G1 + y2 * G2 + y3 * G3)
                + _slope(f, 2, c, P, t) * (y4 * G4 + y5 * G5 + y6 * G6 + y7 * G7 + y8 * G8)
            )
        x, y, z = u[0], u[1], u[2]
        two, six = table.dtype.type(SQRT2), table.dtype.type(2 / SQRT6)
        g_x = two * (q1 + y * q4 + z * q6 + x * q7) - six * x * q8
        g_y = two * (q2 + x * q4 + z * q5 - y * q7) - six * y * q8
        g_z = two * (q3 + y * q5 + x * q6) + (six + six) * z * q8
        along = x * g_x + y * g_y + z * g_z
        radial = slope / spacing + edges.slope[edge]
        for k, g in enumerate((g_x, g_y, g_z)):
            edges.gradient[edge, k] = (g - along * u[k]) * edges.inverse_distance[edge] + radial * u[k]


@kernel
def sum_forces(i, edges, out):
    """out = -∂E/∂r_i, in float64."""
    for k in range(3):
        total = 0.0
        for edge in range(edges.start[i], edges.start[i + 1]):
            total += np.float64(edges.gradient[edges.reverse[edge], k]) - np.float64(edges.gradient[edge, k])
        out[k] = total


@register_jitable
def harmonics(u):
    """Coefficients A and S of the direction u, as in `cgprot.model.tensornet.harmonics`."""
    x, y, z = u[0], u[1], u[2]
    one = u.dtype.type
    two, six = one(SQRT2), one(1 / SQRT6)
    return (
        *(two * x, two * y, two * z),
        *(two * x * y, two * y * z, two * x * z),
        *((x * x - y * y) * one(1 / SQRT2), (z * z + z * z - x * x - y * y) * six),
    )


@register_jitable
def _value(f, part, c, P, t):
    k = part * P + c
    return f[k] + t * (f[3 * P + k] + t * (f[6 * P + k] + t * f[9 * P + k]))


@register_jitable
def _slope(f, part, c, P, t):
    """The derivative by t, so that one division by the spacing serves all channels."""
    k = part * P + c
    two, three = f.dtype.type(2), f.dtype.type(3)
    return f[3 * P + k] + t * (two * f[6 * P + k] + three * t * f[9 * P + k])
