/* The words of CUDA that step.cu uses, for a C compiler, and a launch of its kernels thread by thread. */
#include <math.h>

typedef struct {
    unsigned int x;
} place;
static place blockIdx, threadIdx, gridDim, blockDim;

#define __global__ static /* the C library has an `advance` of its own */
#define __device__
#define __forceinline__ inline

static void __syncthreads(void) {}
static void __threadfence(void) {}

static unsigned int atomicInc(unsigned int *address, unsigned int limit)
{
    const unsigned int old = *address;
    *address = old >= limit ? 0 : old + 1;
    return old;
}

#include "step.cu"

/* Thread 0 of a block comes last: an order that a barrier allows, as only thread 0 goes on behind it. */
#define LAUNCH(blocks, threads, call)                                             \
    gridDim.x = blocks;                                                           \
    blockDim.x = threads;                                                         \
    for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x)                    \
        for (threadIdx.x = blockDim.x; threadIdx.x-- > 0;)                        \
    call

void launch_raw_words(unsigned int blocks, unsigned int threads, wide n_replicas, wide n_beads, const wide *seed,
                      const wide *replicas, const wide *step, word *words)
{
    LAUNCH(blocks, threads, raw_words(n_replicas, n_beads, seed, replicas, step, words));
}

void launch_advance(unsigned int blocks, unsigned int threads, wide n_replicas, wide n_beads,
                    const double *positions, const double *velocities, const FORCE *forces,
                    double *new_positions, double *new_velocities, const double *mass, const double *stride,
                    const double *damping, const double *thermal, const wide *seed, const wide *replicas,
                    wide *step, word *blocks_done)
{
    LAUNCH(blocks, threads,
           advance(n_replicas, n_beads, positions, velocities, forces, new_positions, new_velocities, mass,
                   stride, damping, thermal, seed, replicas, step, blocks_done));
}
