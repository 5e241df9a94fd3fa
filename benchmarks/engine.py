"""Milliseconds per step of the engine, beside TorchMD-Net with the same weights, in the same run.

    python benchmarks/engine.py --structure chignolin --peer torchmd-net
    python benchmarks/engine.py --structure chignolin --peer torchmd-net --device cuda
    python benchmarks/engine.py --scaling --plot docs/engine.png

Both take turns of a few calls in a row, as in a simulation, and the median of each is told; what else the
machine does then strikes both alike. A turn begins with a pause, so that the threads of the one no longer
spin, waiting for work, when the other begins, and with a call that is not counted, for its caches.
The weights are random, scaled to forces of 30 kcal/mol/Å; speed does not depend on them. The last line is
`ratio <number>`: the peer's median time over ours (for --scaling, the fitted exponent of time in beads
without order, from 1,000 on). On a GPU both replay a CUDA graph, the peer with its Warp kernels, and each
call is waited for.
"""

import argparse
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from inputs import EXAMPLE, ROOT, load_peer, read_beads
from tqdm import tqdm

from cgprot.engine.cpu import CpuEngine
from cgprot.engine.cuda import CudaEngine
from cgprot.engine.tables import CompressedPotential, tabulate
from cgprot.model.graph import build_graph
from cgprot.model.potential import ModelConfig, Potential

STRUCTURES = {
    "chignolin": EXAMPLE,
    "villin": ROOT / "analysis" / "validation" / "structures" / "ff_villin_2f4k.pdb",
}
INTERVALS = 1024
TYPICAL_FORCE = 30.0  # kcal/mol/Å
ARRANGEMENTS = ("chains in order", "beads in none", "a liquid in none")
SPACING = 2.57  # Å, one heavy atom in 17 Å³
CALLS = 4  # of a turn
PAUSE = 0.02  # s; OpenMP's threads spin for some ms before they sleep


def random_potential(config: ModelConfig, bead_type: np.ndarray, positions: np.ndarray) -> Potential:
    torch.manual_seed(0)
    potential = Potential(config)
    forces = potential.energy_and_forces(build_graph(positions[None], bead_type, config.cutoff))[1]
    potential.energy_scale.mul_(TYPICAL_FORCE / forces.std())
    return potential


def peer_step(potential: Potential, bead_type: np.ndarray, positions: np.ndarray) -> Callable[[], np.ndarray]:
    """Energy and forces by TorchMD-Net."""
    peer = load_peer().peer_of(potential).eval()
    n_replicas, n_beads = positions.shape[:2]
    types = torch.from_numpy(np.tile(np.asarray(bead_type, np.int64), n_replicas))
    batch = torch.arange(n_replicas).repeat_interleave(n_beads)
    flat = torch.from_numpy(positions.reshape(-1, 3).astype(np.float32))

    def step() -> np.ndarray:
        return peer(types, flat.clone(), batch)[1].detach().numpy().reshape(positions.shape)

    return step


def peer_step_cuda(
    potential: Potential, bead_type: np.ndarray, positions: np.ndarray
) -> Callable[[], np.ndarray]:
    """The same on a GPU, as its own calculator runs it: static shapes, a CUDA graph."""
    from torchmdnet.calculators import External

    peer = load_peer().peer_of(potential, static_shapes=True).eval().to("cuda")
    types = torch.from_numpy(np.tile(np.asarray(bead_type, np.int64), (len(positions), 1)))
    calculator = External(peer, types, device="cuda", use_cuda_graph=True)
    flat = torch.from_numpy(positions.reshape(-1, 3).astype(np.float32)).to("cuda")

    def step() -> torch.Tensor:
        forces = calculator.calculate(flat)[1]
        torch.cuda.synchronize()
        return forces

    return lambda: step().reshape(positions.shape)


def cuda_step(engine: CudaEngine, positions: np.ndarray) -> Callable[[], Any]:
    """A replay of the whole step, neighbours included."""
    import cupy

    on_device, stream = cupy.asarray(positions), cupy.cuda.Stream(non_blocking=True)
    engine(on_device)
    cupy.cuda.get_current_stream().synchronize()
    with stream:
        stream.begin_capture()
        forces = engine.launch(on_device)[1]
        graph = stream.end_capture()

    def step() -> Any:
        graph.launch(stream)
        stream.synchronize()
        return forces

    return step


def to_numpy(forces: Any) -> np.ndarray:
    """Of whichever library and device."""
    on_host = forces.get() if hasattr(forces, "get") else forces
    return np.array(on_host.cpu() if hasattr(on_host, "cpu") else on_host)


def alternate(steps: list[Callable], rounds: int) -> np.ndarray:
    """Seconds per call, (rounds, len(steps)): the median of a turn; the first turn is to compile."""
    times = np.empty((rounds + 1, len(steps)))
    for row in tqdm(times, disable=not sys.stderr.isatty()):
        for k, step in enumerate(steps):
            time.sleep(PAUSE)
            row[k] = np.median([seconds(step) for _ in range(CALLS)][1:])
    return times[1:]


def seconds(step: Callable) -> float:
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def operations(config: ModelConfig, n_beads: int, n_edges: int) -> tuple[float, float]:
    """Floating-point operations of a step, those of the channel products and those of the edges.

    Products: per bead 17 C² multiply-adds in the embedding, 18 C² a layer, 3.5 C² to read out; as many
    again backwards. Edges, multiply-adds per channel: embedding 24, messages 18 there and 18 back, and
    38 to differentiate the embedding, 24 the messages.
    """
    C, L = config.channels, config.layers
    products = 2 * 2 * (20.5 + 18 * L) * C**2 * n_beads
    return products, 2.0 * (62 + 60 * L) * C * n_edges


def on_what(device: str) -> str:
    """The processor that computes."""
    return torch.cuda.get_device_name() if device == "cuda" else f"{torch.get_num_threads()} threads"


def compare(options: argparse.Namespace, config: ModelConfig) -> None:
    bead_type, start = read_beads(options.structure)
    shape = (options.replicas, *start.shape)
    positions = start + np.random.default_rng(0).normal(scale=0.03, size=shape)
    potential = random_potential(config, bead_type, start)
    on_gpu = options.device == "cuda"
    engine: Any = (CudaEngine if on_gpu else CpuEngine)(
        tabulate(potential, INTERVALS), bead_type, options.replicas
    )
    steps: dict[str, Callable] = {
        "cgprot engine": cuda_step(engine, positions) if on_gpu else lambda: engine(positions)[1]
    }
    if options.peer:
        steps["TorchMD-Net"] = (peer_step_cuda if on_gpu else peer_step)(potential, bead_type, positions)
    forces = [to_numpy(step()) for step in steps.values()]
    times = alternate(list(steps.values()), options.rounds)
    medians = 1e3 * np.median(times, axis=0)
    if on_gpu:
        n_edges = int(engine.array("count").sum())
    else:
        n_edges = int(engine.edges[0].start[-1]) * options.replicas
    products, edges = operations(config, len(start) * options.replicas, n_edges)
    print(f"{options.replicas} x {len(start)} beads, {n_edges} edges, {config.channels} channels, ", end="")
    print(f"{config.layers} layers, {on_what(options.device)}, {options.rounds} rounds")
    print(f"products {products / 1e9:.3f} GFLOP, edges {edges / 1e9:.3f} GFLOP a step")
    print("program          ms/step   quartiles          GFLOP/s   largest |dF| [kcal/mol/Å]")
    for name, median, column, force in zip(steps, medians, times.T, forces, strict=True):
        low, high = 1e3 * np.quantile(column, [0.25, 0.75])
        rate, apart = (products + edges) / median / 1e6, np.abs(force - forces[0]).max()
        print(f"{name:<14} {median:9.3f}   {low:.3f} to {high:.3f}   {rate:9.1f}   {apart:.1e}")
    print(f"ratio {np.median(times[:, -1] / times[:, 0]):.2f}")


def crowd(start: np.ndarray, n_beads: int) -> np.ndarray:
    """Copies of a structure side by side, cut off at n_beads; (n_beads, 3) [Å]."""
    copies = -(-n_beads // len(start))
    side = int(np.ceil(copies ** (1 / 3)))
    grid = np.stack(np.unravel_index(np.arange(copies), (side,) * 3), axis=-1)
    places = grid * (np.ptp(start, axis=0) + 3.0)  # the copies touch
    return (places[:, None] + start).reshape(-1, 3)[:n_beads]


def liquid(n_beads: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Beads as dense as in a protein, a shaken lattice in no order; (n_beads, 3) [Å], and their box."""
    side, edge = int(np.ceil(n_beads ** (1 / 3))), SPACING * n_beads ** (1 / 3)
    places = np.stack(np.unravel_index(rng.permutation(side**3)[:n_beads], (side,) * 3), axis=-1)
    return edge / side * (places + rng.uniform(-0.25, 0.25, size=places.shape)), edge * np.eye(3)


def time_of(
    compressed: CompressedPotential,
    bead_type: np.ndarray,
    positions: np.ndarray,
    rounds: int,
    box: np.ndarray | None = None,
) -> float:
    """Median [ms] of a step."""
    engine = CpuEngine(compressed, bead_type, len(positions), box=box)
    return 1e3 * float(np.median(alternate([lambda: engine(positions)], rounds)))


def scaling(options: argparse.Namespace, config: ModelConfig) -> None:
    """Replicas; a structure's copies in the order of their chains and in none; a liquid in none."""
    bead_type, start = read_beads(options.structure)
    compressed = tabulate(random_potential(config, bead_type, start), INTERVALS)
    replicas, of_replicas = [1, 2, 4, 8, 16, 32, 64], []
    for n in replicas:
        of_replicas.append(time_of(compressed, bead_type, np.repeat(start[None], n, axis=0), 5))
        print(f"{n:7d} replicas {of_replicas[-1]:10.3f} ms/step")
    beads, of_beads = [100, 300, 1000, 3000, 10000, 30000, 100000], []
    print(f"ms/step with    {'   '.join(f'{name:>15}' for name in ARRANGEMENTS)}")
    for n in beads:
        rng, types, chains = np.random.default_rng(n), np.resize(bead_type, n), crowd(start, n)
        order, (anywhere, box) = rng.permutation(n), liquid(n, rng)
        rounds = 1 if n > 30000 else 3 if n > 3000 else 9
        systems = [(types, chains, None), (types[order], chains[order], None), (types, anywhere, box)]
        of_beads.append([time_of(compressed, t, p[None], rounds, b) for t, p, b in systems])
        print(f"{n:7d} beads   {'   '.join(f'{time:15.2f}' for time in of_beads[-1])}", flush=True)
    print(f"largest memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.2f} GiB")
    exponents = np.polyfit(np.log(beads[2:]), np.log(of_beads[2:]), 1)[0]
    print("exponents " + " ".join(f"{exponent:.3f}" for exponent in exponents))
    if options.plot:
        draw(options.plot, config, (beads, np.array(of_beads)), (replicas, of_replicas), len(start))
    print(f"ratio {exponents[1]:.3f}")


def draw(path: Path, config: ModelConfig, beads, replicas, n_beads: int) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
    x = np.array(beads[0])
    colours = ("tab:blue", "tab:orange", "tab:green")
    for column, name, colour in zip(beads[1].T, ARRANGEMENTS, colours, strict=True):
        left.semilogx(x, 1e3 * column / x, "o-", color=colour, label=name)
    left.set(xlabel="beads of one structure", ylabel="µs per step and bead", ylim=(0, None))
    x, y = np.array(replicas[0]), np.array(replicas[1])
    right.loglog(x, y, "o-", color="tab:blue", label="measured")
    right.loglog(x, y[-1] * x / x[-1], ":", color="gray", label="proportional")
    right.set(xlabel=f"replicas of {n_beads} beads", ylabel="ms per step")
    for axis in (left, right):
        axis.legend(frameon=False)
    figure.suptitle(
        f"{config.channels} channels, {config.layers} layer(s), {config.cutoff:g} Å, {on_what('cpu')}"
    )
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--structure",
        type=lambda word: STRUCTURES.get(word, Path(word)),
        default="chignolin",
        help="chignolin, villin, or a path",
    )
    parser.add_argument("--peer", choices=["torchmd-net"])
    parser.add_argument("--channels", type=int, default=128)
    parser.add_argument("--layers", type=int, default=1)
    parser.add_argument("--rbf", type=int, default=32)
    parser.add_argument("--cutoff", type=float, default=5.0, help="Å")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--scaling", action="store_true", help="time against beads and against replicas")
    parser.add_argument("--plot", type=Path, help="where --scaling draws")
    options = parser.parse_args()
    config = ModelConfig(
        channels=options.channels, layers=options.layers, rbf=options.rbf, cutoff=options.cutoff
    )
    (scaling if options.scaling else compare)(options, config)


if __name__ == "__main__":
    main()
