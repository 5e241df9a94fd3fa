/* The stages between the products on the way back, laid out as in forward.cu. */

/* upstream <- dE/dx of `normalise`, with its results `standard`. */
INLINE void normalise_backward(const real standard[3], real upstream[3], int n_own, real n, real inverse)
{
    real total = 0, along = 0;
    for (int k = 0; k < n_own; ++k) {
        total += upstream[k];
        along += upstream[k] * standard[k];
    }
    total = block_sum(total) / n;
    along = block_sum(along) / n;
    for (int k = 0; k < n_own; ++k)
        upstream[k] = inverse * (upstream[k] - total - standard[k] * along);
}

/* From dE/dX after a layer to what its linear map gets (`mapped`) and what goes past it (`to_X`). */
INLINE void into_layer(nine upstream, whole b, int c, int P, real factor, const real *dX, real *mapped, real *to_X)
{
    store(to_X, b, c, P, upstream);
    store(mapped, b, c, P, with_square_backward(load(dX, b, c, P), factor, upstream));
}

/* From dE/dX before all layers to dE/d of what the gate and the embedding's linear map got. */
INLINE void into_gate(nine upstream, whole b, int c, int P, const real *embedded, const real *gate,
                      const real *gate_slope, real *to_gate, real *mapped)
{
    const nine x = load(embedded, b, c, P);
    for (int part = 0; part < 3; ++part) {
        const whole k = 3 * b * P + part * P + c;
        to_gate[k] = part_dot(upstream, x, part) * gate_slope[k];
    }
    store(mapped, b, c, P, gated(upstream, gate + 3 * b * P, c, P));
}

/* dE/dX at the end, for affine <- dE/d of the layer norm's result. */
INLINE nine from_reading(whole b, int c, whole C, int P, const real *X, const real *scale, const real *standard,
                         const real *inverse, const real *affine)
{
    real normal[3] = {0}, upstream[3] = {0};
    for (int part = 0; part < 3 && c < C; ++part) {
        normal[part] = standard[3 * b * P + part * P + c];
        upstream[part] = scale[part * P + c] * affine[3 * b * P + part * P + c];
    }
    normalise_backward(normal, upstream, c < C ? 3 : 0, (real)(3 * C), inverse[b]);
    nine x = {{0}};
    if (c < P)
        x = load(X, b, c, P);
    UNROLL for (int m = 0; m < 9; ++m) x.of[m] *= 2 * upstream[part_of(m)];
    return x;
}

KERNEL turn_into_layer(whole n_beads, whole C, whole P, const real *factor, const real *X, const real *scale,
                       const real *standard, const real *inverse, const real *affine, const real *dX,
                       real *mapped, real *to_X)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    const nine upstream = from_reading(b, c, C, P, X, scale, standard, inverse, affine);
    if (c < P)
        into_layer(upstream, b, c, P, factor[b % n_beads], dX, mapped, to_X);
}

KERNEL turn_into_gate(whole C, whole P, const real *X, const real *scale, const real *standard,
                      const real *inverse, const real *affine, const real *embedded, const real *gate,
                      const real *gate_slope, real *to_gate, real *mapped)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    const nine upstream = from_reading(b, c, C, P, X, scale, standard, inverse, affine);
    if (c < P)
        into_gate(upstream, b, c, P, embedded, gate, gate_slope, to_gate, mapped);
}

/* Through the product: M <- dE/dM and to_Y, of the bead itself; `upstream` is dE/d of the shrunk product. */
KERNEL part_ways(whole n_beads, whole P, whole mirror, const real *factor, const real *Y, const real *upstream,
                 real *M, real *to_Y)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    if (c >= P)
        return;
    const real own_factor = factor[b % n_beads];
    const nine y = load(Y, b, c, P), m = load(M, b, c, P);
    const nine g = shrunk_backward(anticommuted(y, m, own_factor, mirror), load(upstream, b, c, P));
    store(M, b, c, P, to_right(y, g, own_factor, mirror));
    store(to_Y, b, c, P, to_left(m, g, own_factor, mirror));
}

/* to_Y += what comes back from all to whom the bead spoke, itself included. */
KERNEL hear_back(whole P, whole room, const int *count, const int *sender, const int *interval,
                 const real *fraction, const real *table, const real *own_message, const real *to_M, real *to_Y)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    if (c >= P)
        return;
    const nine own = plus(load(to_Y, b, c, P), gated(load(to_M, b, c, P), own_message, c, P));
    store(to_Y, b, c, P, heard_from(own, b, c, P, room, count, sender, interval, fraction, table, to_M));
}

/* dE/dX before a layer: to_X past it, `heard` through it. */
INLINE nine from_layer(nine X, whole b, int c, int P, const real *to_X, const real *heard)
{
    return shrunk_backward(X, plus(load(to_X, b, c, P), load(heard, b, c, P)));
}

KERNEL go_down_to_layer(whole n_beads, whole P, const real *factor, const real *X_below, const real *heard,
                        const real *dX, real *mapped, real *to_X)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    if (c >= P)
        return;
    const nine upstream = from_layer(load(X_below, b, c, P), b, c, P, to_X, heard);
    into_layer(upstream, b, c, P, factor[b % n_beads], dX, mapped, to_X);
}

KERNEL go_down_to_gate(whole P, const real *embedded, const real *gate, const real *gate_slope,
                       const real *to_X, const real *heard, real *to_gate, real *mapped)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    if (c >= P)
        return;
    const nine upstream = from_layer(recalled(embedded, gate, b, c, P), b, c, P, to_X, heard);
    into_gate(upstream, b, c, P, embedded, gate, gate_slope, to_gate, mapped);
}

/* upstream, dE/d of the embedding through its linear map, += that through the layer norm of its square. */
KERNEL reach_embedding(whole C, whole P, const real *scale, const real *standard, const real *inverse,
                       const real *affine, const real *sums, real *upstream)
{
    const whole b = blockIdx.x;
    const int c = threadIdx.x;
    real normal[3] = {0}, to_square[3] = {0};
    if (c < C) {
        normal[0] = standard[b * P + c];
        to_square[0] = scale[c] * affine[b * P + c];
    }
    normalise_backward(normal, to_square, c < C, (real)C, inverse[b]);
    if (c < P)
        store(upstream, b, c, P, plus(load(upstream, b, c, P), scaled(load(sums, b, c, P), 2 * to_square[0])));
}
