"""A simulation that runs for a day beside one that is killed and resumed all the while.

    python analysis/soak/soak.py -o soak                  # 24 hours
    python analysis/soak/soak.py -o soak --minutes 20

Two runs with the same options: one is left alone, and its memory is watched; the other is ended at random
moments, by kill -9, SIGTERM or SIGINT, and resumed. At the end both are told to stop, and every file is read:
frame k must belong to the time k, no two may be the same, the logs must have every row once, and what both
runs have reached must be equal, byte for byte. The last line says what was found; exit code 1 if anything
failed.
"""

import argparse
import csv
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from cgprot.files.dcd import read_dcd
from cgprot.files.folder import read_run
from cgprot.files.stop import Interrupted
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.state import CHECKPOINT, load_checkpoint

ROOT = Path(__file__).parent.parent.parent
FOREVER_PS = 1e6
LOOK_S = 2.0  # between two looks at the memory
LARGEST_GROWTH = 0.01
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# What each of them leaves as exit code; the last two if Python itself was still starting.
_ORDERLY = {Interrupted("", number).exit_code for number in (signal.SIGTERM, signal.SIGINT)}
ENDS = {-signal.SIGKILL, *_ORDERLY, -signal.SIGTERM, -signal.SIGINT}


class Counted(NamedTuple):
    """What a folder was found to hold."""

    frames: int
    problems: list[str]


def command(folder: Path, options: argparse.Namespace) -> list[str]:
    """Starts the run of a folder, or resumes it where there is something to resume."""
    begin = [sys.executable, "-m", "cgprot", "simulate"]
    if (folder / "run.json").exists():
        return [*begin, "--resume", str(folder)]
    shutil.rmtree(folder, ignore_errors=True)  # ended before its first step
    times = {
        "--time-ps": FOREVER_PS,
        "--output-every-ps": options.output_every_ps,
        "--checkpoint-every-ps": options.checkpoint_every_ps,
        "--replicas": options.replicas,
    }
    words = [str(word) for pair in times.items() for word in pair]
    start = [str(options.structure), "--model", options.model, "-o", str(folder)]
    return [*begin, *start, "--velocities", *words]


def start(folder: Path, options: argparse.Namespace) -> subprocess.Popen:
    with open(folder.with_suffix(".err"), "a") as errors:
        return subprocess.Popen(command(folder, options), stdout=subprocess.DEVNULL, stderr=errors)


def memory(process: subprocess.Popen) -> int:
    """Private memory [KiB], which the kernel cannot take back unasked as it can file pages."""
    lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next((int(line.split()[1]) for line in lines if line.startswith("RssAnon")), 0)


def growth(sizes: list[int]) -> float:
    """How much larger the last tenth is than the second one, by medians; the first one loads."""
    tenths = np.array_split(np.array(sizes, dtype=float), 10)
    return float(np.median(tenths[9]) / np.median(tenths[1]) - 1.0)


def run_both(alone: Path, killed: Path, options: argparse.Namespace) -> tuple[list[int], list[int]]:
    """Private memory of the first run, in order, and the signals that the second one got."""
    chance, sizes, sent = random.Random(options.seed), [], []
    first = start(alone, options)
    while not (alone / "run.json").exists() and first.poll() is None:  # it compiles what both need
        time.sleep(LOOK_S)
    ends = time.monotonic() + 60 * options.minutes
    second = start(killed, options)
    strike = time.monotonic() + chance.expovariate(1 / options.kill_every_s)
    with tqdm(total=options.minutes, unit="min", disable=not sys.stderr.isatty()) as bar:
        while (now := time.monotonic()) < ends and first.poll() is None and second.poll() is None:
            bar.update(options.minutes - (ends - now) / 60 - bar.n)
            time.sleep(max(0.0, min(LOOK_S, strike - now)))
            sizes.append(memory(first))
            if time.monotonic() >= strike:
                sent.append(chance.choice(SIGNALS))
                second.send_signal(sent[-1])
                refuse_other_end(second, killed)
                second = start(killed, options)
                strike = time.monotonic() + chance.expovariate(1 / options.kill_every_s)
    for process, folder in ((first, alone), (second, killed)):
        process.send_signal(signal.SIGTERM)
        refuse_other_end(process, folder)
    return sizes, sent


def refuse_other_end(process: subprocess.Popen, folder: Path) -> None:
    """Only what a signal brings about; SIGINT while Python starts is an exception of its own, and code 1."""
    code, errors = process.wait(), folder.with_suffix(".err")
    if code not in ENDS and not (code == 1 and errors.read_text().endswith("KeyboardInterrupt\n")):
        raise SystemExit(f"FAILED: {folder} ended with {code}, see {errors}")


def check(folder: Path) -> Counted:
    """What is lost, there twice or out of time in a folder, up to its last checkpoint."""
    config = SimulateConfig(**read_run(folder)["config"])
    step = load_checkpoint(folder / CHECKPOINT).state.step
    expected = step // config.output_steps + 1
    problems = []
    for path in sorted(folder.glob("*.dcd")):
        frames, times = read_dcd(path)
        if len(frames) < expected:
            problems.append(f"{path}: {len(frames)} frames at step {step}, expected {expected}")
        if not np.allclose(times, config.output_every_ps * np.arange(len(frames)), rtol=1e-6):
            problems.append(f"{path}: times are not those of the frames")
        same = np.flatnonzero((frames[1:] == frames[:-1]).all(axis=(1, 2)))
        problems += [f"{path}: frames {k} and {k + 1} are the same" for k in same]
    rows = [(int(row["step"]), int(row["replica"])) for row in csv.DictReader((folder / "log.csv").open())]
    steps = range(0, (len(rows) // config.replicas) * config.output_steps, config.output_steps)
    if len(rows) < expected * config.replicas or rows != [
        (step, replica) for step in steps for replica in range(config.replicas)
    ]:
        problems.append(f"{folder / 'log.csv'}: rows are missing, there twice or out of order")
    return Counted(expected, problems)


def compare(alone: Path, killed: Path, frames: int) -> list[str]:
    """Where two runs differ in their first frames."""
    problems = []
    for path in sorted(alone.glob("*.dcd")):
        if not np.array_equal(read_dcd(path, frames)[0], read_dcd(killed / path.name, frames)[0]):
            problems.append(f"{killed / path.name}: not the frames of the run that was left alone")
    logs = [(folder / "log.csv").read_text().splitlines() for folder in (alone, killed)]
    shorter = min(map(len, logs))
    if logs[0][:shorter] != logs[1][:shorter]:
        problems.append(f"{killed / 'log.csv'}: not the rows of the run that was left alone")
    return problems


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, required=True, help="new folder")
    parser.add_argument("--minutes", type=float, default=24 * 60)
    parser.add_argument("--kill-every-s", type=float, default=60.0, help="on average")
    parser.add_argument("--structure", type=Path, default=ROOT / "examples" / "chignolin_300K.pdb")
    parser.add_argument("--model", default="heavy-demo")
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--output-every-ps", type=float, default=0.2)
    parser.add_argument("--checkpoint-every-ps", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1, help="of the moments")
    options = parser.parse_args()
    options.output.mkdir(parents=True)
    alone, killed = options.output / "alone", options.output / "killed"
    sizes, sent = run_both(alone, killed, options)
    found = {folder: check(folder) for folder in (alone, killed)}
    common = min(count.frames for count in found.values())
    problems = [line for count in found.values() for line in count.problems] + compare(alone, killed, common)
    grown = growth(sizes)
    if not grown < LARGEST_GROWTH:
        problems.append(f"memory grew by {grown:.2%}")
    print("| run | frames a replica | signals |\n|---|---|---|")
    print(f"| left alone | {found[alone].frames} | |")
    counts = ", ".join(f"{sent.count(number)} {number.name}" for number in SIGNALS)
    print(f"| killed and resumed | {found[killed].frames} | {counts} |")
    print(f"private memory {np.median(sizes[-len(sizes) // 10 :]) / 1024:.1f} MiB, grown by {grown:+.3%}")
    print("\n".join(problems), end="\n" if problems else "")
    print("FAILED" if problems else f"passed: {common} frames in common are equal, none lost, none twice")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
