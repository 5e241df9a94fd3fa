"""What the integrator adds to a step: the compiled one, the law in NumPy, and the forces beside them.

    python benchmarks/integrator.py [--replicas 1 4 64] [--threads 1]

All three are called in turn on chignolin with heavy-demo, and the median of each is told. One thread is timed
by its own processor time, to which other work on the machine does not add. The last line is
`ratio <number>`: the law's median time over that of the compiled step, for most replicas.
"""

import argparse
import time

import numpy as np
from inputs import ROOT

from cgprot.engine.cpu import CpuEngine
from cgprot.engine.tables import tabulate
from cgprot.model.checkpoint import load_model
from cgprot.simulate.forces import TABLE_INTERVALS
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.start import load_start

STRUCTURE = ROOT / "examples" / "chignolin_300K.pdb"


def medians(calls, rounds, clock):
    """Of every function, called in turn [µs]."""
    times = []
    for _ in range(rounds):
        for call in calls:
            began = clock()
            call()
            times.append(clock() - began)
    return 1e6 * np.median(np.reshape(times, (rounds, len(calls))), axis=0)


def measure(start, compressed, replicas, threads, rounds):
    """Medians [µs] of the law, the compiled step and the forces."""
    engine = CpuEngine(compressed, start.system.bead_type, replicas, n_threads=threads)
    x = np.repeat(start.positions[:1].astype(np.float64), replicas, 0)
    arguments = (start.system.mass, 0.002, 1.0, 300.0, 1, np.arange(replicas))
    law, compiled = (Integrator("langevin", *arguments, name, threads) for name in ("numpy", "numba"))
    v, force = compiled.starting_velocities(), engine(x)[1]
    calls = [lambda: law.step(x, v, force, 1), lambda: compiled.step(x, v, force, 1), lambda: engine(x)]
    clock = time.thread_time if threads == 1 else time.perf_counter
    medians(calls, 2, clock)
    return medians(calls, rounds, clock)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 4, 64])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=10.0, help="for each number of replicas")
    options = parser.parse_args()
    potential, metadata = load_model("heavy-demo")
    start, compressed = load_start(STRUCTURE, metadata["mapping"]), tabulate(potential, TABLE_INTERVALS)
    print(
        "| replicas | NumPy [µs] | compiled [µs] | forces [µs] | share of the integrator |\n"
        + "|---" * 5
        + "|"
    )
    for replicas in options.replicas:
        rounds = max(11, round(options.seconds / (1.5e-3 * replicas)))
        law, compiled, forces = measure(start, compressed, replicas, options.threads, rounds)
        share = compiled / (compiled + forces)
        print(f"| {replicas} | {law:.0f} | {compiled:.0f} | {forces:.0f} | {share:.1%} |", flush=True)
    print(f"ratio {law / compiled:.2f}")


if __name__ == "__main__":
    main()
