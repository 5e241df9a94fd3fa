/* What the kernels of the engine share: types, sums over a block, and the algebra of one channel of one bead,
 * the law of `cgprot.engine.channels`, which the tests hold it against.
 *
 * CUDA within what C can read too: tests compile these very files with a C compiler, the few words of CUDA in
 * them (threadIdx, __syncthreads, __shfl_xor_sync ...) explained by a prelude. Given when they are compiled:
 * REAL, float or double, and SOFT [Angstrom], see grid.py. In the kernels b is a bead among those of all replicas,
 * c a channel, P their padded number, C the number that are no padding. A bead's features are a row of 9 P numbers:
 * nine coefficients of P channels each, the first of I, three of A, five of S.
 */

#ifdef __cplusplus
#define KERNEL extern "C" __global__ void
#define UNROLL _Pragma("unroll")
#else
#define KERNEL __global__ void
#define UNROLL
#endif
#define INLINE __device__ static __forceinline__

typedef REAL real;
typedef long long whole;
typedef unsigned long long word;

#define WARP 32
#define ALL_LANES 0xffffffffu
#define EPSILON 1e-5 /* of torch.nn.LayerNorm */
#define SQRT2 1.4142135623730951
#define SQRT3 1.7320508075688772
#define SQRT6 2.449489742783178

/* The sum over the lanes of a warp, in every lane. */
INLINE real warp_sum(real value)
{
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, lanes);
    return value;
}

INLINE double warp_sum_double(double value)
{
    for (int lanes = WARP / 2; lanes > 0; lanes /= 2)
        value += __shfl_xor_sync(ALL_LANES, value, lanes);
    return value;
}

/* The sum over a block of whole warps along x, in every thread. */
INLINE real block_sum(real value)
{
    __shared__ real of_warp[WARP];
    value = warp_sum(value);
    __syncthreads(); /* the sum before has been read */
    if (threadIdx.x % WARP == 0)
        of_warp[threadIdx.x / WARP] = value;
    __syncthreads();
    real total = 0;
    for (int warp = 0; warp < (int)(blockDim.x / WARP); ++warp)
        total += of_warp[warp];
    return total;
}

/* Nine coefficients, or a matrix row by row. */
typedef struct {
    real of[9];
} nine;

INLINE int part_of(int m)
{
    return m == 0 ? 0 : m < 4 ? 1 : 2;
}

INLINE nine load(const real *rows, whole b, int c, int P)
{
    nine x;
    UNROLL for (int m = 0; m < 9; ++m) x.of[m] = rows[(9 * b + m) * P + c];
    return x;
}

INLINE void store(real *rows, whole b, int c, int P, nine x)
{
    UNROLL for (int m = 0; m < 9; ++m) rows[(9 * b + m) * P + c] = x.of[m];
}

INLINE nine plus(nine x, nine y)
{
    UNROLL for (int m = 0; m < 9; ++m) x.of[m] += y.of[m];
    return x;
}

INLINE nine scaled(nine x, real s)
{
    UNROLL for (int m = 0; m < 9; ++m) x.of[m] *= s;
    return x;
}

/* One factor for each of I, A, S, P apart. */
INLINE nine gated(nine x, const real *factor, int c, int P)
{
    UNROLL for (int m = 0; m < 9; ++m) x.of[m] *= factor[part_of(m) * P + c];
    return x;
}

INLINE real part_dot(nine x, nine y, int part)
{
    real total = 0;
    UNROLL for (int m = 0; m < 9; ++m) if (part_of(m) == part) total += x.of[m] * y.of[m];
    return total;
}

INLINE real dot(nine x, nine y)
{
    return part_dot(x, y, 0) + part_dot(x, y, 1) + part_dot(x, y, 2);
}

INLINE nine matrix(nine x)
{
    const real s = (real)(1 / SQRT2);
    const real a = (real)(1 / SQRT3) * x.of[0], b = (real)(1 / SQRT6) * x.of[8], d = s * x.of[7];
    nine m = {{a + d - b, s * (x.of[4] - x.of[3]), s * (x.of[6] + x.of[2]),
               s * (x.of[4] + x.of[3]), a - d - b, s * (x.of[5] - x.of[1]),
               s * (x.of[6] - x.of[2]), s * (x.of[5] + x.of[1]), a + b + b}};
    return m;
}

INLINE nine coefficients(nine m)
{
    const real s = (real)(1 / SQRT2);
    nine x = {{(real)(1 / SQRT3) * (m.of[0] + m.of[4] + m.of[8]),
               s * (m.of[7] - m.of[5]), s * (m.of[2] - m.of[6]), s * (m.of[3] - m.of[1]),
               s * (m.of[1] + m.of[3]), s * (m.of[5] + m.of[7]), s * (m.of[2] + m.of[6]),
               s * (m.of[0] - m.of[4]), (real)(1 / SQRT6) * (m.of[8] + m.of[8] - m.of[0] - m.of[4])}};
    return x;
}

INLINE nine times(nine x, nine y)
{
    nine z;
    UNROLL for (int i = 0; i < 3; ++i)
        UNROLL for (int k = 0; k < 3; ++k)
            z.of[3 * i + k] = x.of[3 * i] * y.of[k] + x.of[3 * i + 1] * y.of[3 + k] + x.of[3 * i + 2] * y.of[6 + k];
    return z;
}

INLINE nine transposed(nine x)
{
    nine y = {{x.of[0], x.of[3], x.of[6], x.of[1], x.of[4], x.of[7], x.of[2], x.of[5], x.of[8]}};
    return y;
}

/* x / (|x|^2 + 1), and dE/dx of it. */
INLINE nine shrunk(nine x)
{
    return scaled(x, 1 / (dot(x, x) + 1));
}

INLINE nine shrunk_backward(nine x, nine upstream)
{
    const real scale = 1 / (dot(x, x) + 1), along = dot(x, upstream);
    return plus(scaled(upstream, scale), scaled(x, -(along + along) * scale * scale));
}

/* factor (Y M + M Y) where `mirror`, else 2 Y M. */
INLINE nine anticommuted(nine Y, nine M, real factor, whole mirror)
{
    const nine y = matrix(Y), m = matrix(M), ym = times(y, m);
    return mirror ? scaled(coefficients(plus(ym, times(m, y))), factor) : coefficients(plus(ym, ym));
}

/* dE/dM of it for the left factor Y, */
INLINE nine to_right(nine Y, nine upstream, real factor, whole mirror)
{
    const nine y = transposed(matrix(Y)), g = matrix(upstream), yg = times(y, g);
    return mirror ? scaled(coefficients(plus(yg, times(g, y))), factor) : coefficients(plus(yg, yg));
}

/* and dE/dY for the right one M. */
INLINE nine to_left(nine M, nine upstream, real factor, whole mirror)
{
    const nine m = transposed(matrix(M)), g = matrix(upstream), gm = times(g, m);
    return mirror ? scaled(coefficients(plus(gm, times(m, g))), factor) : coefficients(plus(gm, gm));
}

/* x + factor x^2, and dE/dx of it. */
INLINE nine with_square(nine x, real factor)
{
    const nine m = matrix(x);
    return plus(x, scaled(coefficients(times(m, m)), factor));
}

INLINE nine with_square_backward(nine x, real factor, nine upstream)
{
    const nine m = transposed(matrix(x)), g = matrix(upstream);
    return plus(upstream, scaled(coefficients(plus(times(m, g), times(g, m))), factor));
}
