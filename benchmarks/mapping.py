"""How fast all-atom data become beads, beside AMARO's method, and how much memory that takes.

    python benchmarks/mapping.py            about a minute
    python benchmarks/mapping.py --memory   also 0.5 GB and 5 GB files, some minutes and 11 GB of disk

AMARO's method, written afresh: copy the forces, add each hydrogen's to its heavy atom's in a loop
over the X-H bonds, kept in a set as there, and pick the heavy atoms. Both sides see the same arrays
of mdCATH's mean size and run in turn. The times are those on the wall clock and of the processor; rates
of arrays and the last line, AMARO's time over ours, go by the processor's, since both sides only
compute, in one thread, and a busy machine makes either wait at random. Rates of files go by the
wall clock.
"""

import argparse
import itertools
import multiprocessing
import os
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from synthetic_mdcath import write_mdcath, write_replica  # noqa: E402

from cgprot.beads import Topology  # noqa: E402
from cgprot.mapping.build import build_system  # noqa: E402
from cgprot.mapping.project import Projection  # noqa: E402
from cgprot.mapping.rules import load_rules  # noqa: E402
from cgprot.reference.campaign import map_campaign  # noqa: E402
from cgprot.reference.structure import structure_from_sequence, topology_of  # noqa: E402

N_ATOMS, N_FRAMES, N_RESIDUES = 2162, 464, 137  # mdCATH's means, doi:10.1038/s41597-024-04140-z
TEMPERATURES = (320, 348, 379, 413, 450)
RUNS = 15
FILE_RUNS = 5
# Atoms of a residue at pH 7 inside a chain; both termini together have three more.
SIZES = {
    "GLY": 7, "ALA": 10, "SER": 11, "THR": 14, "VAL": 16, "LEU": 19, "ILE": 19, "ASP": 12, "ASN": 14,
    "GLU": 15, "GLN": 17, "LYS": 22, "ARG": 24, "PHE": 20, "TYR": 21, "TRP": 24, "MET": 17, "PRO": 14,
}  # fmt: skip


def mean_domain() -> tuple[Topology, np.ndarray]:
    """A random chain of as many residues and atoms as mdCATH's mean domain, and its positions."""
    generator = np.random.default_rng(0)
    names = list(SIZES)
    while True:
        chain = generator.choice(names, N_RESIDUES)
        if sum(SIZES[name] for name in chain) + 3 == N_ATOMS:
            structure = structure_from_sequence("-".join(chain))
            return topology_of(structure.topology), structure.positions


class Amaro:
    """AMARO's method on arrays."""

    def __init__(self, topology: Topology) -> None:
        is_hydrogen = topology.element == "H"
        self.heavy = np.flatnonzero(~is_hydrogen)
        self.bonds = {frozenset(bond) for bond in topology.bonds.tolist() if is_hydrogen[bond].any()}

    def positions(self, coords: np.ndarray) -> np.ndarray:
        return coords.copy()[:, self.heavy, :]

    def forces(self, forces: np.ndarray) -> np.ndarray:
        summed = forces.copy()
        for i, j in self.bonds:
            if i in self.heavy and j not in self.heavy:
                summed[:, i, :] += summed[:, j, :]
            elif j in self.heavy and i not in self.heavy:
                summed[:, j, :] += summed[:, i, :]
        return summed[:, self.heavy, :]


def median_times(runs: int, *tasks) -> np.ndarray:
    """Median seconds of each task, (n_tasks, 2): on the wall clock and of this process; tasks take turns."""
    times = np.empty((runs, len(tasks), 2))
    for run in range(runs):
        for index, task in enumerate(tasks):
            began = time.perf_counter(), time.process_time()
            task()
            times[run, index] = time.perf_counter() - began[0], time.process_time() - began[1]
    return np.median(times, axis=0)


def compare_arrays(topology: Topology, coords: np.ndarray, forces: np.ndarray) -> float:
    """Frames per second on arrays; returns AMARO's time over ours."""
    rules = load_rules("heavy")
    projection = Projection(topology, build_system(topology, rules), rules)
    amaro = Amaro(topology)
    buffers = np.empty((2, len(coords), len(amaro.heavy), 3), dtype=np.float32)
    assert np.array_equal(amaro.positions(coords), projection.positions(coords))
    assert np.allclose(amaro.forces(forces), projection.forces(forces), atol=1e-4)

    def ours() -> None:
        projection.positions(coords, buffers[0])
        projection.forces(forces, buffers[1])

    def theirs() -> None:
        amaro.positions(coords)
        amaro.forces(forces)

    peer, own = median_times(RUNS, theirs, ours)
    for name, (wall, busy) in (("AMARO's loop", peer), ("cgprot", own)):
        row(f"arrays: {name}", f"{len(coords) / busy:12,.0f} frames/s", wall, busy)
    return peer[1] / own[1]


def compare_files(folder: Path, topology: Topology, coords: np.ndarray, forces: np.ndarray) -> None:
    """Whole files beside copying their bytes with h5py."""
    replicas = {
        f"{temperature}/{replica}": (coords, forces) for temperature in TEMPERATURES for replica in range(5)
    }
    path = write_mdcath(folder / "mdcath_dataset_bench.h5", "bench", topology, replicas)
    size = path.stat().st_size / 1e9
    rules = load_rules("heavy")
    fresh = itertools.count()

    def copy() -> None:
        with h5py.File(path) as old, h5py.File(folder / "copy.h5", "w") as new:
            for key in replicas:
                for name in ("coords", "forces"):
                    new[f"bench/{key}/{name}"] = old[f"bench/{key}/{name}"][:]
        descriptor = os.open(folder / "copy.h5", os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)

    def mapped() -> None:
        map_campaign([path], rules, folder / f"out{next(fresh)}")

    mapped()
    copied, own = median_times(FILE_RUNS, copy, mapped)
    for name, (wall, busy) in (("h5py copy", copied), ("cgprot map", own)):
        row(f"files: {name}", f"{size / wall:12.2f} GB/s", wall, busy)
    row("files: our speed over the copy's", f"{copied[0] / own[0]:12.2f}")


def _map_and_measure(path: Path, folder: Path, queue) -> None:
    map_campaign([path], load_rules("heavy"), folder)
    status = Path("/proc/self/status").read_text()
    queue.put(int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1e3)


def measure_memory(folder: Path, topology: Topology, coords: np.ndarray, forces: np.ndarray) -> None:
    """Peak memory of a fresh process that maps 0.5 GB and 5 GB."""
    context = multiprocessing.get_context("spawn")
    for gigabytes in (0.5, 5.0):
        path = write_mdcath(folder / f"mdcath_dataset_{gigabytes:g}.h5", f"{gigabytes:g}", topology, {})
        n_replicas = round(gigabytes * 1e9 / (coords.nbytes + forces.nbytes))
        with h5py.File(path, "r+") as file:
            for replica in range(n_replicas):
                write_replica(file[f"{gigabytes:g}"], f"320/{replica}", coords, forces, N_RESIDUES, 8.0)
        queue = context.SimpleQueue()
        process = context.Process(target=_map_and_measure, args=(path, folder / f"out{gigabytes:g}", queue))
        process.start()
        peak = queue.get()
        process.join()
        row(f"memory: {path.stat().st_size / 1e9:.2f} GB of mdCATH", f"{peak:12.0f} MB peak")
        path.unlink()


def row(what: str, value: str, wall: float | None = None, busy: float | None = None) -> None:
    times = "" if wall is None else f"{wall * 1e3:9.2f} ms  {busy * 1e3:9.2f} ms"
    print(f"{what:<36}{value:>24}  {times}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--memory", action="store_true", help="also map files of 0.5 GB and 5 GB")
    options = parser.parse_args()
    topology, positions = mean_domain()
    generator = np.random.default_rng(1)
    coords = (positions + generator.normal(scale=0.1, size=(N_FRAMES, N_ATOMS, 3))).astype(np.float32)
    forces = generator.normal(scale=20.0, size=coords.shape).astype(np.float32)
    print(f"{N_FRAMES} frames of {len(topology.element)} atoms, {RUNS} alternating runs, medians")
    print(f"{'':<62}{'wall':>12}{'processor':>14}")
    ratio = compare_arrays(topology, coords, forces)
    with tempfile.TemporaryDirectory() as folder:
        compare_files(Path(folder), topology, coords, forces)
        if options.memory:
            measure_memory(Path(folder), topology, coords, forces)
    print(f"ratio {ratio:.1f}")


if __name__ == "__main__":
    main()
