/* The stages between the products on the way to the energy, a block a bead and a thread a channel: sums over the neighbours, which are
 * read and not written to (no atomics, one order), norms, and the algebra of the bead itself.
 *
 * A table row holds the cubic of one interval, c0 + c1 t + c2 t^2 + c3 t^3 with 0 <= t < 1, for each of I, A,
 * S: (4, 3, P). The names of arrays are those of `cgprot.engine.network`.
 */

INLINE real value(const real *f, int part, int c, int P, real t)
{
    const real *k = f + part * P + c;
    return k[0] + t * (k[3 * P] + t * (k[6 * P] + t * k[9 * P]));
}

/* The derivative by t. */
INLINE real slope_of(const real *f, int part, int c, int P, real t)
{
    const real *k = f + part * P + c;
    return k[3 * P] + t * (2 * k[6 * P] + t * 3 * k[9 * P]);
}

/* The nine coefficients of a direction, as in `cgprot.model.tensornet.harmonics`. */
INLINE nine harmonics(const real *direction)
{
    const real x = direction[0], y = direction[1], z = direction[2];
    const real two = (real)SQRT2, half = (real)(1 / SQRT2), six = (real)(1 / SQRT6);
    nine Y = {{(real)SQRT3, two * x, two * y, two * z, two * x * y, two * y * z, two * x * z,
               half * (x * x - y * y), six * (2 * z * z - x * x - y * y)}};
    return Y;
}

/* (x - mean) / sqrt(variance + epsilon) over n numbers, of which each thread holds up to three (0 beyond its
 * own); the root's inverse goes to `inverse`. */
INLINE void normalise(real x[3], int n_own, real n, real *inverse)
{
    real total = 0, square = 0;
    for (int k = 0; k < n_own; ++k)
        total += x[k];
    const real mean = block_sum(total) / n;
    for (int k = 0; k < n_own; ++k) {
        x[k] -= mean;
        square += x[k] * x[k];
    }
    *inverse = (real)(1 / sqrt((double)(block_sum(square) / n) + EPSILON));
    for (int k = 0; k < n_own; ++k)
        x[k] *= *inverse;
}

/* sums = own + sum over j of Y(r_ij) f(r_ij) (a_i + b_j); `affine`, the layer norm of |sums|^2. */
KERNEL embed(whole n_beads, whole C, whole P, whole room, const int *count, const int *sender,
             const int *interval, const real *fraction, const real *direction, const int *type,
             const real *table, const real *species, const real *own, const real *scale, const real *shift,
             real *sums, real *standard, real *inverse, real *affine)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    real square[3] = {0}, root;
    if (c < P) {
        const int own_type = type[b % n_beads];
        const real a = species[2 * own_type * P + c];
        nine X = {{own[own_type * P + c]}};
        for (whole e = b * room; e < b * room + count[b]; ++e) {
            const real t = fraction[e], *f = table + interval[e] * 12 * P;
            const real z = a + species[(2 * type[sender[e] % n_beads] + 1) * P + c];
            const real by_part[3] = {z * value(f, 0, c, P, t), z * value(f, 1, c, P, t), z * value(f, 2, c, P, t)};
            const nine Y = harmonics(direction + 3 * e);
            UNROLL for (int m = 0; m < 9; ++m) X.of[m] += by_part[part_of(m)] * Y.of[m];
        }
        store(sums, b, c, P, X);
        square[0] = dot(X, X);
    }
    normalise(square, c < C, (real)C, &root);
    if (c == 0)
        inverse[b] = root;
    if (c < P) {
        standard[b * P + c] = square[0];
        affine[b * P + c] = scale[c] * square[0] + shift[c];
    }
}

/* X of a bead before a layer; X_below is that of the layer below, or `mapped` with its gate. */
INLINE nine recalled(const real *X_below, const real *gate, whole b, int c, int P)
{
    const nine X = load(X_below, b, c, P);
    return gate ? gated(X, gate + 3 * b * P, c, P) : X;
}

/* What the first layer hears: X / (|X|^2 + 1). */
KERNEL open_gate(whole P, const real *mapped, const real *gate, real *heard)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    if (c < P)
        store(heard, b, c, P, shrunk(recalled(mapped, gate, b, c, P)));
}

/* out += sum over j of f(r_ij) X_j. */
INLINE nine heard_from(nine total, whole b, int c, int P, whole room, const int *count, const int *sender,
                       const int *interval, const real *fraction, const real *table, const real *features)
{
    for (whole e = b * room; e < b * room + count[b]; ++e) {
        const real t = fraction[e], *f = table + interval[e] * 12 * P;
        const real by_part[3] = {value(f, 0, c, P, t), value(f, 1, c, P, t), value(f, 2, c, P, t)};
        const nine X = load(features, sender[e], c, P);
        UNROLL for (int m = 0; m < 9; ++m) total.of[m] += by_part[part_of(m)] * X.of[m];
    }
    return total;
}

/* M, the messages, and what becomes of the product with them before its linear map. */
KERNEL interact(whole n_beads, whole P, whole mirror, whole room, const int *count, const int *sender,
                const int *interval, const real *fraction, const real *table, const real *own_message,
                const real *factor, const real *Y, real *M, real *product)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    if (c >= P)
        return;
    const nine y = load(Y, b, c, P);
    nine m = gated(y, own_message, c, P);
    m = heard_from(m, b, c, P, room, count, sender, interval, fraction, table, Y);
    store(M, b, c, P, m);
    store(product, b, c, P, shrunk(anticommuted(y, m, factor[b % n_beads], mirror)));
}

/* X after a layer, and what the next one hears of it. */
KERNEL update(whole n_beads, whole P, const real *factor, const real *X_below, const real *gate,
              const real *dX, real *X, real *heard)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    if (c >= P)
        return;
    const nine before = shrunk(recalled(X_below, gate, b, c, P));
    const nine x = plus(before, with_square(load(dX, b, c, P), factor[b % n_beads]));
    store(X, b, c, P, x);
    store(heard, b, c, P, shrunk(x));
}

/* X at the end (dX is null in a network without layers), and the layer norm of its invariants. */
KERNEL read_out(whole n_beads, whole C, whole P, const real *factor, const real *X_below, const real *gate,
                const real *dX, const real *scale, const real *shift, real *X, real *standard, real *inverse,
                real *affine)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    real invariants[3] = {0}, root;
    if (c < P) {
        nine x = recalled(X_below, gate, b, c, P);
        if (dX)
            x = plus(shrunk(x), with_square(load(dX, b, c, P), factor[b % n_beads]));
        store(X, b, c, P, x);
        for (int part = 0; part < 3; ++part)
            invariants[part] = part_dot(x, x, part);
    }
    normalise(invariants, c < C ? 3 : 0, (real)(3 * C), &root);
    if (c == 0)
        inverse[b] = root;
    for (int part = 0; part < 3 && c < P; ++part) {
        const whole k = part * P + c;
        standard[3 * b * P + k] = invariants[part];
        affine[3 * b * P + k] = scale[k] * invariants[part] + shift[k];
    }
}

/* Energies of the beads; hidden <- dE/d of what was activated. H: numbers of a row. */
KERNEL energies(whole H, const real *head, const real *bias, const real *slope, real *hidden, double *energy)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    const real total = block_sum(c < H ? head[c] * hidden[b * H + c] : 0);
    if (c == 0)
        energy[b] = (double)total + (double)bias[0];
    if (c < H)
        hidden[b * H + c] = head[c] * slope[b * H + c];
}
