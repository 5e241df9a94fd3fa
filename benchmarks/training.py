"""Milliseconds per optimiser step, beside TorchMD-Net with the same weights, in the same run.

    python benchmarks/training.py
    python benchmarks/training.py --structure analysis/validation/structures/ff_villin_2f4k.pdb --device cuda

A step is: energy, forces that can be differentiated again, the force loss, its gradient, Adam. Both sides
take steps in turn, each with its own copy of the weights; the first lines compare their losses, forces and
gradients before any step is taken. Peak memory is that of a child process that takes steps of one
side only, beyond what it holds when the model is built. Without --structure the frames are chignolins side by
side, cut off at villin's 287 beads. The last line is `ratio <number>`: the peer's time over ours.
"""

import argparse
import copy
import multiprocessing
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from inputs import EXAMPLE, load_peer, read_beads
from tqdm import tqdm

from cgprot.model.graph import Graph, build_graph
from cgprot.model.potential import ModelConfig, Potential

VILLIN_BEADS = 287
TYPICAL_FORCE = 30.0  # kcal/mol/Å


def side_by_side(positions: np.ndarray, n_beads: int) -> np.ndarray:
    """Copies of a structure in a row that touch, cut off at n_beads; (n_beads, 3) [Å]."""
    step = np.array([np.ptp(positions[:, 0]) + 1.5, 0, 0])
    copies = [positions + k * step for k in range(-(-n_beads // len(positions)))]
    return np.concatenate(copies)[:n_beads]


def make_frames(options: argparse.Namespace) -> tuple[Graph, torch.Tensor]:
    """The batch, and labels of the size of real forces (n_total, 3) [kcal/mol/Å]."""
    bead_type, start = read_beads(options.structure or EXAMPLE)
    if options.structure is None:
        bead_type, start = np.resize(bead_type, VILLIN_BEADS), side_by_side(start, VILLIN_BEADS)
    rng = np.random.default_rng(0)
    frames = start + rng.normal(scale=0.05, size=(options.frames, *start.shape))
    labels = rng.normal(scale=TYPICAL_FORCE, size=(options.frames * len(start), 3))
    graph = build_graph(frames, bead_type, options.cutoff)
    return graph.to(options.device), torch.as_tensor(labels, dtype=torch.float32, device=options.device)


def make_potential(options: argparse.Namespace) -> Potential:
    torch.manual_seed(0)
    config = ModelConfig(
        channels=options.channels, layers=options.layers, rbf=options.rbf, cutoff=options.cutoff
    )
    potential = Potential(config)
    potential.energy_scale.fill_(TYPICAL_FORCE)
    return potential.to(options.device)


class Side:
    """One program: a model, its forces, and an optimiser over its weights."""

    def __init__(self, model: torch.nn.Module, forces: Callable[[Graph], torch.Tensor]) -> None:
        self.forces = forces
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        self.optimiser = torch.optim.Adam(self.weights, lr=1e-4)

    def loss(self, graph: Graph, labels: torch.Tensor) -> torch.Tensor:
        """The loss; its gradient is then in the weights."""
        loss = ((self.forces(graph) - labels) ** 2).mean() / TYPICAL_FORCE**2
        self.optimiser.zero_grad()
        loss.backward(inputs=self.weights)
        return loss

    def step(self, graph: Graph, labels: torch.Tensor) -> float:
        loss = self.loss(graph, labels)
        self.optimiser.step()
        return loss.item()


def our_side(potential: Potential, intervals: int | None) -> Side:
    potential.network.edge_intervals = intervals
    return Side(potential, lambda graph: potential.energy_and_forces(graph, create_graph=True)[1])


def peer_side(potential: Potential, _: int | None) -> Side:
    module = load_peer()
    peer = module.peer_of(potential).to(potential.energy_scale.device).train()
    return Side(peer, lambda graph: module.peer_energy_and_forces(peer, graph)[1])


SIDES = {"cgprot": our_side, "TorchMD-Net": peer_side}


def peak_memory(name: str, options: argparse.Namespace, answer) -> None:
    """Send the MiB that three steps of one side need; run in a process of its own."""
    torch.set_num_threads(options.threads)
    graph, labels = make_frames(options)
    small = build_graph(laid_out(4), np.ones(4, int), options.cutoff)
    side = SIDES[name](make_potential(options), options.tables)
    side.step(small.to(options.device), labels[:4])
    # The peak so far, of loading and compiling, is forgotten.
    if options.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before, peak = torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated
    else:
        Path("/proc/self/clear_refs").write_text("5")
        before, peak = memory_status("VmRSS"), lambda: memory_status("VmHWM")
    for _ in range(3):
        side.step(graph, labels)
    answer.put((peak() - before) / 2**20)


def memory_status(name: str) -> int:
    """A line of Linux's /proc/self/status [bytes]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))


def laid_out(n_beads: int) -> np.ndarray:
    """(1, n_beads, 3) [Å], for a first step that loads and compiles what there is."""
    return np.arange(3.0 * n_beads).reshape(1, n_beads, 3)


def measure_memory(options: argparse.Namespace) -> dict[str, float]:
    context = multiprocessing.get_context("spawn")
    memory = {}
    for name in SIDES:
        answer = context.Queue()
        child = context.Process(target=peak_memory, args=(name, options, answer))
        child.start()
        memory[name] = answer.get()
        child.join()
    return memory


def relative(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a - b).abs().max() / b.abs().max())


def print_agreement(sides: dict[str, Side], graph: Graph, labels: torch.Tensor) -> None:
    """Loss, forces and gradient of both sides before the first step, ours against the peer's."""
    ours, theirs = sides.values()
    losses = [side.loss(graph, labels).item() for side in (ours, theirs)]
    forces = [side.forces(graph).detach() for side in (ours, theirs)]
    norms = [
        torch.cat([w.grad.flatten() for w in side.weights if w.grad is not None]).norm().item()
        for side in (ours, theirs)
    ]
    print(f"loss      {losses[0]:.6f} and {losses[1]:.6f}")
    print(f"forces    largest difference {relative(*forces):.1e} of the largest force")
    print(f"gradient  norm {norms[0]:.6f} and {norms[1]:.6f}")


def alternate(steps: list[Callable], rounds: int) -> np.ndarray:
    """Seconds and processor seconds per call, (rounds, len(steps), 2), after one call each to warm up."""
    for step in steps:
        step()
    times = np.empty((rounds, len(steps), 2))
    for row in tqdm(times, disable=not sys.stderr.isatty()):
        for k, step in enumerate(steps):
            start = time.perf_counter(), time.process_time()
            step()
            row[k] = time.perf_counter() - start[0], time.process_time() - start[1]
    return times


def run(options: argparse.Namespace) -> None:
    torch.set_num_threads(options.threads)
    graph, labels = make_frames(options)
    potential = make_potential(options)
    sides = {name: make(copy.deepcopy(potential), options.tables) for name, make in SIDES.items()}
    weights = sum(w.numel() for w in potential.parameters())
    print(f"{options.frames} x {len(labels) // options.frames} beads, {graph.edges.shape[1]} edges, ", end="")
    print(
        f"{options.channels} channels, {weights} weights, {options.threads} threads, {options.rounds} rounds"
    )
    print_agreement(sides, graph, labels)
    times = alternate([lambda s=side: s.step(graph, labels) for side in sides.values()], options.rounds)
    memory = measure_memory(options)
    print("program        ms/step   quartiles            ms/bead   processor ms   peak memory [MiB]")
    for k, name in enumerate(sides):
        low, middle, high = np.quantile(1e3 * times[:, k, 0], [0.25, 0.5, 0.75])
        processor = 1e3 * np.median(times[:, k, 1])
        print(f"{name:<12} {middle:9.1f}   {low:.1f} to {high:.1f}   ", end="")
        print(f"{middle / len(labels):9.4f}   {processor:12.1f}   {memory[name]:9.0f}")
    print(f"processor time ratio {np.median(times[:, 1, 1] / times[:, 0, 1]):.2f}")
    print(f"memory ratio {memory['TorchMD-Net'] / memory['cgprot']:.2f}")
    print(f"ratio {np.median(times[:, 1, 0] / times[:, 0, 0]):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--structure", type=Path, help="a structure instead of the frames from examples/")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--rbf", type=int, default=32)
    parser.add_argument("--cutoff", type=float, default=5.0, help="Å")
    parser.add_argument(
        "--tables",
        type=lambda text: int(text) or None,
        default=1024,
        help="intervals of the tables of our edge networks; 0, and on a GPU: the networks themselves",
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.device == "cuda":  # as cgprot.train has it there
        options.tables = None
    run(options)


if __name__ == "__main__":
    main()
