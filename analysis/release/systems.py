"""Writes systems.txt, what the released models learn from: one row a system, in the order of the work.

Peptides: every residue alone between caps, then random tri- to hexapeptides. Each residue and protonation
state comes equally often, proline twice as often: it bends the chain and may isomerise. Some chains have
charged ends instead of caps. Proteins, disulfide bridges and other fragments are of rows of index.csv marked
train.

usage: systems.py STRUCTURES > systems.txt
"""

import csv
import sys
import warnings
from itertools import chain, zip_longest
from pathlib import Path

import MDAnalysis
import numpy as np
from fragment import bridges
from segments import fragments

STANDARD = "ALA ARG ASN ASP CYS GLN GLU GLY HID HIE ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL"
RESIDUES = f"{STANDARD} HIP ASH GLH LYN".split()
PEPTIDES = 300  # besides those of one residue
FREE_ENDS = 0.2  # fraction of chains
LARGEST = 67  # residues of a protein
BRIDGES = 2  # of one protein
# The first systems were sampled for longer, at three temperatures; [ps], [K].
LONG_PEPTIDES, LONG_PROTEINS, LONG = 66, 11, "12 300,400,500"
# Every residue alone once more, longer than the others, to see every basin of the backbone; and again, for
# how deep they are, alanine and glycine longest.
BASINS, BASIN_TIME = "ALA GLY PRO ARG ASN ASP CYS GLN GLU".split(), "60 300,400,500"
SHORT_BASIN_TIME = "30 300,400,500"
LONGEST, LONGEST_TIME, LONG_BASIN_TIME = ("ALA", "GLY"), "300 300,400,500", "100 300,400,500"
# At either end of a chain with charged ends, alanine at the other; the rest has no template there.
ENDS = [name for name in RESIDUES if name not in ("ALA", "ASH", "GLH", "LYN")]
SHORT_PEPTIDE, SHORT_PROTEIN, FRAGMENT = "6 300,400,500", "4 300,500", "2 300,500"


def peptides(number: int, seed: int = 1) -> list[list[str]]:
    """Residue names of `number` random peptides after those of one residue each."""
    rng = np.random.default_rng(seed)
    bag: list[str] = []
    chains = [["ACE", name, "NME"] for name in RESIDUES]
    for _ in range(number):
        length = int(rng.integers(3, 7))
        while len(bag) < length:
            bag += rng.permutation([*RESIDUES, "PRO"]).tolist()
        peptide, bag = bag[:length], bag[length:]
        # The ends of a protonated or neutralised residue have no template of their own.
        ends_exist = {"ASH", "GLH", "LYN"}.isdisjoint((peptide[0], peptide[-1]))
        chains.append(peptide if ends_exist and rng.random() < FREE_ENDS else ["ACE", *peptide, "NME"])
    return chains


def disulfides(structures: Path, names: list[str]) -> list[str]:
    """The first bridges of every protein that has any."""
    rows = []
    for name in names:
        protein = MDAnalysis.Universe(structures / f"{name}.pdb").select_atoms("protein")
        rows += [f"ss{k}_{name} {name}:{k} {SHORT_PEPTIDE}" for k in range(len(bridges(protein)))][:BRIDGES]
    return rows


def main() -> None:
    structures = Path(sys.argv[1])
    with open(structures / "index.csv") as stream:
        train = [row for row in csv.DictReader(stream) if row["split"] == "train"]
    small = [row["id"] for row in train if int(row["residues"]) <= LARGEST]
    chains = [f"pep{i:03d} {'-'.join(names)}" for i, names in enumerate(peptides(PEPTIDES))]
    long_first = [f"{row} {LONG}" for row in chains[:LONG_PEPTIDES]]
    long_first += [f"{name} protein {LONG}" for name in small[:LONG_PROTEINS]]
    rest = [f"{row} {SHORT_PEPTIDE}" for row in chains[LONG_PEPTIDES:]]
    proteins = [f"{name} protein {SHORT_PROTEIN}" for name in small[LONG_PROTEINS:]]
    bridged = disulfides(structures, [row["id"] for row in train if row["ss_bonds"] not in ("", "0")])
    basins = [f"basins_{name} ACE-{name}-NME {BASIN_TIME}" for name in BASINS]
    others = [name for name in RESIDUES if name not in BASINS]
    basins += [f"long_{name} ACE-{name}-NME {LONGEST_TIME}" for name in LONGEST]
    basins += [f"basins_{name} ACE-{name}-NME {SHORT_BASIN_TIME}" for name in others]
    basins += [f"long_{name} ACE-{name}-NME {LONG_BASIN_TIME}" for name in RESIDUES if name not in LONGEST]
    # Side by side, so that whatever is done so far holds all three.
    mixed = zip_longest(proteins, bridged, *(rest[k::4] for k in range(4)))
    cut = [f"{row} {FRAGMENT}" for row in fragments(structures, [row["id"] for row in train])]
    ends = [
        f"ends{k}_{name} {pair} {SHORT_PEPTIDE}"
        for name in ENDS
        for k, pair in enumerate((f"ALA-{name}", f"{name}-ALA"))
    ]
    print(*long_first, *basins, *ends, *filter(None, chain.from_iterable(mixed)), *cut, sep="\n")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # of MDAnalysis, about columns that a PDB file may leave blank
    main()
