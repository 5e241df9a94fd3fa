"""The sums of `messages` as loops, for the CPU: no (E, 9, C) array is ever written to memory.

Every kernel fills the rows [first, last) of its last argument, each row by itself and its neighbours in a
fixed order, so that the result does not depend on the number of threads.

    harmonics (P, 9)   factor (P, 3, C)   species (N, 2, C)   features, upstream, out (N, 9, C)
    X, Y (N, 3, 3, C)
    start (N + 1,), sender, pair, forward (E,): the edges of bead i are start[i] ... start[i + 1]
    pairs (2, P)
"""

import numba
import numpy as np

PART = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2])  # the irreducible part that each coefficient belongs to
PARITY = np.array([1, -1, -1, -1, 1, 1, 1, 1, 1], dtype=np.float32)  # seen from the other end

# Sums over channels may be reordered, so that they run in vector registers; NaN and Inf keep their meaning.
kernel = numba.njit(nogil=True, cache=True, error_model="numpy", fastmath={"reassoc", "contract", "nsz"})


@kernel
def send_features(first, last, start, sender, pair, factor, features, out):
    """out_i = Σ_j f_ij X_j."""
    for i in range(first, last):
        out[i] = 0
        for edge in range(start[i], start[i + 1]):
            f, X = factor[pair[edge]], features[sender[edge]]
            for m in range(9):
                row, f_part, X_m = out[i, m], f[PART[m]], X[m]
                for c in range(row.size):
                    row[c] += f_part[c] * X_m[c]


@kernel
def compare_features(first, last, pairs, upstream, features, out):
    """out_p = G_i · X_j + G_j · X_i, summed over the coefficients of each part."""
    for p in range(first, last):
        out[p] = 0
        i, j = pairs[0, p], pairs[1, p]
        for m in range(9):
            row = out[p, PART[m]]
            G_i, G_j, X_i, X_j = upstream[i, m], upstream[j, m], features[i, m], features[j, m]
            for c in range(row.size):
                row[c] += G_i[c] * X_j[c] + G_j[c] * X_i[c]


@kernel
def embed_features(first, last, start, sender, pair, forward, harmonics, factor, species, out):
    """out_i = Σ_j Y_ij f_ij (a_i + b_j)."""
    weight = np.empty_like(factor[0])
    for i in range(first, last):
        out[i] = 0
        for edge in range(start[i], start[i + 1]):
            f, a, b = factor[pair[edge]], species[i, 0], species[sender[edge], 1]
            for part in range(3):
                for c in range(a.size):
                    weight[part, c] = f[part, c] * (a[c] + b[c])
            for m in range(9):
                y = harmonics[pair[edge], m]
                if not forward[edge]:
                    y *= PARITY[m]
                row, w = out[i, m], weight[PART[m]]
                for c in range(row.size):
                    row[c] += y * w[c]


@kernel
def embed_harmonics(first, last, pairs, upstream, factor, species, out):
    """out_p = Σ_c f_p (G_i (a_i + b_j) ± G_j (a_j + b_i))."""
    for p in range(first, last):
        i, j = pairs[0, p], pairs[1, p]
        a_i, b_i, a_j, b_j = species[i, 0], species[i, 1], species[j, 0], species[j, 1]
        for m in range(9):
            f, G_i, G_j = factor[p, PART[m]], upstream[i, m], upstream[j, m]
            total = out.dtype.type(0)
            for c in range(f.size):
                total += f[c] * (G_i[c] * (a_i[c] + b_j[c]) + PARITY[m] * G_j[c] * (a_j[c] + b_i[c]))
            out[p, m] = total


@kernel
def embed_factor(first, last, pairs, upstream, harmonics, species, out):
    """out_p = Σ_m Y_m (G_i (a_i + b_j) ± G_j (a_j + b_i)), part by part."""
    for p in range(first, last):
        out[p] = 0
        i, j = pairs[0, p], pairs[1, p]
        a_i, b_i, a_j, b_j = species[i, 0], species[i, 1], species[j, 0], species[j, 1]
        for m in range(9):
            row, G_i, G_j = out[p, PART[m]], upstream[i, m], upstream[j, m]
            y = harmonics[p, m]
            y_back = y * PARITY[m]
            for c in range(row.size):
                row[c] += y * G_i[c] * (a_i[c] + b_j[c]) + y_back * G_j[c] * (a_j[c] + b_i[c])


@kernel
def embed_species(first, last, start, sender, pair, forward, upstream, harmonics, factor, out):
    """out_i = (Σ_j Y_ij f_ij · G_i, Σ_j Y_ji f_ij · G_j)."""
    for i in range(first, last):
        out[i] = 0
        for edge in range(start[i], start[i + 1]):
            p, j = pair[edge], sender[edge]
            for m in range(9):
                y, f, G_i, G_j = harmonics[p, m], factor[p, PART[m]], upstream[i, m], upstream[j, m]
                y_back = y * PARITY[m]
                if not forward[edge]:
                    y, y_back = y_back, y
                for c in range(f.size):
                    out[i, 0, c] += y * f[c] * G_i[c]
                    out[i, 1, c] += y_back * f[c] * G_j[c]


@kernel
def multiply(first, last, transpose_X, transpose_Y, X, Y, out):
    """out_i = X_i Y_i, or with either factor transposed."""
    for i in range(first, last):
        out[i] = 0
        for row in range(3):
            for column in range(3):
                for k in range(3):
                    left = X[i, k, row] if transpose_X else X[i, row, k]
                    right = Y[i, column, k] if transpose_Y else Y[i, k, column]
                    target = out[i, row, column]
                    for c in range(target.size):
                        target[c] += left[c] * right[c]
