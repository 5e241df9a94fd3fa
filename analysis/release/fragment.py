"""Cuts segments out of a protein: the two around a disulfide bridge, or any that are named; capped, or free.

usage: fragment.py STRUCTURE.pdb WHICH FRAGMENT.pdb

WHICH is a number, of the bridge, from 0; or FIRST-LAST, or FIRST-LAST+FIRST-LAST: residues, counted from 1.
Ends are capped by ACE and NME; /free after the residues leaves them charged.
"""

import re
import sys
from pathlib import Path

import MDAnalysis
import numpy as np
from MDAnalysis.lib.distances import self_capped_distance

_LONGEST_BRIDGE = 2.5  # Å
_WHICH = re.compile(r"\d+|\d+-\d+(\+\d+-\d+)?(/free)?")
# The neighbours of a segment become its caps: of each the atoms that the cap has, by the cap's names.
_CAPS = {"ACE": {"CA": "CH3", "C": "C", "O": "O"}, "NME": {"N": "N", "CA": "C"}}


def bridges(protein: MDAnalysis.AtomGroup) -> list[tuple[int, int]]:
    """Indices among the protein's residues of the cysteines of every bridge whose segments stand alone."""
    sulphur = protein.select_atoms("resname CYS CYX and name SG")
    pairs, _ = self_capped_distance(sulphur.positions, _LONGEST_BRIDGE)
    number = {residue.resindex: index for index, residue in enumerate(protein.residues)}
    found = sorted(tuple(sorted(number[sulphur[k].resindex] for k in pair)) for pair in pairs)
    return [(i, j) for i, j in found if j - i > 4 and all(_around(protein, k) for k in (i, j))]


def _around(protein: MDAnalysis.AtomGroup, cysteine: int) -> bool:
    return can_be_capped(protein, cysteine - 1, cysteine + 1)


def can_be_capped(protein: MDAnalysis.AtomGroup, first: int, last: int) -> bool:
    """Whether residues first to last, indices, and a neighbour on each side are there without a gap."""
    residues = protein.residues[max(first - 1, 0) : last + 2]
    whole = len(residues) == last - first + 3
    return whole and len(set(residues.segids)) == 1 and set(np.diff(residues.resids)) == {1}


def segments(protein: MDAnalysis.AtomGroup, which: str) -> list[tuple[int, int]]:
    """Indices of first and last residue of every segment that WHICH names; none if it cannot be cut."""
    if not _WHICH.fullmatch(which):
        return []
    if which.isdigit():
        pairs = bridges(protein)[int(which) : int(which) + 1]
        return [(cysteine - 1, cysteine + 1) for pair in pairs for cysteine in pair]
    ends = [part.split("-") for part in which.removesuffix("/free").split("+")]
    found = [(int(first) - 1, int(last) - 1) for first, last in ends]
    residues = [residue for first, last in found for residue in range(first, last + 1)]
    whole = all(first <= last and can_be_capped(protein, first, last) for first, last in found)
    return found if whole and len(set(residues)) == len(residues) else []


def _lines(protein: MDAnalysis.AtomGroup, first: int, last: int, chain: str, capped: bool) -> list[str]:
    lines = []
    caps = {first - 1: "ACE", last + 1: "NME"}
    for number in range(first - capped, last + 1 + capped):
        residue, cap = protein.residues[number], caps.get(number)
        names = _CAPS[cap] if cap else {n: n for n in residue.atoms.select_atoms("not element H").names}
        for atom in residue.atoms:
            if atom.name in names:
                where = f"{names[atom.name]:<3s} {cap or residue.resname:>3s} {chain}{number - first + 2:4d}"
                position = "".join(f"{x:8.3f}" for x in atom.position)
                lines.append(f"ATOM  {0:5d}  {where}    {position}  1.00  0.00          {atom.element:>2s}")
    return [*lines, "TER"]


def main() -> None:
    structure, which, output = sys.argv[1:]
    protein = MDAnalysis.Universe(structure).select_atoms("protein")
    found = segments(protein, which)
    if not found:
        raise SystemExit(
            f"{structure}: {which}: no bridge, or no residues with a neighbour on each side: name others"
        )
    lines: list[str] = []
    for chain, (first, last) in zip("AB"[: len(found)], found, strict=True):
        lines += _lines(protein, first, last, chain, capped=not which.endswith("/free"))
    Path(output).write_text("\n".join([*lines, "END", ""]))


if __name__ == "__main__":
    main()
