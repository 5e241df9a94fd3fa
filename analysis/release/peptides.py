"""Writes peptides.txt: every residue alone between caps, then random tri- to hexapeptides.

Each residue and protonation state comes equally often, proline twice as often: it bends the chain and may
isomerise. Some chains have charged ends instead of caps. usage: peptides.py [NUMBER] > peptides.txt
"""

import sys

import numpy as np

STANDARD = "ALA ARG ASN ASP CYS GLN GLU GLY HID HIE ILE LEU LYS MET PHE PRO SER THR TRP TYR VAL"
RESIDUES = f"{STANDARD} HIP ASH GLH LYN".split()
FREE_ENDS = 0.2  # fraction of chains


def peptides(number: int, seed: int = 1) -> list[list[str]]:
    """Residue names of `number` random peptides after those of one residue each."""
    rng = np.random.default_rng(seed)
    bag: list[str] = []
    chains = [["ACE", name, "NME"] for name in RESIDUES]
    for _ in range(number):
        length = int(rng.integers(3, 7))
        while len(bag) < length:
            bag += rng.permutation([*RESIDUES, "PRO"]).tolist()
        chain, bag = bag[:length], bag[length:]
        # The ends of a protonated or neutralised residue have no template of their own.
        ends_exist = {"ASH", "GLH", "LYN"}.isdisjoint((chain[0], chain[-1]))
        chains.append(chain if ends_exist and rng.random() < FREE_ENDS else ["ACE", *chain, "NME"])
    return chains


if __name__ == "__main__":
    chosen = peptides(int(sys.argv[1]) if len(sys.argv) > 1 else 300)
    for index, chain in enumerate(chosen):
        print(f"pep{index:03d} {'-'.join(chain)}")
