"""The sums over the neighbours of one bead: embedding, messages, and their derivatives.

Every kernel fills what belongs to one receiving bead, its neighbours in ascending order of their numbers. No
array over edges and channels is ever written to memory, and sums over neighbours stay in registers.

A table row holds the cubic of one interval of r, c0 + c1 t + c2 t² + c3 t³ with 0 <= t < 1, for each of
I, A, S: (4, 3, P), flattened. Rows of features: `cgprot.engine.channels`.
"""

# An intrinsic is called without the context that its definition takes.
# mypy: disable-error-code="call-arg, var-annotated"

import numpy as np
from numba.extending import register_jitable

from cgprot.compiled import kernel
from cgprot.engine.channels import parts_dot
from cgprot.engine.grid import rate_of
from cgprot.model.algebra_kernels import SQRT2, SQRT3, SQRT6
from cgprot.model.kernels import add_parts, load_rows, store_rows, zero_rows
from cgprot.model.lanes import LANES, constant, everywhere, fma, load, total


@kernel
def sum_embedding(i, edges, table, species, bead_type, out, lanes):
    """out = Σ_j Y(r̂_ij) f(r_ij) (a_i + b_j)."""
    P = LANES * len(lanes)
    for c in range(0, n_channels(table), 2 * LANES):
        d = second_block(c, P)
        low = high = zero_rows(out)
        for edge in range(edges.start[i], edges.start[i + 1]):
            t, row = everywhere(edges.fraction, edge), 12 * P * edges.interval[edge]
            types = bead_type[i], bead_type[edges.sender[edge]]
            Y = everywhere_of(out, harmonics(edges.direction[edge]))
            low = add_parts(between(pair_of(species, types, c, P), value(table, row + c, P, t)), Y, low)
            high = add_parts(between(pair_of(species, types, d, P), value(table, row + d, P, t)), Y, high)
        store_rows(out, c, P, low)
        store_rows(out, d, P, high)


@kernel
def sum_messages(i, edges, table, features, out, lanes):
    """out += Σ_j f(r_ij) X_j."""
    P = LANES * len(lanes)
    for c in range(0, n_channels(table), 2 * LANES):
        d = second_block(c, P)
        low, high = load_rows(out, c, P), load_rows(out, d, P)
        for edge in range(edges.start[i], edges.start[i + 1]):
            t, row = everywhere(edges.fraction, edge), 12 * P * edges.interval[edge]
            sender = 9 * P * edges.sender[edge]
            low = add_parts(value(table, row + c, P, t), load_rows(features, sender + c, P), low)
            high = add_parts(value(table, row + d, P, t), load_rows(features, sender + d, P), high)
        store_rows(out, c, P, low)
        store_rows(out, d, P, high)


@kernel
def compare_messages(i, edges, table, upstream, features, lanes):
    """slope_ij += Σ df/dx (G_i · X_j), over channels and parts."""
    P = LANES * len(lanes)
    for edge in range(edges.start[i], edges.start[i + 1]):
        t, row = everywhere(edges.fraction, edge), 12 * P * edges.interval[edge]
        sender, by_x = 9 * P * edges.sender[edge], constant(table, 0.0)
        for c in range(0, n_channels(table), LANES):
            G, X = load_rows(upstream, 9 * P * i + c, P), load_rows(features, sender + c, P)
            by_x += sum_parts(slopes(table, row + c, P, t), parts_dot(G, X))
        edges.slope[edge] += total(by_x)


@kernel
def differentiate_embedding(i, edges, table, horizon, species, bead_type, upstream, lanes):
    """gradient_ij = ∂(G · Y(r̂_ij) f(r_ij) (a_i + b_j))/∂r + slope_ij dx/dr r̂_ij."""
    one = upstream.dtype.type
    for edge in range(edges.start[i], edges.start[i + 1]):
        types = bead_type[i], bead_type[edges.sender[edge]]
        u, inverse = edges.direction[edge], edges.inverse_distance[edge]
        g_x, g_y, g_z, by_x = _differentiate_edge(edge, types, edges, table, species, upstream, lanes)
        along = fma(u[0], g_x, fma(u[1], g_y, u[2] * g_z))
        radial = one(rate_of(inverse, horizon)) * (by_x + edges.slope[edge])
        for k, g in enumerate((g_x, g_y, g_z)):
            edges.gradient[edge, k] = fma(fma(-along, u[k], g), inverse, radial * u[k])


@register_jitable
def _differentiate_edge(edge, types, edges, table, species, upstream, lanes):
    """The derivative of one edge's embedding by its direction, as if that were free, and by x."""
    P, u, sums = LANES * len(lanes), edges.direction[edge], zero_rows(table)
    t, row = everywhere(edges.fraction, edge), 12 * P * edges.interval[edge]
    Y, by_x = everywhere_of(table, harmonics(u)), constant(table, 0.0)
    for c in range(0, n_channels(table), LANES):
        pair, G = pair_of(species, types, c, P), load_rows(upstream, c, P)
        sums = add_parts(between(pair, value(table, row + c, P, t)), G, sums)
        by_x = fma(pair, sum_parts(slopes(table, row + c, P, t), parts_dot(Y, G)), by_x)
    g_x, g_y, g_z = _by_direction(table, u, sums)
    return total(g_x), total(g_y), total(g_z), total(by_x)


@register_jitable
def _by_direction(like, u, G):
    """The derivative of Y(u) · G by u."""
    x, y, z = constant(like, u[0]), constant(like, u[1]), constant(like, u[2])
    two, trace = constant(like, SQRT2), constant(like, 1 / SQRT3) * G[8]
    return (
        two * (G[1] + fma(y, G[4], fma(z, G[6], x * (G[7] - trace)))),
        two * (G[2] + fma(x, G[4], fma(z, G[5], constant(like, -u[1]) * (G[7] + trace)))),
        two * (G[3] + fma(y, G[5], fma(x, G[6], z * (trace + trace)))),
    )


@kernel
def sum_forces(i, edges, out):
    """out = -∂E/∂r_i, in float64."""
    for k in range(3):
        force = 0.0
        for edge in range(edges.start[i], edges.start[i + 1]):
            force += np.float64(edges.gradient[edges.reverse[edge], k]) - np.float64(edges.gradient[edge, k])
        out[k] = force


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
def n_channels(table):
    """P, but not known when a kernel is compiled: unrolled loops are too long for a processor's decoder."""
    return table.shape[1] // 12


@register_jitable
def second_block(c, P):
    """The sixteen channels worked on beside those from c on: loads then come in pairs of cache lines.

    Where their number is odd the last block is its own second: the same sums twice, the same bits.
    """
    return min(c + LANES, P - LANES)


@register_jitable
def pair_of(species, types, c, P):
    """Z_ij = a_i + b_j of two bead types, channels c to c + 16."""
    return load(species, 2 * P * types[0] + c) + load(species, 2 * P * types[1] + P + c)


@register_jitable
def between(z, f):
    """The factor of a pair for each of I, A, S: f(r) by its types, Z f."""
    return z * f[0], z * f[1], z * f[2]


@register_jitable
def everywhere_of(like, numbers):
    """Nine numbers, each sixteen times, in the precision of the array `like`."""
    return (
        *(constant(like, numbers[0]), constant(like, numbers[1]), constant(like, numbers[2])),
        *(constant(like, numbers[3]), constant(like, numbers[4]), constant(like, numbers[5])),
        *(constant(like, numbers[6]), constant(like, numbers[7]), constant(like, numbers[8])),
    )


@register_jitable
def value(table, place, P, t):
    """f for I, A and S; `place`: of channel c in the row of the interval."""
    return _cubic(table, place, P, t), _cubic(table, place + P, P, t), _cubic(table, place + 2 * P, P, t)


@register_jitable
def slopes(table, place, P, t):
    """df/dx for I, A and S, x growing by one over an interval; a factor dx/dr serves all channels."""
    place += 3 * P
    return _square(table, place, P, t), _square(table, place + P, P, t), _square(table, place + 2 * P, P, t)


@register_jitable
def _cubic(table, k, P, t):
    high = fma(t, load(table, k + 9 * P), load(table, k + 6 * P))
    return fma(t, fma(t, high, load(table, k + 3 * P)), load(table, k))


@register_jitable
def _square(table, k, P, t):
    """The derivative by t of a cubic without its constant, which begins at k."""
    two, three = constant(table, 2.0), constant(table, 3.0)
    return fma(t, fma(three * t, load(table, k + 6 * P), two * load(table, k + 3 * P)), load(table, k))


@register_jitable
def sum_parts(f, x):
    """Σ f x over I, A and S."""
    return fma(f[2], x[2], fma(f[1], x[1], f[0] * x[0]))
