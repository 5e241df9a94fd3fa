"""Cuts one disulfide bridge out of a protein: two capped segments of three residues that it joins.

usage: disulfide.py STRUCTURE.pdb NUMBER FRAGMENT.pdb     NUMBER counts the bridges from 0
"""

import sys
from pathlib import Path

import MDAnalysis
import numpy as np
from MDAnalysis.lib.distances import self_capped_distance

_LONGEST_BRIDGE = 2.5  # Å
# The neighbours of a segment become its caps: of each the atoms that the cap has, by the cap's names.
_CAPS = {"ACE": {"CA": "CH3", "C": "C", "O": "O"}, "NME": {"N": "N", "CA": "C"}}


def bridges(protein: MDAnalysis.AtomGroup) -> list[tuple[int, int]]:
    """Indices among the protein's residues of the cysteines of every bridge whose segments stand alone."""
    sulphur = protein.select_atoms("resname CYS CYX and name SG")
    pairs, _ = self_capped_distance(sulphur.positions, _LONGEST_BRIDGE)
    number = {residue.resindex: index for index, residue in enumerate(protein.residues)}
    found = sorted(tuple(sorted(number[sulphur[k].resindex] for k in pair)) for pair in pairs)
    return [(i, j) for i, j in found if j - i > 4 and all(_stands_alone(protein, k) for k in (i, j))]


def _stands_alone(protein: MDAnalysis.AtomGroup, middle: int) -> bool:
    residues = protein.residues[max(middle - 2, 0) : middle + 3]
    return len(residues) == 5 and len(set(residues.segids)) == 1 and list(np.diff(residues.resids)) == [1] * 4


def _lines(protein: MDAnalysis.AtomGroup, middle: int, chain: str) -> list[str]:
    lines = []
    for offset in range(-2, 3):
        residue = protein.residues[middle + offset]
        cap = {-2: "ACE", 2: "NME"}.get(offset)
        names = _CAPS[cap] if cap else {n: n for n in residue.atoms.select_atoms("not element H").names}
        for atom in residue.atoms:
            if atom.name in names:
                where = f"{names[atom.name]:<3s} {cap or residue.resname:>3s} {chain}{offset + 3:4d}"
                position = "".join(f"{x:8.3f}" for x in atom.position)
                lines.append(f"ATOM  {0:5d}  {where}    {position}  1.00  0.00          {atom.element:>2s}")
    return [*lines, "TER"]


def main() -> None:
    structure, number, output = sys.argv[1:]
    protein = MDAnalysis.Universe(structure).select_atoms("protein")
    i, j = bridges(protein)[int(number)]
    Path(output).write_text("\n".join([*_lines(protein, i, "A"), *_lines(protein, j, "B"), "END", ""]))


if __name__ == "__main__":
    main()
