/* From the beads back to the edges, and from the edges to forces and energies: a warp an edge, then a warp a
 * bead, then a block a replica. */

/* gradient (n_edges, 3): dE/d(r_i - r_j) through all that an edge carries. Messages of all layers:
 * message_table (layers, intervals, 12 P), to_M and Y (layers, n_total, 9 P); upstream: dE/d of the
 * embedding; `horizon`: as in grid.py. A block a bead, its warps take edges in turn. */
KERNEL differentiate_edges(whole n_total, whole n_beads, whole P, whole n_layers, whole intervals,
                           double horizon, whole room, const int *count, const int *sender,
                           const int *interval, const real *fraction, const real *inverse_distance,
                           const real *direction, const int *type, const real *message_table, const real *to_M,
                           const real *Y, const real *embedding_table, const real *species,
                           const real *upstream, real *gradient)
{
    const whole b = blockIdx.x;
    for (whole e = b * room + threadIdx.y; e < b * room + count[b]; e += blockDim.y) {
        const real t = fraction[e], *u = direction + 3 * e;
        const whole j = sender[e], row = interval[e] * 12 * P;
        const real *f = embedding_table + row;
        const nine harmonic = harmonics(u);
        real by_x = 0, g[3] = {0};
        for (int c = threadIdx.x; c < P; c += WARP) {
            for (whole layer = 0; layer < n_layers; ++layer) {
                const real *h = message_table + layer * intervals * 12 * P + row;
                const nine G = load(to_M + layer * n_total * 9 * P, b, c, P);
                const nine X = load(Y + layer * n_total * 9 * P, j, c, P);
                UNROLL for (int part = 0; part < 3; ++part)
                    by_x += slope_of(h, part, c, P, t) * part_dot(G, X, part);
            }
            const real z = species[2 * type[b % n_beads] * P + c] + species[(2 * type[j % n_beads] + 1) * P + c];
            const real f_A = (real)SQRT2 * z * value(f, 1, c, P, t), f_S = (real)SQRT2 * z * value(f, 2, c, P, t);
            const nine G = load(upstream, b, c, P);
            const real trace = (real)(1 / SQRT3) * G.of[8];
            g[0] += f_A * G.of[1] + f_S * (u[1] * G.of[4] + u[2] * G.of[6] + u[0] * (G.of[7] - trace));
            g[1] += f_A * G.of[2] + f_S * (u[0] * G.of[4] + u[2] * G.of[5] - u[1] * (G.of[7] + trace));
            g[2] += f_A * G.of[3] + f_S * (u[1] * G.of[5] + u[0] * G.of[6] + u[2] * (trace + trace));
            UNROLL for (int part = 0; part < 3; ++part)
                by_x += z * slope_of(f, part, c, P, t) * part_dot(harmonic, G, part);
        }
        const real q = inverse_distance[e] / (1 + (real)SOFT * inverse_distance[e]);
        const real by_r = warp_sum(by_x) * (real)(horizon * SOFT) * q * q;
        for (int k = 0; k < 3; ++k)
            g[k] = warp_sum(g[k]);
        const real along = u[0] * g[0] + u[1] * g[1] + u[2] * g[2];
        for (int k = 0; k < 3 && threadIdx.x == 0; ++k)
            gradient[3 * e + k] = (g[k] - along * u[k]) * inverse_distance[e] + by_r * u[k];
    }
}

/* The edge that runs back: its displacement is the opposite to the last bit, which tells images apart. */
INLINE whole reverse_of(whole b, whole e, whole room, const int *count, const int *sender, const int *interval,
                        const real *fraction, const real *direction)
{
    const whole j = sender[e];
    for (whole o = j * room; o < j * room + count[j]; ++o)
        if (sender[o] == b && interval[o] == interval[e] && fraction[o] == fraction[e] &&
            direction[3 * o] == -direction[3 * e] && direction[3 * o + 1] == -direction[3 * e + 1] &&
            direction[3 * o + 2] == -direction[3 * e + 2])
            return o;
    return -1;
}

/* forces (n_total, 3) = -dE/dr, a warp a bead. Where there is too little room for all edges, one may have none
 * that runs back; the host throws such a step away. */
KERNEL sum_forces(whole n_total, whole room, const int *count, const int *sender, const int *interval,
                  const real *fraction, const real *direction, const real *gradient, double *forces)
{
    const whole b = (whole)blockIdx.x * blockDim.y + threadIdx.y;
    if (b >= n_total)
        return;
    double total[3] = {0};
    for (whole e = b * room + threadIdx.x; e < b * room + count[b]; e += WARP) {
        const whole back = reverse_of(b, e, room, count, sender, interval, fraction, direction);
        for (int k = 0; k < 3 && back >= 0; ++k)
            total[k] += (double)gradient[3 * back + k] - (double)gradient[3 * e + k];
    }
    for (int k = 0; k < 3; ++k)
        total[k] = warp_sum_double(total[k]);
    for (int k = 0; k < 3 && threadIdx.x == 0; ++k)
        forces[3 * b + k] = total[k];
}

/* energy (n_replicas) = shift + those of the beads, a block a replica. */
KERNEL sum_energies(whole n_beads, double shift, const double *of_bead, double *energy)
{
    __shared__ double of_warp[WARP];
    double total = 0;
    for (whole i = threadIdx.x; i < n_beads; i += blockDim.x)
        total += of_bead[blockIdx.x * n_beads + i];
    total = warp_sum_double(total);
    if (threadIdx.x % WARP == 0)
        of_warp[threadIdx.x / WARP] = total;
    __syncthreads();
    if (threadIdx.x > 0)
        return;
    total = shift;
    for (int warp = 0; warp < (int)(blockDim.x / WARP); ++warp)
        total += of_warp[warp];
    energy[blockIdx.x] = total;
}
