"""Nanoseconds a day of `cgprot simulate`, and of all-atom OpenMM on the same protein in the same run.

    python benchmarks/simulate.py                                    # chignolin
    python benchmarks/simulate.py --structure analysis/validation/structures/ff_villin_2f4k.pdb --replicas 1 4
    python benchmarks/simulate.py --append rows.csv --plot docs/simulate.png

Ours is the loop of a simulation as users run it (`cgprot.simulate.run`): compressed forces, compiled
integrator, guards every 10 steps, frames every 1 ps, checkpoints every 10 ps. What is due less often than the
steps measured counts with the share of its steps. One thread each, and processor time, which is blind to
other work on the machine; writing counts by the clock, for it waits for the disk. The two programs take
turns; the last line is `ratio <number>`: OpenMM's time per ns in implicit solvent (OBC2) over ours for one
replica of the last protein, both with steps of 2 fs, median over the rounds.
"""

import argparse
import csv
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from all_atom import AllAtom, explicit, implicit
from inputs import EXAMPLE

from cgprot.beads import BeadFrames
from cgprot.engine.cpu import engine_forces
from cgprot.engine.tables import tabulate
from cgprot.model.checkpoint import load_model
from cgprot.model.graph import build_graph
from cgprot.model.potential import ModelConfig, Potential
from cgprot.reference.structure import Structure, load_structure
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.forces import TABLE_INTERVALS
from cgprot.simulate.guard import Guard
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.loop import Loop
from cgprot.simulate.minimise import minimise
from cgprot.simulate.record import Record
from cgprot.simulate.run import simulate
from cgprot.simulate.start import load_start
from cgprot.units import FS_PER_PS, PS_PER_NS, SECONDS_PER_DAY

STEP_PS = 0.002
FEWEST_STEPS = 20
PARTS = {"integrator": (Integrator, "step"), "guard": (Guard, "violations"), "frame": (Record, "frame")}
PARTS |= {"checkpoint": (Record, "checkpoint"), "loop": (Loop, "to_end")}
# Steps between two of them, by default.
EVERY = {"forces": 1, "integrator": 1, "guard": 10, "frame": 500, "checkpoint": 5000}


class Clocks(defaultdict):
    """{part: [calls, seconds, seconds by the clock]}."""

    def __init__(self, threads: int) -> None:
        super().__init__(lambda: [0, 0.0, 0.0])
        self._clock = time.process_time if threads == 1 else time.perf_counter

    def around(self, name: str, task: Callable) -> Callable:
        """The task, its time taken; what happens before the loop does not count."""
        clock = self._clock

        def timed(*arguments: Any, **options: Any) -> Any:
            if name == "loop":
                self.clear()
            began = clock(), time.perf_counter()
            try:
                return task(*arguments, **options)
            finally:
                entry = self[name]
                entry[1] += clock() - began[0]
                entry[2] += time.perf_counter() - began[1]
                entry[0] += 1

        return timed

    @contextmanager
    def taken(self) -> Iterator[None]:
        """In here every part of the loop is."""
        tasks = {name: getattr(*place) for name, place in PARTS.items()}
        for name, (owner, method) in PARTS.items():
            setattr(owner, method, self.around(name, tasks[name]))
        try:
            yield
        finally:
            for name, (owner, method) in PARTS.items():
                setattr(owner, method, tasks[name])

    def per_step(self, steps: int) -> dict[str, float]:
        """Seconds of every part in a step of a long run; `rest` is the loop itself."""
        column = {"frame": 2, "checkpoint": 2}  # writing waits for the disk
        parts = {name: self[name][column.get(name, 1)] / self[name][0] for name in EVERY}
        rest = self["loop"][1] - sum(self[name][1] for name in EVERY)
        return {name: seconds / EVERY[name] for name, seconds in parts.items()} | {"rest": rest / steps}


class Bench(NamedTuple):
    """A protein, ready to run."""

    name: str
    start: BeadFrames  # a minimum
    potential: Any  # its tables
    temperature: float


def prepare(path: Path, options: argparse.Namespace) -> Bench:
    """Beads at a minimum of the model, or where they are for random weights, which have none."""
    start = load_start(path, "heavy")
    name = path.stem.removeprefix("ff_")
    if options.channels is None:
        tables = tabulate(load_model(options.model)[0], TABLE_INTERVALS)
        minimum = minimise(engine_forces(tables, start.system.bead_type, 1), start.positions, 1.0)
        return Bench(name, replace(start, positions=minimum.positions), tables, 300.0)
    torch.manual_seed(0)
    potential = Potential(ModelConfig(channels=options.channels, layers=1, rbf=32, cutoff=5.0))
    graph = build_graph(start.positions, start.system.bead_type, 5.0)
    # So weak that nothing moves far, in a bath of 0 K, which no guard of the temperature watches:
    # speed depends on neither.
    potential.energy_scale.mul_(1e-4 / potential.energy_and_forces(graph)[1].std())
    return Bench(name, start, tabulate(potential, TABLE_INTERVALS), 0.0)


def run_ours(bench: Bench, replicas: int, steps: int, threads: int) -> dict[str, float]:
    """Seconds a step, by part."""
    clocks = Clocks(threads)
    forces = engine_forces(bench.potential, bench.start.system.bead_type, replicas)
    config = SimulateConfig(
        temperature=bench.temperature,
        time_ps=steps * STEP_PS,
        timestep_fs=STEP_PS * FS_PER_PS,
        replicas=replicas,
        output_every_ps=steps // 2 * STEP_PS,
        checkpoint_every_ps=steps // 2 * STEP_PS,
    )
    with tempfile.TemporaryDirectory() as folder, clocks.taken():
        simulate(bench.start, clocks.around("forces", forces), config, Path(folder) / "run", {}, [])
    return clocks.per_step(steps)


def steps_in(seconds: float, per_step: float) -> int:
    return max(FEWEST_STEPS, 20 * round(seconds / per_step / 20))


def ns_per_day(seconds_a_step: float) -> float:
    return STEP_PS / PS_PER_NS * SECONDS_PER_DAY / seconds_a_step


def compare(bench: Bench, structure: Structure, options: argparse.Namespace) -> tuple[list[list], float]:
    """Rows of OpenMM's kinds beside ours for one replica, and the ratio in implicit solvent."""
    kinds = {"OpenMM, OBC2": implicit(structure, "obc2")}
    if not options.only_obc2:
        kinds |= {"OpenMM, GBn2": implicit(structure, "gbn2"), "OpenMM, TIP3P + PME": explicit(structure)}
    peers = {name: AllAtom(*parts, STEP_PS, options.threads) for name, parts in kinds.items()}
    share = options.seconds / options.rounds / 2
    ours = sum(run_ours(bench, 1, FEWEST_STEPS, options.threads).values())
    steps = {name: max(3, round(share / peer.run(3))) for name, peer in peers.items()}
    times = np.array(
        [
            [sum(run_ours(bench, 1, steps_in(share, ours), options.threads).values())]
            + [peer.run(steps[name]) for name, peer in peers.items()]
            for _ in range(options.rounds)
        ]
    )
    rows = [["cgprot", bench.start.system.n_beads, np.median(times[:, 0]), 1.0]]
    for (name, peer), column in zip(peers.items(), times.T[1:], strict=True):
        rows.append([name, peer.n_atoms, np.median(column), np.median(column / times[:, 0])])
    return rows, rows[1][3]


def spread(bench: Bench, options: argparse.Namespace) -> list[dict]:
    """A row for every number of replicas whose fewest steps are affordable."""
    run_ours(bench, 1, FEWEST_STEPS, options.threads)  # compiles
    rows, one = [], run_ours(bench, 1, FEWEST_STEPS, options.threads)["forces"]
    for replicas in options.replicas:
        if FEWEST_STEPS * one * replicas > 3 * options.seconds:
            continue
        parts = run_ours(bench, replicas, steps_in(options.seconds, one * replicas), options.threads)
        whole = sum(parts.values())
        row = {"protein": bench.name, "beads": bench.start.system.n_beads, "replicas": replicas}
        row |= {"ms_per_step": 1e3 * whole, "ns_per_day": replicas * ns_per_day(whole)}
        row |= {f"{name}_share": seconds / whole for name, seconds in parts.items()}
        print(
            f"| {row['protein']} | {row['beads']} | {replicas} | {row['ms_per_step']:.3f} | "
            f"{row['ns_per_day']:.1f} | {row['integrator_share']:.2%} | {row['guard_share']:.2%} | "
            f"{row['frame_share'] + row['checkpoint_share']:.2%} | {row['rest_share']:.2%} | "
            f"{1 - row['forces_share']:.2%} |",
            flush=True,
        )
        rows.append(row)
    return rows


def draw(path: Path, rows: list[dict]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.6), layout="constrained")
    for protein in dict.fromkeys(row["protein"] for row in rows):
        own = [row for row in rows if row["protein"] == protein]
        replicas = [int(row["replicas"]) for row in own]
        label = f"{protein}, {own[0]['beads']} beads"
        left.loglog(replicas, [float(row["ns_per_day"]) for row in own], "o-", label=label)
        share = [100 * (1 - float(row["forces_share"])) for row in own]
        right.semilogx(replicas, share, "o-", label=label)
    left.set_ylabel("ns/day, all replicas together")
    right.set_ylabel("step outside the forces [%]")
    right.axhline(10, color="gray", linestyle=":")
    right.set_ylim(0, 12)
    for axis in (left, right):
        axis.set_xlabel("replicas")
    left.legend(frameon=False)
    figure.savefig(path, dpi=150)


def add_rows(path: Path, rows: list[dict]) -> list[dict]:
    """What a file of earlier runs holds together with these rows, which replace those of the same point."""
    known: dict[tuple, dict] = {}
    if path.exists():
        known = {(row["protein"], int(row["replicas"])): row for row in csv.DictReader(path.open())}
    known |= {(row["protein"], row["replicas"]): row for row in rows}
    with open(path, "w", newline="") as stream:
        table = csv.DictWriter(stream, list(next(iter(known.values()))))
        table.writeheader()
        table.writerows(known.values())
    return list(known.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structure", type=Path, nargs="+", default=[EXAMPLE], help="all-atom")
    parser.add_argument("--model", default="heavy-demo")
    parser.add_argument("--channels", type=int, help="random weights of so many channels instead of a model")
    parser.add_argument("--replicas", type=int, nargs="*", default=[1, 4, 16, 64, 256])
    parser.add_argument("--seconds", type=float, default=10.0, help="of a point, about")
    parser.add_argument("--rounds", type=int, default=5, help="of turns")
    parser.add_argument("--threads", type=int, default=1, help="with several, times are by the clock")
    parser.add_argument("--only-obc2", action="store_true", help="leave the other solvents out")
    parser.add_argument("--append", type=Path, help="CSV of rows, to draw several runs together")
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    benches = [prepare(path, options) for path in options.structure]
    rows: list[dict] = []
    if options.replicas:
        shares = "integrator | guard | output | loop | all four"
        print(f"| protein | beads | replicas | ms/step | ns/day | {shares} |")
        print("|---" * 10 + "|")
        rows = [row for bench in benches for row in spread(bench, options)]
    print("| protein | program | particles | ms/step | ns/day | its time per ns over ours |")
    print("|---" * 6 + "|")
    for bench, path in zip(benches, options.structure, strict=True):
        table, ratio = compare(bench, load_structure(path), options)
        for program, particles, seconds, factor in table:
            figures = f"{1e3 * seconds:.3f} | {ns_per_day(seconds):.2f} | {factor:.2f}"
            print(f"| {bench.name} | {program} | {particles} | {figures} |", flush=True)
    if options.append and rows:
        rows = add_rows(options.append, rows)
    if options.plot:
        draw(options.plot, rows)
    print(f"ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
