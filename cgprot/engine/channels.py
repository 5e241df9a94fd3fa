"""The algebra of one bead, sixteen channels at a time.

A bead's features are one contiguous row: nine coefficients of P channels each, P a multiple of 16. They and
their basis are those of `cgprot.model.tensornet`.
"""

# An intrinsic is called without the context that its definition takes.
# mypy: disable-error-code="call-arg, var-annotated"

import math

import numpy as np
from numba import types
from numba.extending import overload, register_jitable

from cgprot.compiled import kernel
from cgprot.model.algebra_kernels import coefficients, load_matrix, plus, times
from cgprot.model.kernels import load_rows, store_rows
from cgprot.model.lanes import LANES, constant, dot, fma, load, store

EPSILON = 1e-5  # of torch.nn.LayerNorm
FIRST = (0, 1, 4, 9)  # the coefficients of I, A and S begin here


def sigmoid(x):
    """1 / (1 + exp(-x)), in vector registers where x is float32."""
    return 1 / (1 + math.exp(-x))


@overload(sigmoid, jit_options={"error_model": "numpy"})
def _sigmoid(x):
    if x == types.float64:
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
def parts_dot(a, b):
    """a · b within I, A and S."""
    return (
        a[0] * b[0],
        fma(a[1], b[1], fma(a[2], b[2], a[3] * b[3])),
        fma(a[4], b[4], fma(a[5], b[5], fma(a[6], b[6], fma(a[7], b[7], a[8] * b[8])))),
    )


@register_jitable
def store_parts(row, c, P, parts):
    """One number for each of I, A and S, channels c to c + 16."""
    store(row, c, parts[0])
    store(row, c + P, parts[1])
    store(row, c + 2 * P, parts[2])


@register_jitable
def dot_of(a, b):
    """a · b."""
    I, A, S = parts_dot(a, b)
    return I + A + S


@register_jitable
def by_part(I, A, S, x):
    """x with its three parts scaled."""
    return I * x[0], A * x[1], A * x[2], A * x[3], S * x[4], S * x[5], S * x[6], S * x[7], S * x[8]


@register_jitable
def scaled(s, x):
    return by_part(s, s, s, x)


@kernel
def gate(X, factor, out):
    """out = factor X, one factor for each of I, A, S."""
    P = X.size // 9
    for c in range(0, P, LANES):
        I, A, S = load(factor, c), load(factor, c + P), load(factor, c + 2 * P)
        store_rows(out, c, P, by_part(I, A, S, load_rows(X, c, P)))


@kernel
def shrink(X, out):
    """out = X / (‖X‖² + 1)."""
    P, one = X.size // 9, constant(X, 1.0)
    for c in range(0, P, LANES):
        x = load_rows(X, c, P)
        store_rows(out, c, P, scaled(one / (dot_of(x, x) + one), x))


@kernel
def shrink_backward(X, upstream, out):
    """out = dE/dX for X / (‖X‖² + 1)."""
    P, one, minus_two = X.size // 9, constant(X, 1.0), constant(X, -2.0)
    for c in range(0, P, LANES):
        x, g = load_rows(X, c, P), load_rows(upstream, c, P)
        scale = one / (dot_of(x, x) + one)
        along = minus_two * dot_of(x, g) * scale * scale
        store_rows(out, c, P, plus(scaled(scale, g), scaled(along, x)))


@kernel
def anticommute(Y, M, factor, out, mirror):
    """out = factor (Y M + M Y) where `mirror`, else 2 Y M."""
    P = Y.size // 9
    scale = constant(Y, factor if mirror else 2.0)
    for c in range(0, P, LANES):
        y, m = load_matrix(Y, c, P, False), load_matrix(M, c, P, False)
        product = plus(times(y, m), times(m, y)) if mirror else times(y, m)
        store_rows(out, c, P, scaled(scale, coefficients(Y, product)))


@kernel
def anticommute_backward(Y, M, factor, upstream, out_Y, out_M, mirror):
    """dE/dY and dE/dM of `anticommute`."""
    P = Y.size // 9
    scale = constant(Y, factor if mirror else 2.0)
    for c in range(0, P, LANES):
        y, m, g = load_matrix(Y, c, P, True), load_matrix(M, c, P, True), load_matrix(upstream, c, P, False)
        to_m = plus(times(y, g), times(g, y)) if mirror else times(y, g)
        to_y = plus(times(m, g), times(g, m)) if mirror else times(g, m)
        store_rows(out_M, c, P, scaled(scale, coefficients(Y, to_m)))
        store_rows(out_Y, c, P, scaled(scale, coefficients(Y, to_y)))


@kernel
def add_square(X, dX, factor, out):
    """out = X + dX + factor dX²."""
    P, scale = X.size // 9, constant(X, factor)
    for c in range(0, P, LANES):
        d = load_matrix(dX, c, P, False)
        square = scaled(scale, coefficients(X, times(d, d)))
        store_rows(out, c, P, plus(plus(load_rows(X, c, P), load_rows(dX, c, P)), square))


@kernel
def add_square_backward(dX, factor, upstream, out):
    """dE/d(dX) of `add_square`."""
    P, scale = dX.size // 9, constant(dX, factor)
    for c in range(0, P, LANES):
        d, g = load_matrix(dX, c, P, True), load_matrix(upstream, c, P, False)
        square = scaled(scale, coefficients(dX, plus(times(d, g), times(g, d))))
        store_rows(out, c, P, plus(load_rows(upstream, c, P), square))


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
