"""Chooses the segments of proteins that fold back on themselves or touch: turns, hairpins, packed helices.

A fragment costs a tenth of its protein and shows what a peptide made from sequence seldom does: the contacts
of native structures, those of large proteins too. Words as fragment.py takes them.
"""

from collections.abc import Iterable
from itertools import chain, zip_longest
from pathlib import Path

import MDAnalysis
import numpy as np
from fragment import can_be_capped
from MDAnalysis.lib.distances import distance_array

STRETCH, HALF = 12, 6  # residues of a segment that stands alone, of each of two that touch
CONTACT = 7.0  # Å between Cβ, or Cα of a glycine
FEWEST = 5  # contacts of a fragment
EACH = 2  # fragments of any kind of one protein
HAIRPIN, ENDS = 10, 7.0  # residues; Å between the Cα of its ends, whose charges meet if they are left free
HYDROXYL, BONDED, BESIDE = "resname SER THR TYR and name OG OG1 OH", 3.6, 2  # Å; residues on each side
ACCEPTOR = "(resname ASP GLU and name OD1 OD2 OE1 OE2) or (resname SER THR TYR and name OG OG1 OH)"


def contacts(protein: MDAnalysis.AtomGroup) -> np.ndarray:
    """(n_residues, n_residues): which are four or more apart along the chain and touch."""
    side = protein.select_atoms("name CB or (resname GLY and name CA)")
    near = np.zeros((protein.n_residues,) * 2, bool)
    number = {residue.resindex: k for k, residue in enumerate(protein.residues)}
    order = [number[index] for index in side.resindices]
    near[np.ix_(order, order)] = distance_array(side.positions, side.positions) < CONTACT
    return np.triu(near, k=4)


def _candidates(protein: MDAnalysis.AtomGroup, length: int) -> list[int]:
    last = protein.n_residues - length
    return [first for first in range(last + 1) if can_be_capped(protein, first, first + length - 1)]


def _apart(scored: list[tuple[int, tuple[int, ...]]], length: int) -> list[tuple[int, ...]]:
    """The best few of which no two share a residue."""
    taken: list[tuple[int, ...]] = []
    for score, firsts in sorted(scored, key=lambda found: (-found[0], found[1])):
        clear = all(abs(a - b) >= length for other in taken for a in other for b in firsts)
        if score >= FEWEST and clear and len(taken) < EACH:
            taken.append(firsts)
    return taken


def stretches(protein: MDAnalysis.AtomGroup) -> list[str]:
    """FIRST-LAST of those with most contacts within."""
    near = contacts(protein)
    scored = [(near[f : f + STRETCH, f : f + STRETCH].sum(), (f,)) for f in _candidates(protein, STRETCH)]
    return [f"{f + 1}-{f + STRETCH}" for (f,) in _apart(scored, STRETCH)]


def touching(protein: MDAnalysis.AtomGroup) -> list[str]:
    """FIRST-LAST+FIRST-LAST of the pairs with most contacts between them, far apart along the chain."""
    near, firsts = contacts(protein), _candidates(protein, HALF)
    scored = [
        (near[i : i + HALF, j : j + HALF].sum(), (i, j)) for i in firsts for j in firsts if j - i > STRETCH
    ]
    return [f"{i + 1}-{i + HALF}+{j + 1}-{j + HALF}" for i, j in _apart(scored, HALF)]


def hairpins(protein: MDAnalysis.AtomGroup) -> list[str]:
    """FIRST-LAST/free of those whose ends meet."""
    near, calpha = contacts(protein), protein.select_atoms("name CA").positions
    if len(calpha) != protein.n_residues:
        return []
    scored = [
        (near[f : f + HAIRPIN, f : f + HAIRPIN].sum(), (f,))
        for f in _candidates(protein, HAIRPIN)
        if np.linalg.norm(calpha[f] - calpha[f + HAIRPIN - 1]) < ENDS
    ]
    return [f"{f + 1}-{f + HAIRPIN}/free" for (f,) in _apart(scored, HAIRPIN)]


def hydroxyls(protein: MDAnalysis.AtomGroup) -> list[str]:
    """Around hydroxyls of side chains that lie at an acid or another one; two may share neighbours."""
    number = {residue.resindex: k for k, residue in enumerate(protein.residues)}
    donors, acceptors = protein.select_atoms(HYDROXYL), protein.select_atoms(ACCEPTOR)
    found: list[str] = []
    taken: set[int] = set()
    for a, b in np.argwhere(distance_array(donors.positions, acceptors.positions) < BONDED):
        i, j = sorted((number[donors[a].resindex], number[acceptors[b].resindex]))
        near = j - i < STRETCH - 2 * BESIDE
        ends = [(i - BESIDE, j + BESIDE)] if near else [(k - BESIDE, k + BESIDE) for k in (i, j)]
        if i == j or taken & {i, j} or not all(can_be_capped(protein, *both) for both in ends):
            continue
        taken |= {i, j}
        found.append("+".join(f"{first + 1}-{last + 1}" for first, last in ends))
    return found[:EACH]


def fragments(structures: Path, names: list[str], seed: int = 1) -> list[str]:
    """Name and source of every fragment: those with charged ends and hydroxyls first, each half at random."""
    rng = np.random.default_rng(seed)
    first: list[str] = []
    then: list[str] = []
    for name in names:
        protein = MDAnalysis.Universe(structures / f"{name}.pdb").select_atoms("protein")
        first += _rows("hairpin", name, hairpins(protein)) + _rows("hydroxyl", name, hydroxyls(protein))
        in_turns = chain.from_iterable(zip_longest(stretches(protein), touching(protein)))
        then += _rows("cut", name, filter(None, in_turns))
    return [rows[k] for rows in (first, then) for k in rng.permutation(len(rows))]


def _rows(kind: str, name: str, words: Iterable[str]) -> list[str]:
    return [f"{kind}{k}_{name} {name}:{word}" for k, word in enumerate(words)]
