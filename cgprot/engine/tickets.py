"""Which of the threads that share a replica does what, settled inside the compiled loops.

A stage of a small protein takes some 200 µs; to hand each one to a pool of threads, under the interpreter's
lock, would cost a quarter of that. So all the work of a call is numbered through, and whoever is free takes
the next number. Nobody waits for a thread that has not begun: where another program holds its processor,
the others do its work.
"""

# mypy: disable-error-code="call-arg"

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from cgprot.compiled import kernel
from cgprot.engine.network import zeros

TAKEN, DONE, VERDICT = 0, 8, 16  # each in a cache line of its own
LOOKS = 2000  # some µs

sched_yield = types.ExternalFunction("sched_yield", types.int32())


def new_tickets() -> np.ndarray:
    """(24,) int64: how many tickets are taken, how many done, and what ends all; zeros before each use."""
    return zeros((24,), np.int64)


@intrinsic
def count_up(typing_context, array, index):
    """array[index] += 1 as one step that no other thread can come between; returns the value before."""

    def generate(context, builder, signature, values):
        place = builder.gep(context.make_array(array)(context, builder, values[0]).data, [values[1]])
        return builder.atomic_rmw("add", place, ir.Constant(ir.IntType(64), 1), "seq_cst")

    return types.int64(array, index), generate


@intrinsic
def look(typing_context, array, index):
    """array[index] as other threads left it."""

    def generate(context, builder, signature, values):
        place = builder.gep(context.make_array(array)(context, builder, values[0]).data, [values[1]])
        return builder.load_atomic(place, "seq_cst", 8)

    return types.int64(array, index), generate


@kernel
def wait_for(tickets, n_done):
    """Return once so many tickets are done, or with the verdict, which is 0 otherwise.

    After some looks a thread lets others have the processor: the one it waits for may need it.
    """
    looks = 0
    while look(tickets, DONE) < n_done and look(tickets, VERDICT) == 0:
        looks += 1
        if looks >= LOOKS:
            sched_yield()
    return look(tickets, VERDICT)
