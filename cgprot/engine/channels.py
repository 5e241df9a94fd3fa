"""The algebra of one channel of one bead, for loops that the compiler turns into vectors.

A bead's features are one contiguous row: nine coefficients of P channels each, P a multiple of 16. P comes
in as a tuple of P/16 zeros, `lanes`: its length is known when a kernel is compiled, so loops over channels
become whole vectors without remainder. Coefficients and their basis are those of `cgprot.model.tensornet`.
"""

# An intrinsic is called without the context that its definition takes.
# mypy: disable-error-code="call-arg, var-annotated"

import math

import numba
import numpy as np
from numba.extending import overload, register_jitable

from cgprot.compiled import kernel
from cgprot.engine.arithmetic import dot, fma

SQRT2, SQRT3, SQRT6 = math.sqrt(2), math.sqrt(3), math.sqrt(6)
WIDTH = 16  # channels are padded to a multiple of this
EPSILON = 1e-5  # of torch.nn.LayerNorm
FIRST = (0, 1, 4, 9)  # the coefficients of I, A and S begin here


def sigmoid(x):
    """1 / (1 + exp(-x)), in vector registers where x is float32."""
    return 1 / (1 + math.exp(-x))


@overload(sigmoid, jit_options={"error_model": "numpy"})
def _sigmoid(x):
    if x == numba.float64:
        return lambda x: 1 / (1 + math.exp(-x))

    def single(x):
        # exp(-x) = 2^n 2^f with |f| <= 1/2, and 2^f by its Taylor series to 1e-8.
        y = min(max(x * np.float32(-1.4426950408889634), np.float32(-126)), np.float32(126))
        n = np.floor(y + np.float32(0.5))
        f = (y - n) * np.float32(0.6931471805599453)
        power = np.float32(1 / 5040)
        power = fma(power, f, np.float32(1 / 720))
        power = fma(power, f, np.float32(1 / 120))
        power = fma(power, f, np.float32(1 / 24))
        power = fma(power, f, np.float32(1 / 6))
        power = fma(power, f, np.float32(0.5))
        power = fma(power, f, np.float32(1))
        power = fma(power, f, np.float32(1))
        scale = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)
        return np.float32(1) / (np.float32(1) + power * scale)

    return single


@register_jitable
def matrix(row, c, P):
    """The 3 x 3 matrix, row by row, of one channel's nine coefficients."""
    one = row.dtype.type
    a, b = one(1 / SQRT3) * row[c], one(1 / SQRT6) * row[8 * P + c]
    s, d = one(1 / SQRT2), one(1 / SQRT2) * row[7 * P + c]
    return (
        *(a + d - b, s * (row[4 * P + c] - row[3 * P + c]), s * (row[6 * P + c] + row[2 * P + c])),
        *(s * (row[4 * P + c] + row[3 * P + c]), a - d - b, s * (row[5 * P + c] - row[P + c])),
        *(s * (row[6 * P + c] - row[2 * P + c]), s * (row[5 * P + c] + row[P + c]), a + b + b),
    )


@register_jitable
def coefficients(m, one):
    """The nine coefficients of a matrix."""
    s, six = one(1 / SQRT2), one(1 / SQRT6)
    return (
        one(1 / SQRT3) * (m[0] + m[4] + m[8]),
        *(s * (m[7] - m[5]), s * (m[2] - m[6]), s * (m[3] - m[1])),
        *(s * (m[1] + m[3]), s * (m[5] + m[7]), s * (m[2] + m[6])),
        *(s * (m[0] - m[4]), six * (m[8] + m[8] - m[0] - m[4])),
    )


@register_jitable
def times(a, b):
    """a b."""
    return (
        fma(a[0], b[0], fma(a[1], b[3], a[2] * b[6])),
        fma(a[0], b[1], fma(a[1], b[4], a[2] * b[7])),
        fma(a[0], b[2], fma(a[1], b[5], a[2] * b[8])),
        fma(a[3], b[0], fma(a[4], b[3], a[5] * b[6])),
        fma(a[3], b[1], fma(a[4], b[4], a[5] * b[7])),
        fma(a[3], b[2], fma(a[4], b[5], a[5] * b[8])),
        fma(a[6], b[0], fma(a[7], b[3], a[8] * b[6])),
        fma(a[6], b[1], fma(a[7], b[4], a[8] * b[7])),
        fma(a[6], b[2], fma(a[7], b[5], a[8] * b[8])),
    )


@register_jitable
def transposed(a):
    return a[0], a[3], a[6], a[1], a[4], a[7], a[2], a[5], a[8]


@register_jitable
def plus(a, b):
    return (
        *(a[0] + b[0], a[1] + b[1], a[2] + b[2]),
        *(a[3] + b[3], a[4] + b[4], a[5] + b[5]),
        *(a[6] + b[6], a[7] + b[7], a[8] + b[8]),
    )


@register_jitable
def load(row, c, P):
    return (
        *(row[c], row[P + c], row[2 * P + c]),
        *(row[3 * P + c], row[4 * P + c], row[5 * P + c]),
        *(row[6 * P + c], row[7 * P + c], row[8 * P + c]),
    )


@register_jitable
def store(row, c, P, x):
    row[c], row[P + c], row[2 * P + c] = x[0], x[1], x[2]
    row[3 * P + c], row[4 * P + c], row[5 * P + c] = x[3], x[4], x[5]
    row[6 * P + c], row[7 * P + c], row[8 * P + c] = x[6], x[7], x[8]


@register_jitable
def parts_dot(a, b):
    """a · b within I, A and S."""
    return (
        a[0] * b[0],
        fma(a[1], b[1], fma(a[2], b[2], a[3] * b[3])),
        fma(a[4], b[4], fma(a[5], b[5], fma(a[6], b[6], fma(a[7], b[7], a[8] * b[8])))),
    )


@register_jitable
def scaled(x, s):
    return s * x[0], s * x[1], s * x[2], s * x[3], s * x[4], s * x[5], s * x[6], s * x[7], s * x[8]


@register_jitable
def squared_norm(x):
    in_parts = parts_dot(x, x)
    return in_parts[0] + in_parts[1] + in_parts[2]


@kernel
def gate(X, factor, out, lanes):
    """out = factor X, one factor for each of I, A, S."""
    P = WIDTH * len(lanes)
    for part in range(3):
        for m in range(FIRST[part], FIRST[part + 1]):
            for c in range(P):
                out[m * P + c] = factor[part * P + c] * X[m * P + c]


@kernel
def shrink(X, out, lanes):
    """out = X / (‖X‖² + 1)."""
    P = WIDTH * len(lanes)
    one = X.dtype.type(1)
    for c in range(P):
        x = load(X, c, P)
        store(out, c, P, scaled(x, one / (squared_norm(x) + one)))


@kernel
def shrink_backward(X, upstream, out, lanes):
    """out = dE/dX for X / (‖X‖² + 1)."""
    P = WIDTH * len(lanes)
    one = X.dtype.type(1)
    for c in range(P):
        x, g = load(X, c, P), load(upstream, c, P)
        scale = one / (squared_norm(x) + one)
        in_parts = parts_dot(x, g)
        along = in_parts[0] + in_parts[1] + in_parts[2]
        store(out, c, P, plus(scaled(g, scale), scaled(x, -(along + along) * scale * scale)))


@kernel
def anticommute(Y, M, factor, out, mirror, lanes):
    """out = factor (Y M + M Y) where `mirror`, else 2 Y M."""
    P = WIDTH * len(lanes)
    one = Y.dtype.type
    if mirror:
        for c in range(P):
            y, m = matrix(Y, c, P), matrix(M, c, P)
            store(out, c, P, scaled(coefficients(plus(times(y, m), times(m, y)), one), factor))
    else:
        for c in range(P):
            ym = times(matrix(Y, c, P), matrix(M, c, P))
            store(out, c, P, coefficients(plus(ym, ym), one))


@kernel
def anticommute_backward(Y, M, factor, upstream, out_Y, out_M, mirror, lanes):
    """dE/dY and dE/dM of `anticommute`."""
    P = WIDTH * len(lanes)
    one = Y.dtype.type
    if mirror:
        for c in range(P):
            y, g = transposed(matrix(Y, c, P)), matrix(upstream, c, P)
            store(out_M, c, P, scaled(coefficients(plus(times(y, g), times(g, y)), one), factor))
        for c in range(P):
            m, g = transposed(matrix(M, c, P)), matrix(upstream, c, P)
            store(out_Y, c, P, scaled(coefficients(plus(times(m, g), times(g, m)), one), factor))
    else:
        for c in range(P):
            yg = times(transposed(matrix(Y, c, P)), matrix(upstream, c, P))
            store(out_M, c, P, coefficients(plus(yg, yg), one))
        for c in range(P):
            gm = times(matrix(upstream, c, P), transposed(matrix(M, c, P)))
            store(out_Y, c, P, coefficients(plus(gm, gm), one))


@kernel
def add_square(X, dX, factor, out, lanes):
    """out = X + dX + factor dX²."""
    P = WIDTH * len(lanes)
    one = X.dtype.type
    for c in range(P):
        d = matrix(dX, c, P)
        square = scaled(coefficients(times(d, d), one), factor)
        store(out, c, P, plus(plus(load(X, c, P), load(dX, c, P)), square))


@kernel
def add_square_backward(dX, factor, upstream, out, lanes):
    """dE/d(dX) of `add_square`."""
    P = WIDTH * len(lanes)
    one = dX.dtype.type
    for c in range(P):
        d, g = transposed(matrix(dX, c, P)), matrix(upstream, c, P)
        square = scaled(coefficients(plus(times(d, g), times(g, d)), one), factor)
        store(out, c, P, plus(load(upstream, c, P), square))


@kernel
def normalise(x, n_real, ones, out):
    """out = (x - mean) / sqrt(variance + ε) over the n_real channels that are no padding; returns 1 / sqrt.

    Padding must hold zeros: it adds nothing to a sum, but what it adds to the variance is taken out again.
    """
    n = x.dtype.type(n_real)
    mean = dot(x, ones[: x.size]) / n
    for c in range(x.size):
        out[c] = x[c] - mean
    variance = dot(out, out) - (x.dtype.type(x.size) - n) * mean * mean
    inverse = x.dtype.type(1 / math.sqrt(variance / n + EPSILON))
    for c in range(x.size):
        out[c] *= inverse
    return inverse


@kernel
def normalise_backward(standard, inverse, upstream, n_real, ones):
    """upstream <- dE/dx of `normalise`, whose results were `standard` and `inverse`; 0 in the padding."""
    n = standard.dtype.type(n_real)
    total = dot(upstream, ones[: standard.size]) / n
    along = dot(upstream, standard) / n
    for c in range(standard.size):
        upstream[c] = inverse * (upstream[c] - fma(standard[c], along, total))


@kernel
def activate(x, bias, slope):
    """x <- SiLU(x + bias), slope <- its derivative."""
    one = x.dtype.type(1)
    for c in range(x.size):
        y = x[c] + bias[c]
        s = sigmoid(y)
        x[c] = y * s
        slope[c] = s * fma(y, one - s, one)
