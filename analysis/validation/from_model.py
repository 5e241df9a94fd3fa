#!/usr/bin/env python
"""All-atom from where a model's simulation ended: does it stay there?

    analysis/validation/from_model.py RUN REFERENCE.h5 FOLDER [--time-ps 120]

A reference that is too short knows no basin but the one it began in, and a model that crosses a barrier
sooner looks wrong beside it. Here all-atom (ff14SB, OBC2, hydrogens built anew) begins with the last frame of
every replica of RUN; FOLDER gets the trajectories, which are kept, and from_model.h5, all of them as beads.
Printed for every residue is the Jensen-Shannon divergence in φ and ψ (log base 2, 36 x 36 bins)

    of the later half of RUN from these         large where all-atom leaves what the model reached
    of these from REFERENCE                     small where all-atom came back to what REFERENCE knows
    of the later half of RUN from REFERENCE     what a validation by REFERENCE alone tells

The first small, the others large: a basin that all-atom has too and REFERENCE has not seen. Which of the two
it prefers is not told, unless it crosses. The first tenth of every all-atom trajectory is left out.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
from structure import names_of

from cgprot.analyse.compare import jensen_shannon
from cgprot.analyse.dihedrals import backbone_dihedrals, phi_psi_beads
from cgprot.analyse.sampling import residue_maps
from cgprot.beads import BeadFrames
from cgprot.files.sources import read_source
from cgprot.files.universe import write_pdb

KELVIN = 300.0
SEED = 41


def cgprot(*words: object) -> None:
    """Run a verb; what it says is seen."""
    subprocess.run([sys.executable, "-m", "cgprot", *map(str, words)], check=True)


def all_atom(run: list[BeadFrames], folder: Path, time_ps: float) -> list[BeadFrames]:
    """Trajectories from the last frames of the replicas, as beads; those that are there are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, frames in enumerate(run):
        start, done = folder / f"start_{number}.pdb", folder / f"replica_{number}"
        if not done.exists():
            write_pdb(start, frames.system, frames.positions[-1])
            often = ("--time-ps", time_ps, "--every-ps", 0.2, "--equilibrate-ps", 2)
            chance = ("--temperature", KELVIN, "--seed", SEED + number)
            part = done.with_suffix(".part")
            shutil.rmtree(part, ignore_errors=True)  # of a call that was ended on its way
            cgprot("sample", start, *often, *chance, "-o", part)
            part.rename(done)
    dataset = folder / "from_model.h5"
    if not dataset.exists():
        trajectories = [folder / f"replica_{number}" / f"{KELVIN:g}K.trr" for number in range(len(run))]
        cgprot(
            "map", folder / "replica_0" / "system.pdb", *trajectories, "--name", "from_model", "-o", dataset
        )
    return read_source(dataset)


def maps(replicas: list[BeadFrames], left_out: float) -> np.ndarray:
    """(n_residues, 36, 36), φ and ψ of all replicas without so large a part of their beginnings."""
    kept = [frames.positions[int(left_out * len(frames)) :] for frames in replicas]
    angles = [backbone_dihedrals(positions, replicas[0].system) for positions in kept]
    return residue_maps(np.concatenate(angles))


def table(names: list[str], columns: list[np.ndarray]) -> str:
    """A line a residue, and their medians; columns (n_residues,)."""
    rows = [*zip(names, *columns, strict=True), ("median", *(np.median(column) for column in columns))]
    head = f"{'residue':>10} {'run, from it':>14} {'from it, reference':>20} {'run, reference':>16}"
    return "\n".join([head, *(f"{name:>10} {a:>14.3f} {b:>20.3f} {c:>16.3f}" for name, a, b, c in rows)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("run", type=Path, help="folder of a simulation")
    parser.add_argument("reference", type=Path, help="all-atom trajectory as beads (.h5)")
    parser.add_argument("folder", type=Path, help="of the all-atom simulations; what is there is kept")
    parser.add_argument("--time-ps", type=float, default=120.0)
    options = parser.parse_args()
    run, reference = read_source(options.run), read_source(options.reference)
    if not run[0].system.has_beads_of(reference[0].system):
        raise SystemExit(f"{options.reference}: holds other beads than {options.run}: give that protein's")
    ours, known = maps(run, 0.5), maps(reference, 0.1)
    found = maps(all_atom(run, options.folder, options.time_ps), 0.1)
    pairs = ((ours, found), (found, known), (ours, known))
    columns = [np.array([jensen_shannon(*both) for both in zip(*pair, strict=True)]) for pair in pairs]
    system = run[0].system
    print(table(names_of(system, phi_psi_beads(system)[:, 2]), columns))


if __name__ == "__main__":
    main()
