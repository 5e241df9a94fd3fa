"""The sums over the neighbours of one bead: the edges themselves, messages, and their derivatives.

Every function but the first fills what belongs to one receiving bead, its neighbours in ascending order of
their numbers. No array over edges and channels is ever written to memory.

A table row holds the cubic of one interval of r, c0 + c1 t + c2 t² + c3 t³ with 0 <= t < 1, for each of
I, A, S: (4, 3, P), flattened. Rows of features: `cgprot.engine.channels`.
"""

# An intrinsic is called without the context that its definition takes.
# mypy: disable-error-code="call-arg, var-annotated"

import math
from typing import NamedTuple

import numpy as np
from numba.extending import register_jitable

from cgprot.engine.arithmetic import dot, fma
from cgprot.engine.channels import SQRT2, SQRT3, SQRT6, WIDTH, kernel, load, parts_dot

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


@kernel
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
        y0, y1, y2, y3, y4, y5, y6, y7, y8 = harmonics(edges.direction[edge])
        for c in range(P):
            z = a[c] + b[c]
            f_A, f_S = z * _value(f, 1, c, P, t), z * _value(f, 2, c, P, t)
            out[c] = fma(y0, z * _value(f, 0, c, P, t), out[c])
            out[P + c] = fma(y1, f_A, out[P + c])
            out[2 * P + c] = fma(y2, f_A, out[2 * P + c])
            out[3 * P + c] = fma(y3, f_A, out[3 * P + c])
            out[4 * P + c] = fma(y4, f_S, out[4 * P + c])
            out[5 * P + c] = fma(y5, f_S, out[5 * P + c])
            out[6 * P + c] = fma(y6, f_S, out[6 * P + c])
            out[7 * P + c] = fma(y7, f_S, out[7 * P + c])
            out[8 * P + c] = fma(y8, f_S, out[8 * P + c])


@kernel
def sum_messages(i, edges, table, features, out, lanes):
    """out += Σ_j f(r_ij) X_j."""
    P = WIDTH * len(lanes)
    for edge in range(edges.start[i], edges.start[i + 1]):
        t, f = edges.fraction[edge], table[edges.interval[edge]]
        X = features[edges.sender[edge]]
        for c in range(P):
            f_I, f_A, f_S = _value(f, 0, c, P, t), _value(f, 1, c, P, t), _value(f, 2, c, P, t)
            out[c] = fma(f_I, X[c], out[c])
            out[P + c] = fma(f_A, X[P + c], out[P + c])
            out[2 * P + c] = fma(f_A, X[2 * P + c], out[2 * P + c])
            out[3 * P + c] = fma(f_A, X[3 * P + c], out[3 * P + c])
            out[4 * P + c] = fma(f_S, X[4 * P + c], out[4 * P + c])
            out[5 * P + c] = fma(f_S, X[5 * P + c], out[5 * P + c])
            out[6 * P + c] = fma(f_S, X[6 * P + c], out[6 * P + c])
            out[7 * P + c] = fma(f_S, X[7 * P + c], out[7 * P + c])
            out[8 * P + c] = fma(f_S, X[8 * P + c], out[8 * P + c])


@kernel
def compare_messages(i, edges, table, spacing, upstream, features, buffer, lanes):
    """slope_ij += Σ f'(r_ij) (G_i · X_j), over channels and parts; buffer (5 P,), ones at the end."""
    P = WIDTH * len(lanes)
    G, by_channel, ones = upstream[i], buffer[:P], buffer[4 * P :]
    for edge in range(edges.start[i], edges.start[i + 1]):
        t, f = edges.fraction[edge], table[edges.interval[edge]]
        X = features[edges.sender[edge]]
        for c in range(P):
            I, A, S = parts_dot(load(G, c, P), load(X, c, P))
            total = fma(_slope(f, 1, c, P, t), A, _slope(f, 0, c, P, t) * I)
            by_channel[c] = fma(_slope(f, 2, c, P, t), S, total)
        edges.slope[edge] += dot(by_channel, ones) / spacing


@kernel
def differentiate_embedding(i, edges, table, spacing, species, bead_type, upstream, buffer, lanes):
    """gradient_ij = ∂(G · Y(r̂_ij) f(r_ij) (a_i + b_j))/∂r + slope_ij r̂_ij; buffer (5 P,), ones at the end."""
    P = WIDTH * len(lanes)
    a, G, ones = species[bead_type[i], 0], upstream, buffer[4 * P :]
    one = upstream.dtype.type
    two, third = one(SQRT2), one(1 / SQRT3)
    for edge in range(edges.start[i], edges.start[i + 1]):
        t, f = edges.fraction[edge], table[edges.interval[edge]]
        b = species[bead_type[edges.sender[edge]], 1]
        u = edges.direction[edge]
        x, y, z = u[0], u[1], u[2]
        harmonic = harmonics(u)
        for c in range(P):
            pair = a[c] + b[c]
            f_A, f_S = two * pair * _value(f, 1, c, P, t), two * pair * _value(f, 2, c, P, t)
            G_c = load(G, c, P)
            trace = third * G_c[8]
            buffer[c] = fma(f_A, G_c[1], f_S * fma(y, G_c[4], fma(z, G_c[6], x * (G_c[7] - trace))))
            buffer[P + c] = fma(f_A, G_c[2], f_S * fma(x, G_c[4], fma(z, G_c[5], -y * (G_c[7] + trace))))
            buffer[2 * P + c] = fma(f_A, G_c[3], f_S * fma(y, G_c[5], fma(x, G_c[6], z * (trace + trace))))
            I, A, S = parts_dot(harmonic, G_c)
            slope = fma(_slope(f, 1, c, P, t), A, _slope(f, 0, c, P, t) * I)
            buffer[3 * P + c] = pair * fma(_slope(f, 2, c, P, t), S, slope)
        g_x, g_y = dot(buffer[:P], ones), dot(buffer[P : 2 * P], ones)
        g_z, by_r = dot(buffer[2 * P : 3 * P], ones), dot(buffer[3 * P : 4 * P], ones)
        along = fma(x, g_x, fma(y, g_y, z * g_z))
        radial = one(by_r / spacing) + edges.slope[edge]
        for k, g in enumerate((g_x, g_y, g_z)):
            edges.gradient[edge, k] = fma(fma(-along, u[k], g), edges.inverse_distance[edge], radial * u[k])


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
    """The nine coefficients of the direction u, as in `cgprot.model.tensornet.harmonics`."""
    x, y, z = u[0], u[1], u[2]
    one = u.dtype.type
    two, six = one(SQRT2), one(1 / SQRT6)
    return (
        one(SQRT3),
        *(two * x, two * y, two * z),
        *(two * x * y, two * y * z, two * x * z),
        *((x * x - y * y) * one(1 / SQRT2), (z * z + z * z - x * x - y * y) * six),
    )


@register_jitable
def _value(f, part, c, P, t):
    k = part * P + c
    return fma(t, fma(t, fma(t, f[9 * P + k], f[6 * P + k]), f[3 * P + k]), f[k])


@register_jitable
def _slope(f, part, c, P, t):
    """The derivative by t, so that one division by the spacing serves all channels."""
    k = part * P + c
    two, three = f.dtype.type(2), f.dtype.type(3)
    return fma(t, fma(three * t, f[9 * P + k], two * f[6 * P + k]), f[3 * P + k])
