"""Residues that are completed are L, whatever PDBFixer makes of them."""

from pathlib import Path

import numpy as np
import pytest

from cgprot.errors import InputError
from cgprot.reference import structure
from cgprot.reference.structure import load_structure

CHIGNOLIN = Path(__file__).parents[2] / "examples" / "chignolin.pdb"
CENTRES = {"CA": ("N", "C", "CB"), "CB": ("CA", "OG1", "CG2")}


def cut(tmp_path, kept_of):
    """Chignolin, of some residues only these atoms."""
    lines = []
    for line in CHIGNOLIN.read_text().splitlines():
        kept = kept_of.get(int(line[22:26])) if line.startswith("ATOM") else None
        if kept is None or line[12:16].strip() in kept:
            lines.append(line)
    path = tmp_path / "cut.pdb"
    path.write_text("\n".join(lines) + "\n")
    return path


def volumes(found):
    """Of every stereocentre: of L residues, and CB of threonine, all above zero."""
    for residue in found.topology.residues():
        at = {atom.name: found.positions[atom.index] for atom in residue.atoms()}
        for centre, arms in CENTRES.items():
            if {centre, *arms} <= at.keys():
                yield np.linalg.det([at[name] - at[centre] for name in arms])


TO_CB = dict.fromkeys((6, 8), ("N", "CA", "C", "O", "CB"))


@pytest.mark.parametrize(
    "kept_of",
    [
        TO_CB,
        dict.fromkeys((6, 8), ("N", "CA", "C", "O", "CB", "OG1")),
        dict.fromkeys(range(1, 11), ("N", "CA", "C", "O")),
        {6: ("N", "CA", "CB")},
        {10: ("N", "CA", "CB")},
        dict.fromkeys((6, 8), ("N", "C", "O", "CB", "OG1", "CG2")),
    ],
)
def test_what_is_built_is_l(tmp_path, kept_of):
    assert min(volumes(load_structure(CHIGNOLIN))) > 1.0
    assert min(volumes(load_structure(cut(tmp_path, kept_of)))) > 1.0


def test_pdbfixer_alone_inverts_some(tmp_path, monkeypatch):
    """Where this no longer fails `righted` has nothing left to do."""
    monkeypatch.setattr(structure, "righted", lambda topology, positions, there: positions)
    with pytest.raises(InputError, match=r"CB of THR \d in chain A comes out as its mirror image"):
        load_structure(cut(tmp_path, TO_CB))


def test_what_cannot_be_righted_is_refused(tmp_path):
    with pytest.raises(InputError, match="CA of TRP 9 in chain A comes out as its mirror image"):
        load_structure(cut(tmp_path, {9: ("N",)}))
