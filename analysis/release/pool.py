"""Pools the labelled frames of many systems into one dataset, and writes what went in.

usage: pool.py FOLDER OUTPUT.h5 [--thermal] [--fragments] [-NAME ...] [+NAME ...] [REACHED.h5 ...]
FOLDER holds NAME.h5, NAME_displaced.h5, NAME_stretched.h5 and NAME_twisted.h5 of every system of systems.txt;
what is not there is left out. -NAME leaves a system out and what is cut out of it, +NAME takes only those
named. REACHED.h5 are frames that simulations of a model reached, each of the system of its name.
OUTPUT.csv, beside the dataset, has one row a file: system, sequence or source, kind, temperatures of the
labels [K], frames, beads, SHA-256.
--thermal takes the sampled and twisted frames alone, and of the single residues pepNNN the displaced ones
too: forces of displaced frames are about three times, of stretched ones five times as large, and rule a mean
square. --fragments takes what was cut out of proteins too, but for disulfide bridges, which are always there.
"""

import csv
import hashlib
import sys
from collections import Counter
from pathlib import Path
from typing import NamedTuple

from cgprot.beads import BeadFrames
from cgprot.files.dataset import read_dataset, write_dataset

HEADER = ("system", "source", "kind", "temperatures_K", "frames", "beads", "sha256")
KINDS = {"sampled": "", "displaced": "_displaced", "stretched": "_stretched", "twisted": "_twisted"}


class Labelled(NamedTuple):
    """A dataset of labelled frames, and what the manifest says of it."""

    system: str
    source: str
    kind: str
    path: Path


def chosen_systems(rows: list[list[str]], choice: list[str], fragments: bool) -> dict[str, str]:
    """{name: sequence or source} of the rows that the choice leaves, with or without the fragments."""
    without = {name[1:] for name in choice if name.startswith("-")}
    only = {name[1:] for name in choice if name.startswith("+")}
    systems = {name: source for name, source, *_ in rows}
    if unknown := (without | only) - systems.keys():
        raise SystemExit(f"pool.py: {', '.join(sorted(unknown))}: no such row of systems.txt: check the name")
    return {
        name: source
        for name, source in systems.items()
        if without.isdisjoint((name, source.partition(":")[0]))
        and (not only or name in only)
        and (fragments or name in only or not is_fragment(name))
    }


def is_fragment(name: str) -> bool:
    """Whether segments.py chose it."""
    return name.startswith(("cut", "hairpin", "hydroxyl"))


def is_thermal(name: str, source: str, kind: str) -> bool:
    """Whether --thermal takes this kind of frames of this system."""
    single_residue = name.startswith("pep") and source.count("-") == 2 and source.startswith("ACE")
    return kind in ("sampled", "twisted") or (kind == "displaced" and single_residue)


def labelled(folder: Path, systems: dict[str, str], thermal: bool) -> list[Labelled]:
    """All that is there of the systems."""
    return [
        Labelled(name, source, kind, path)
        for name, source in systems.items()
        for kind, suffix in KINDS.items()
        if not thermal or is_thermal(name, source, kind)
        if (path := folder / f"{name}{suffix}.h5").exists()
    ]


def reached(rows: list[list[str]], choice: list[str]) -> list[Labelled]:
    """The same of the datasets named; what is no row of systems.txt has its sequence for a name."""
    paths = [Path(word) for word in choice if word.endswith(".h5")]
    sequences = [[path.stem, path.stem] for path in paths if path.stem.startswith("ACE-")]
    if unknown := {path.stem for path in paths} - {name for name, *_ in rows + sequences}:
        raise SystemExit(
            f"pool.py: {', '.join(sorted(unknown))}: no row of systems.txt: call the file as its system"
        )
    systems = chosen_systems(rows + sequences, choice, fragments=True)
    return [
        Labelled(path.stem, systems[path.stem], "reached", path) for path in paths if path.stem in systems
    ]


def pool(datasets: list[Labelled]) -> tuple[dict[str, BeadFrames], list[tuple]]:
    """All frames, the trajectories of one system as its replicas 0, 1, ...; and the rows of the manifest."""
    entries, manifest = {}, []
    replicas: Counter[str] = Counter()
    for name, source, kind, path in datasets:
        found = read_dataset(path).values()
        for frames in found:
            entries[f"{name}/{frames.temperature:g}/{replicas[name]}"] = frames
            replicas[name] += 1
        temperatures = " ".join(f"{kelvin:g}" for kelvin in sorted({f.temperature for f in found}))
        beads = next(iter(found)).system.n_beads
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        manifest.append((name, source, kind, temperatures, sum(map(len, found)), beads, digest))
    return entries, manifest


def main() -> None:
    options = {word for word in sys.argv[1:] if word.startswith("--")}
    if unknown := options - {"--thermal", "--fragments"}:
        raise SystemExit(
            f"pool.py: {', '.join(sorted(unknown))}: no such option; a system is left out by one dash"
        )
    thermal, fragments = "--thermal" in options, "--fragments" in options
    folder, output, *choice = [word for word in sys.argv[1:] if word not in options]
    rows = [line.split() for line in Path(__file__).with_name("systems.txt").read_text().splitlines()]
    found = labelled(Path(folder), chosen_systems(rows, choice, fragments), thermal)
    entries, manifest = pool(found + reached(rows, choice))
    if not entries:
        raise SystemExit(f"pool.py: {folder}: no frames of these systems: label some first")
    with open(Path(output).with_suffix(".csv"), "w", newline="") as stream:
        csv.writer(stream).writerows([HEADER, *manifest])
    write_dataset(Path(output), entries)
    frames = sum(map(len, entries.values()))
    print(f"{output}: {frames} frames of {len({row[0] for row in manifest})} systems")


if __name__ == "__main__":
    main()
