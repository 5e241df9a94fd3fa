/* The words of CUDA that the kernels use, for a C compiler: every thread of a block is a fibre with a stack of
 * its own, which runs until it waits for others. Between two barriers fibres run one after the other, in the
 * order that `fibre_order` chooses: what depends on that order lacks a barrier. */
#include <math.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

typedef struct {
    unsigned int x, y, z;
} triple;
static triple blockIdx, threadIdx, gridDim, blockDim;

#define __global__ static /* the C library has an `advance` of its own */
#define __device__
#define __forceinline__ inline __attribute__((always_inline, unused))
#define __shared__ static
#define MOST_FIBRES 1024
#define STACK (64 * 1024)

enum { READY, AT_BLOCK, AT_WARP, DONE };

static struct {
    ucontext_t beginning;
    jmp_buf place;
    int is_begun, state;
    double slot;
} fibres[MOST_FIBRES];
static unsigned int n_fibres, current;
static jmp_buf scheduler;
static void (*kernel)(void *);
static void *arguments;
unsigned int fibre_order = 0; /* 0: ascending, 1: descending, else: the seed of a shuffle */

static void leave(int state)
{
    fibres[current].state = state;
    if (!_setjmp(fibres[current].place))
        _longjmp(scheduler, 1);
}

/* A fibre serves one thread after the other, so that its stack is made once. */
static void serve(void)
{
    for (;;) {
        kernel(arguments);
        leave(DONE);
    }
}

static void resume(unsigned int fibre)
{
    current = fibre;
    threadIdx.x = fibre % blockDim.x;
    threadIdx.y = fibre / blockDim.x % blockDim.y;
    threadIdx.z = fibre / blockDim.x / blockDim.y;
    if (_setjmp(scheduler))
        return;
    if (fibres[fibre].is_begun)
        _longjmp(fibres[fibre].place, 1);
    fibres[fibre].is_begun = 1;
    getcontext(&fibres[fibre].beginning);
    fibres[fibre].beginning.uc_stack.ss_sp = malloc(STACK);
    fibres[fibre].beginning.uc_stack.ss_size = STACK;
    makecontext(&fibres[fibre].beginning, serve, 0);
    setcontext(&fibres[fibre].beginning);
}

/* Let those go on that have all come to the same barrier; whether any can. */
static int release(unsigned int first, unsigned int last, int barrier)
{
    int n_waiting = 0;
    for (unsigned int f = first; f < last; ++f) {
        if (fibres[f].state != barrier && fibres[f].state != DONE)
            return 0;
        n_waiting += fibres[f].state == barrier;
    }
    for (unsigned int f = first; f < last; ++f)
        if (fibres[f].state == barrier)
            fibres[f].state = READY;
    return n_waiting > 0;
}

static void run_block(void)
{
    static unsigned int order[MOST_FIBRES];
    unsigned int seed = fibre_order;
    n_fibres = blockDim.x * blockDim.y * blockDim.z;
    for (unsigned int f = 0; f < n_fibres; ++f) {
        order[f] = fibre_order == 1 ? n_fibres - 1 - f : f;
        fibres[f].state = READY;
    }
    for (int can_go = 1; can_go;) {
        for (unsigned int f = n_fibres; fibre_order > 1 && f > 1; --f) {
            seed = seed * 1664525u + 1013904223u;
            const unsigned int other = (seed >> 8) % f, kept = order[f - 1];
            order[f - 1] = order[other];
            order[other] = kept;
        }
        for (unsigned int f = 0; f < n_fibres; ++f)
            if (fibres[order[f]].state == READY)
                resume(order[f]);
        can_go = release(0, n_fibres, AT_BLOCK);
        for (unsigned int first = 0; first < n_fibres; first += 32)
            can_go |= release(first, first + 32 < n_fibres ? first + 32 : n_fibres, AT_WARP);
    }
    for (unsigned int f = 0; f < n_fibres; ++f)
        if (fibres[f].state != DONE) {
            fprintf(stderr, "threads wait at different barriers\n");
            abort();
        }
}

static void run_grid(void (*of_kernel)(void *), void *with, const unsigned int *grid, const unsigned int *block)
{
    kernel = of_kernel;
    arguments = with;
    gridDim = (triple){grid[0], grid[1], grid[2]};
    blockDim = (triple){block[0], block[1], block[2]};
    for (blockIdx.z = 0; blockIdx.z < gridDim.z; ++blockIdx.z)
        for (blockIdx.y = 0; blockIdx.y < gridDim.y; ++blockIdx.y)
            for (blockIdx.x = 0; blockIdx.x < gridDim.x; ++blockIdx.x)
                run_block();
}

#define __syncthreads() leave(AT_BLOCK)
#define __syncwarp(lanes) leave(AT_WARP)
#define __threadfence() ((void)0)

static inline __attribute__((unused)) double exchanged(double value, unsigned int lanes)
{
    fibres[current].slot = value;
    leave(AT_WARP);
    value = fibres[current ^ lanes].slot;
    leave(AT_WARP);
    return value;
}
#define __shfl_xor_sync(mask, value, lanes) ((__typeof__(value))exchanged(value, lanes))

#define replaced(address, value)                  \
    ({                                            \
        const __typeof__(*(address)) old = *(address); \
        *(address) = (value);                     \
        old;                                      \
    })
#define atomicExch(address, value) replaced(address, value)
#define atomicAdd(address, value) replaced(address, *(address) + (value))
#define atomicMin(address, value) replaced(address, (value) < *(address) ? (value) : *(address))
#define atomicMax(address, value) replaced(address, (value) > *(address) ? (value) : *(address))
#define atomicInc(address, limit) replaced(address, *(address) >= (limit) ? 0 : *(address) + 1)
