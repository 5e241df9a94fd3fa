/* Products with the matrices of the network, by tiles held in registers.
 *
 * Every number is summed in the order of the depth, whatever tile it lies in: a row gives the same bits in
 * any company and with tiles of either height.
 */
#define COLUMNS 64    /* of a tile */
#define DEPTH 16      /* of the pieces that go through shared memory; every depth is a multiple of it */
#define THREADS 128   /* 16 across, 4 columns each, times 8 down */
#define MOST_ROWS 64

/* What becomes of a sum x before it is written: */
#define PLAIN 0    /* nothing */
#define ACTIVATE 1 /* SiLU(x + bias), and its derivative to `slope` */
#define SCALE 2    /* x slope */

INLINE real fused(real x, real y, real z)
{
    return sizeof(real) == 4 ? (real)fmaf((float)x, (float)y, (float)z) : (real)fma((double)x, (double)y, (double)z);
}

INLINE real sigmoid(real x)
{
    return sizeof(real) == 4 ? (real)(1 / (1 + expf(-(float)x))) : (real)(1 / (1 + exp(-(double)x)));
}

INLINE void finish(real x, whole mode, const real *bias, whole column, real *out, real *slope)
{
    if (mode == ACTIVATE) {
        const real y = x + bias[column], s = sigmoid(y);
        *slope = s * (y * (1 - s) + 1);
        x = y * s;
    } else if (mode == SCALE)
        x *= *slope;
    *out = x;
}

/* Row r of the part begins at (r / n) * step + (first + r % n) * width: n coefficients of a bead. */
INLINE void tile(int height, whole n_beads, whole depth, whole columns, const real *left, whole left_step,
                 const real *right, real *out, whole out_step, whole mode, const real *bias, real *slope)
{
    __shared__ real rows[DEPTH][MOST_ROWS + 4], lines[DEPTH][COLUMNS];
    const int thread = threadIdx.x, across = thread % 16, down = thread / 16, n_rows = 8 * height;
    const int part = blockIdx.z, n = gridDim.z == 1 ? 1 : 2 * part + 1, from = part * part;
    const whole first_row = (whole)blockIdx.x * n_rows, first_column = (whole)blockIdx.y * COLUMNS;
    if (first_row >= n * n_beads)
        return;
    right += part * depth * columns;
    real total[8][4] = {{0}};
    for (whole begin = 0; begin < depth; begin += DEPTH) {
        for (int k = thread; k < n_rows * DEPTH; k += THREADS) {
            const whole row = first_row + k / DEPTH;
            const whole place = row / n * left_step + (from + row % n) * depth + begin + k % DEPTH;
            rows[k % DEPTH][k / DEPTH] = row < n * n_beads ? left[place] : 0;
        }
        for (int k = thread; k < DEPTH * COLUMNS; k += THREADS) {
            const whole column = first_column + k % COLUMNS;
            lines[k / COLUMNS][k % COLUMNS] = column < columns ? right[(begin + k / COLUMNS) * columns + column] : 0;
        }
        __syncthreads();
        for (int k = 0; k < DEPTH; ++k)
            UNROLL for (int r = 0; r < height; ++r)
                UNROLL for (int q = 0; q < 4; ++q)
                    total[r][q] = fused(rows[k][down * height + r], lines[k][4 * across + q], total[r][q]);
        __syncthreads();
    }
    UNROLL for (int r = 0; r < height; ++r)
        UNROLL for (int q = 0; q < 4; ++q) {
            const whole row = first_row + down * height + r, column = first_column + 4 * across + q;
            if (row < n * n_beads && column < columns) {
                const whole place = row / n * out_step + (from + row % n) * columns + column;
                finish(total[r][q], mode, bias, column, out + place, slope + place);
            }
        }
}

/* out = left @ right. left (n_beads, left_step), out and slope (n_beads, out_step), right (depth, columns),
 * bias (columns). With three blocks along z the nine coefficients of a bead are rows of their own and I, A, S
 * have a matrix each: right (3, depth, columns). */
KERNEL multiply_64(whole n_beads, whole depth, whole columns, const real *left, whole left_step,
                   const real *right, real *out, whole out_step, whole mode, const real *bias, real *slope)
{
    tile(8, n_beads, depth, columns, left, left_step, right, out, out_step, mode, bias, slope);
}

/* The same for few rows, which are worth more blocks. */
KERNEL multiply_16(whole n_beads, whole depth, whole columns, const real *left, whole left_step,
                   const real *right, real *out, whole out_step, whole mode, const real *bias, real *slope)
{
    tile(2, n_beads, depth, columns, left, left_step, right, out, out_step, mode, bias, slope);
}
