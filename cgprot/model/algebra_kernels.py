"""What beads do by themselves, as loops for the CPU: one pass over each array, no copies, no temporaries.

Every kernel fills the rows [first, last) of its last argument, each by itself.

    X, Y, out (N, 9, C), coefficients in the basis of `algebra.matrix_basis`; scale (N, 3, C), one number
    for each of I, A, S; C a multiple of 16
"""

# An intrinsic is called without the context that its definition takes.
# mypy: disable-error-code="call-arg, var-annotated"

import math

from cgprot.compiled import kernel
from cgprot.model.kernels import store_rows
from cgprot.model.lanes import LANES, constant, fma, load, store

SQRT2, SQRT3, SQRT6 = math.sqrt(2), math.sqrt(3), math.sqrt(6)


@kernel
def load_matrix(X, place, C, transposed):
    """The nine entries, row by row; sixteen channels of C."""
    half, sixth = constant(X, 1 / SQRT2), constant(X, 1 / SQRT6)
    trace, last = constant(X, 1 / SQRT3) * load(X, place), sixth * load(X, place + 8 * C)
    turn = constant(X, -1 / SQRT2 if transposed else 1 / SQRT2)
    x, y, z = turn * load(X, place + C), turn * load(X, place + 2 * C), turn * load(X, place + 3 * C)
    xy, yz = half * load(X, place + 4 * C), half * load(X, place + 5 * C)
    xz, first = half * load(X, place + 6 * C), half * load(X, place + 7 * C)
    low = trace - last
    return low + first, xy - z, xz + y, xy + z, low - first, yz - x, xz - y, yz + x, trace + last + last


@kernel
def coefficients(like, m):
    """The coefficients of a matrix given by its nine entries, in the precision of the array `like`."""
    half, sixth = constant(like, 1 / SQRT2), constant(like, 1 / SQRT6)
    sides = m[0] + m[4]
    return (
        constant(like, 1 / SQRT3) * (sides + m[8]),
        *(half * (m[7] - m[5]), half * (m[2] - m[6]), half * (m[3] - m[1])),
        *(half * (m[1] + m[3]), half * (m[5] + m[7]), half * (m[2] + m[6])),
        *(half * (m[0] - m[4]), sixth * (m[8] + m[8] - sides)),
    )


@kernel
def times(x, y):
    """The product of two matrices, each nine values."""
    return (
        fma(x[0], y[0], fma(x[1], y[3], x[2] * y[6])),
        fma(x[0], y[1], fma(x[1], y[4], x[2] * y[7])),
        fma(x[0], y[2], fma(x[1], y[5], x[2] * y[8])),
        fma(x[3], y[0], fma(x[4], y[3], x[5] * y[6])),
        fma(x[3], y[1], fma(x[4], y[4], x[5] * y[7])),
        fma(x[3], y[2], fma(x[4], y[5], x[5] * y[8])),
        fma(x[6], y[0], fma(x[7], y[3], x[8] * y[6])),
        fma(x[6], y[1], fma(x[7], y[4], x[8] * y[7])),
        fma(x[6], y[2], fma(x[7], y[5], x[8] * y[8])),
    )


@kernel
def plus(x, y):
    """The sum of two tuples of nine."""
    return (
        *(x[0] + y[0], x[1] + y[1], x[2] + y[2]),
        *(x[3] + y[3], x[4] + y[4], x[5] + y[5]),
        *(x[6] + y[6], x[7] + y[7], x[8] + y[8]),
    )


@kernel
def multiply(first, last, transpose_X, transpose_Y, X, Y, out):
    """out_i = X_i Y_i, or with either factor transposed."""
    C = out.shape[2]
    for i in range(first, last):
        for place in range(9 * C * i, 9 * C * i + C, LANES):
            x, y = load_matrix(X, place, C, transpose_X), load_matrix(Y, place, C, transpose_Y)
            store_rows(out, place, C, coefficients(out, times(x, y)))


@kernel
def anticommute(first, last, transpose_Y, X, Y, out):
    """out_i = X_i Y_i + Y_i X_i, or with Y transposed."""
    C = out.shape[2]
    for i in range(first, last):
        for place in range(9 * C * i, 9 * C * i + C, LANES):
            x, y = load_matrix(X, place, C, False), load_matrix(Y, place, C, transpose_Y)
            store_rows(out, place, C, coefficients(out, plus(times(x, y), times(y, x))))


@kernel
def scale_parts(first, last, scale, X, out):
    """out = s_I I + s_A A + s_S S."""
    C = out.shape[2]
    for i in range(first, last):
        for c in range(0, C, LANES):
            x, s = 9 * C * i + c, 3 * C * i + c
            store(out, x, load(scale, s) * load(X, x))
            factor = load(scale, s + C)
            for place in range(x + C, x + 4 * C, C):
                store(out, place, factor * load(X, place))
            factor = load(scale, s + 2 * C)
            for place in range(x + 4 * C, x + 9 * C, C):
                store(out, place, factor * load(X, place))


@kernel
def dot_parts(first, last, X, Y, out):
    """out = (I_X · I_Y, A_X · A_Y, S_X · S_Y)."""
    C = out.shape[2]
    for i in range(first, last):
        for c in range(0, C, LANES):
            x, s = 9 * C * i + c, 3 * C * i + c
            store(out, s, load(X, x) * load(Y, x))
            total = constant(out, 0.0)
            for place in range(x + C, x + 4 * C, C):
                total = fma(load(X, place), load(Y, place), total)
            store(out, s + C, total)
            total = constant(out, 0.0)
            for place in range(x + 4 * C, x + 9 * C, C):
                total = fma(load(X, place), load(Y, place), total)
            store(out, s + 2 * C, total)
