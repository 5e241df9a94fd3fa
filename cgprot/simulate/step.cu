/* One step of every replica, its noise made on the way: the law of `langevin.middle_step` and
 * `noise.normal_noise`, which the tests hold it against.
 *
 * CUDA within what C can read too: tests compile this very file with a C compiler, the few words of CUDA in it
 * (threadIdx, __syncthreads, atomicInc ...) explained by a prelude. Given when it is compiled:
 * ENERGY_TO_MASS_VELOCITY_SQUARED, of cgprot.units, and FORCE, the type of the forces, float or double.
 */

#ifdef __cplusplus
#define KERNEL extern "C" __global__ void
#else
#define KERNEL __global__ void
#endif

typedef unsigned int word;
typedef unsigned long long wide;

/* Ten rounds of Philox4x32 on one block, in place. */
__device__ static __forceinline__ void philox(word block[4], word key0, word key1)
{
    for (int turn = 0; turn < 10; ++turn) {
        const wide p0 = (wide)block[0] * 0xD2511F53u;
        const wide p2 = (wide)block[2] * 0xCD9E8D57u;
        block[0] = (word)(p2 >> 32) ^ block[1] ^ key0;
        block[1] = (word)p2;
        block[2] = (word)(p0 >> 32) ^ block[3] ^ key1;
        block[3] = (word)p0;
        key0 += 0x9E3779B9u;
        key1 += 0xBB67AE85u;
    }
}

/* Never 0, never 1. */
__device__ static __forceinline__ double uniform(word bits)
{
    return (bits + 0.5) * (1.0 / 4294967296.0);
}

/* Three standard normal numbers, by Box and Muller. */
__device__ static __forceinline__ void normals(double noise[3], wide step, wide replica, wide bead, wide seed)
{
    const double turn = 6.283185307179586;
    word block[4] = {(word)bead, (word)step, (word)(step >> 32), (word)replica};
    philox(block, (word)seed, (word)(seed >> 32));
    const double near = sqrt(-2.0 * log(uniform(block[0])));
    const double far = sqrt(-2.0 * log(uniform(block[1])));
    const double angle = turn * uniform(block[2]);
    noise[0] = near * cos(angle);
    noise[1] = near * sin(angle);
    noise[2] = far * cos(turn * uniform(block[3]));
}

/* The raw words of every (replica, bead), to be compared bit by bit: words (n_replicas, n_beads, 4). */
KERNEL raw_words(wide n_replicas, wide n_beads, const wide *seed, const wide *replicas, const wide *step, word *words)
{
    const wide stride = (wide)gridDim.x * blockDim.x;
    for (wide i = (wide)blockIdx.x * blockDim.x + threadIdx.x; i < n_replicas * n_beads; i += stride) {
        const wide replica = i / n_beads;
        word *block = words + 4 * i;
        block[0] = (word)(i % n_beads);
        block[1] = (word)*step;
        block[2] = (word)(*step >> 32);
        block[3] = (word)replicas[replica];
        philox(block, (word)seed[replica], (word)(seed[replica] >> 32));
    }
}

/* positions, velocities, forces, new_positions, new_velocities: (n_replicas, n_beads, 3); the new ones may be
 * the old ones. mass: (n_beads). stride, damping, thermal, seed, replicas: (n_replicas). step: the number of
 * steps done, read from memory and advanced there, so that a CUDA graph can be replayed. blocks_done: 0. */
KERNEL advance(
    wide n_replicas, wide n_beads, const double *positions, const double *velocities, const FORCE *forces,
    double *new_positions, double *new_velocities, const double *mass, const double *stride,
    const double *damping, const double *thermal, const wide *seed, const wide *replicas, wide *step,
    word *blocks_done)
{
    const wide now = *step;
    const wide n_threads = (wide)gridDim.x * blockDim.x;
    for (wide i = (wide)blockIdx.x * blockDim.x + threadIdx.x; i < n_replicas * n_beads; i += n_threads) {
        const wide replica = i / n_beads, bead = i % n_beads;
        const double half = 0.5 * stride[replica];
        const double kick = stride[replica] * ENERGY_TO_MASS_VELOCITY_SQUARED / mass[bead];
        const double push = thermal[replica] / sqrt(mass[bead]);
        double noise[3] = {0.0, 0.0, 0.0};
        if (push != 0.0)
            normals(noise, now, replicas[replica], bead, seed[replica]);
        for (wide j = 3 * i; j < 3 * i + 3; ++j) {
            const double kicked = velocities[j] + forces[j] * kick;
            const double refreshed = damping[replica] * kicked + push * noise[j - 3 * i];
            new_positions[j] = positions[j] + half * kicked + half * refreshed;
            new_velocities[j] = refreshed;
        }
    }
    /* The block that ends last advances the clock: every other one has read it. */
    __syncthreads();
    if (threadIdx.x == 0) {
        __threadfence();
        if (atomicInc(blocks_done, gridDim.x - 1) == gridDim.x - 1)
            *step = now + 1;
    }
}
