"""The sums of `messages` as loops, for the CPU: no array over pairs or edges and channels is ever in memory.

Every kernel fills the rows [first, last) of its last argument, or for `*_table` the blocks [first, last) of
sixteen channels, each by itself and in a fixed order, so that the result does not depend on the number of
threads. Where a sum over channels is wanted the channels of a pair are run through at once; elsewhere all
beads are run through for sixteen channels at a time, so that what they need of a table stays in the cache.

    harmonics (P, 9)   species (N, 2, C)   features, upstream, out (N, 9, C)   C a multiple of 16
    f_p = Σ_k weight[p, k] table[row[p], k], the factor of a pair; weight (P, n), table (K, n, 3, C), row (P,)
    start (N + 1,), sender, pair, forward (E,): the edges of bead i are start[i] ... start[i + 1]
    pairs (2, P)
"""

# An intrinsic is called without the context that its definition takes.
# mypy: disable-error-code="call-arg, var-annotated"

import numpy as np

from cgprot.compiled import kernel
from cgprot.model.lanes import LANES, constant, everywhere, fma, load, store, total

PART = np.array([0, 1, 1, 1, 2, 2, 2, 2, 2])  # the irreducible part that each coefficient belongs to
PARITY = np.array([1, -1, -1, -1, 1, 1, 1, 1, 1], dtype=np.float32)  # seen from the other end


@kernel
def factor(weight, table, p, row, c):
    """The factor of pair p for I, A and S, channels c to c + 16."""
    n, C = table.shape[1], table.shape[3]
    place, term = 3 * n * C * row + c, n * p
    w = everywhere(weight, term)
    I, A, S = w * load(table, place), w * load(table, place + C), w * load(table, place + 2 * C)
    for k in range(1, n):
        w, place = everywhere(weight, term + k), place + 3 * C
        I = fma(w, load(table, place), I)
        A = fma(w, load(table, place + C), A)
        S = fma(w, load(table, place + 2 * C), S)
    return I, A, S


@kernel
def send_features(first, last, start, sender, pair, row, weight, table, features, out):
    """out_i = Σ_j f_ij X_j."""
    C = out.shape[2]
    for c in range(0, C, LANES):
        for i in range(first, last):
            sums = zero_rows(out)
            for edge in range(start[i], start[i + 1]):
                p, x = pair[edge], load_rows(features, 9 * C * sender[edge] + c, C)
                sums = add_parts(factor(weight, table, p, row[p], c), x, sums)
            store_rows(out, 9 * C * i + c, C, sums)


@kernel
def add_parts(f, x, sums):
    """sums + f x, one factor for each of I, A, S."""
    I, A, S = f
    return (
        *(fma(I, x[0], sums[0]), fma(A, x[1], sums[1]), fma(A, x[2], sums[2])),
        *(fma(A, x[3], sums[3]), fma(S, x[4], sums[4]), fma(S, x[5], sums[5])),
        *(fma(S, x[6], sums[6]), fma(S, x[7], sums[7]), fma(S, x[8], sums[8])),
    )


@kernel
def zero_rows(like):
    """Nine zeros, each sixteen times, in the precision of the array `like`."""
    zero = constant(like, 0.0)
    return zero, zero, zero, zero, zero, zero, zero, zero, zero


@kernel
def load_rows(X, place, C):
    """The nine coefficients of a bead; sixteen channels of C."""
    return (
        *(load(X, place), load(X, place + C), load(X, place + 2 * C)),
        *(load(X, place + 3 * C), load(X, place + 4 * C), load(X, place + 5 * C)),
        *(load(X, place + 6 * C), load(X, place + 7 * C), load(X, place + 8 * C)),
    )


@kernel
def store_rows(out, place, C, x):
    """The nine coefficients of a bead become x; sixteen channels of C."""
    store(out, place, x[0])
    store(out, place + C, x[1])
    store(out, place + 2 * C, x[2])
    store(out, place + 3 * C, x[3])
    store(out, place + 4 * C, x[4])
    store(out, place + 5 * C, x[5])
    store(out, place + 6 * C, x[6])
    store(out, place + 7 * C, x[7])
    store(out, place + 8 * C, x[8])


@kernel
def compare(upstream, features, i, j, c):
    """G_i · X_j + G_j · X_i, summed over the coefficients of each part; channels c to c + 16."""
    C = features.shape[2]
    i, j = 9 * C * i + c, 9 * C * j + c
    I = load(upstream, i) * load(features, j)
    I = fma(load(upstream, j), load(features, i), I)
    A = S = constant(features, 0.0)
    for m in range(C, 4 * C, C):
        A = fma(load(upstream, i + m), load(features, j + m), A)
        A = fma(load(upstream, j + m), load(features, i + m), A)
    for m in range(4 * C, 9 * C, C):
        S = fma(load(upstream, i + m), load(features, j + m), S)
        S = fma(load(upstream, j + m), load(features, i + m), S)
    return I, A, S


@kernel
def contract(table, row, k, I, A, S, c):
    """One row of the table times a pair's part-wise sums; channels c to c + 16."""
    n, C = table.shape[1], table.shape[3]
    place = 3 * C * (n * row + k) + c
    return fma(load(table, place + 2 * C), S, fma(load(table, place + C), A, load(table, place) * I))


@kernel
def add_terms(weight, p, row, I, A, S, c, out):
    """out[row, k] += weight[p, k] (I, A, S); channels c to c + 16."""
    n, C = out.shape[1], out.shape[3]
    for k in range(n):
        w, place = everywhere(weight, n * p + k), 3 * C * (n * row + k) + c
        store(out, place, fma(w, I, load(out, place)))
        store(out, place + C, fma(w, A, load(out, place + C)))
        store(out, place + 2 * C, fma(w, S, load(out, place + 2 * C)))


@kernel
def clear_block(out, c):
    """out = 0 for the channels c to c + 16 of a table."""
    for place in range(c, out.size, out.shape[3]):
        store(out, place, constant(out, 0.0))


@kernel
def compare_weight(first, last, pairs, row, upstream, table, features, out):
    """out[p, k] = Σ_c table[row[p], k] · (G_i · X_j + G_j · X_i)."""
    C, n = features.shape[2], out.shape[1]
    for p in range(first, last):
        out[p] = 0
        for c in range(0, C, LANES):
            I, A, S = compare(upstream, features, pairs[0, p], pairs[1, p], c)
            for k in range(n):
                out[p, k] += total(contract(table, row[p], k, I, A, S, c))


@kernel
def compare_table(first, last, pairs, row, upstream, weight, features, out):
    """out[row[p], k] += weight[p, k] (G_i · X_j + G_j · X_i), part by part."""
    for c in range(LANES * first, LANES * last, LANES):
        clear_block(out, c)
        for p in range(len(weight)):
            I, A, S = compare(upstream, features, pairs[0, p], pairs[1, p], c)
            add_terms(weight, p, row[p], I, A, S, c, out)


@kernel
def sign(array, edge_is_forward):
    """The parity of the antisymmetric part, seen along the edge."""
    return constant(array, 1.0 if edge_is_forward else -1.0)


@kernel
def embed_features(first, last, start, sender, pair, forward, row, harmonics, weight, table, species, out):
    """out_i = Σ_j Y_ij f_ij (a_i + b_j)."""
    C = out.shape[2]
    for c in range(0, C, LANES):
        for i in range(first, last):
            a, sums = load(species, 2 * C * i + c), zero_rows(out)
            for edge in range(start[i], start[i + 1]):
                p = pair[edge]
                z = a + load(species, 2 * C * sender[edge] + C + c)
                I, A, S = factor(weight, table, p, row[p], c)
                parts = I * z, A * z * sign(out, forward[edge]), S * z
                sums = add_parts(parts, load_everywhere(harmonics, 9 * p), sums)
            store_rows(out, 9 * C * i + c, C, sums)


@kernel
def load_everywhere(numbers, place):
    """Nine numbers, each sixteen times."""
    return (
        *(everywhere(numbers, place), everywhere(numbers, place + 1), everywhere(numbers, place + 2)),
        *(everywhere(numbers, place + 3), everywhere(numbers, place + 4), everywhere(numbers, place + 5)),
        *(everywhere(numbers, place + 6), everywhere(numbers, place + 7), everywhere(numbers, place + 8)),
    )


@kernel
def species_of_pair(species, i, j, c):
    """a_i + b_j and a_j + b_i; channels c to c + 16."""
    C = species.shape[2]
    i, j = 2 * C * i + c, 2 * C * j + c
    return load(species, i) + load(species, j + C), load(species, j) + load(species, i + C)


@kernel
def embed_harmonics(first, last, pairs, row, upstream, weight, table, species, out):
    """out_p = Σ_c f_p (G_i (a_i + b_j) ± G_j (a_j + b_i))."""
    C = species.shape[2]
    for p in range(first, last):
        i, j = pairs[0, p], pairs[1, p]
        o0 = o1 = o2 = o3 = o4 = o5 = o6 = o7 = o8 = constant(out, 0.0)
        for c in range(0, C, LANES):
            there, back = species_of_pair(species, i, j, c)
            I, A, S = factor(weight, table, p, row[p], c)
            G, H = 9 * C * i + c, 9 * C * j + c
            o0 = fma(I, fma(there, load(upstream, G), back * load(upstream, H)), o0)
            o1 = fma(A, there * load(upstream, G + C) - back * load(upstream, H + C), o1)
            o2 = fma(A, there * load(upstream, G + 2 * C) - back * load(upstream, H + 2 * C), o2)
            o3 = fma(A, there * load(upstream, G + 3 * C) - back * load(upstream, H + 3 * C), o3)
            o4 = fma(S, fma(there, load(upstream, G + 4 * C), back * load(upstream, H + 4 * C)), o4)
            o5 = fma(S, fma(there, load(upstream, G + 5 * C), back * load(upstream, H + 5 * C)), o5)
            o6 = fma(S, fma(there, load(upstream, G + 6 * C), back * load(upstream, H + 6 * C)), o6)
            o7 = fma(S, fma(there, load(upstream, G + 7 * C), back * load(upstream, H + 7 * C)), o7)
            o8 = fma(S, fma(there, load(upstream, G + 8 * C), back * load(upstream, H + 8 * C)), o8)
        out[p, 0], out[p, 1], out[p, 2], out[p, 3] = total(o0), total(o1), total(o2), total(o3)
        out[p, 4], out[p, 5], out[p, 6], out[p, 7] = total(o4), total(o5), total(o6), total(o7)
        out[p, 8] = total(o8)


@kernel
def embed_parts(harmonics, upstream, species, p, i, j, c):
    """Σ_m Y_m (G_i (a_i + b_j) ± G_j (a_j + b_i)), part by part; channels c to c + 16."""
    C, y = species.shape[2], 9 * p
    there, back = species_of_pair(species, i, j, c)
    G, H = 9 * C * i + c, 9 * C * j + c
    I = everywhere(harmonics, y) * fma(there, load(upstream, G), back * load(upstream, H))
    A_there = A_back = S_there = S_back = constant(species, 0.0)
    for m in range(1, 4):
        Y = everywhere(harmonics, y + m)
        A_there = fma(Y, load(upstream, G + m * C), A_there)
        A_back = fma(Y, load(upstream, H + m * C), A_back)
    for m in range(4, 9):
        Y = everywhere(harmonics, y + m)
        S_there = fma(Y, load(upstream, G + m * C), S_there)
        S_back = fma(Y, load(upstream, H + m * C), S_back)
    return I, there * A_there - back * A_back, fma(there, S_there, back * S_back)


@kernel
def embed_weight(first, last, pairs, row, upstream, harmonics, table, species, out):
    """out[p, k] = Σ_c table[row[p], k] · Σ_m Y_m (G_i (a_i + b_j) ± G_j (a_j + b_i))."""
    C, n = species.shape[2], out.shape[1]
    for p in range(first, last):
        out[p] = 0
        for c in range(0, C, LANES):
            I, A, S = embed_parts(harmonics, upstream, species, p, pairs[0, p], pairs[1, p], c)
            for k in range(n):
                out[p, k] += total(contract(table, row[p], k, I, A, S, c))


@kernel
def embed_table(first, last, pairs, row, upstream, harmonics, weight, species, out):
    """out[row[p], k] += weight[p, k] Σ_m Y_m (G_i (a_i + b_j) ± G_j (a_j + b_i)), part by part."""
    for c in range(LANES * first, LANES * last, LANES):
        clear_block(out, c)
        for p in range(len(weight)):
            I, A, S = embed_parts(harmonics, upstream, species, p, pairs[0, p], pairs[1, p], c)
            add_terms(weight, p, row[p], I, A, S, c, out)


@kernel
def embed_species(first, last, start, sender, pair, forward, row, upstream, harmonics, weight, table, out):
    """out_i = (Σ_j Y_ij f_ij · G_i, Σ_j Y_ji f_ij · G_j)."""
    C = out.shape[2]
    for c in range(0, C, LANES):
        for i in range(first, last):
            a = b = constant(out, 0.0)
            for edge in range(start[i], start[i + 1]):
                p, j = pair[edge], sender[edge]
                I, A, S = factor(weight, table, p, row[p], c)
                A, y, G, H = A * sign(out, forward[edge]), 9 * p, 9 * C * i + c, 9 * C * j + c
                f = I * everywhere(harmonics, y)
                a, b = fma(f, load(upstream, G), a), fma(f, load(upstream, H), b)
                for m in range(1, 4):
                    f = A * everywhere(harmonics, y + m)
                    a, b = fma(f, load(upstream, G + m * C), a), b - f * load(upstream, H + m * C)
                for m in range(4, 9):
                    f = S * everywhere(harmonics, y + m)
                    a, b = fma(f, load(upstream, G + m * C), a), fma(f, load(upstream, H + m * C), b)
            store(out, 2 * C * i + c, a)
            store(out, 2 * C * i + C + c, b)
