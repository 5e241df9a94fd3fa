"""The oddities of real structure files: what a user expects comes out, or the reason why not."""

from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cgprot.errors import CgprotError
from cgprot.files.universe import AtomSource
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference.frames import refuse_missing_hydrogens


def pdb(lines: list[tuple]) -> str:
    """PDB text of (name, altloc, residue, chain, number, icode, x, occupancy, element)."""
    rows = []
    for serial, (name, altloc, residue, chain, number, icode, x, occupancy, element) in enumerate(lines, 1):
        rows.append(
            f"ATOM  {serial:5d} {name:<4}{altloc:1}{residue:>3} {chain}{number:4d}{icode:1}   "
            f"{x:8.3f}{0.0:8.3f}{0.0:8.3f}{occupancy:6.2f}{0.0:6.2f}          {element:>2}"
        )
    return "\n".join([*rows, "END", ""])


def source(tmp_path: Path, lines: list[tuple]) -> AtomSource:
    path = tmp_path / "odd.pdb"
    path.write_text(pdb(lines))
    return AtomSource(path, [])


def test_the_alternate_location_of_highest_occupancy_stays(tmp_path):
    found = source(
        tmp_path,
        [
            (" CA ", "", "SER", "A", 1, "", 0.0, 1.0, "C"),
            (" CB ", "A", "SER", "A", 1, "", 1.5, 0.4, "C"),
            (" CB ", "B", "SER", "A", 1, "", 1.6, 0.6, "C"),
            (" OG ", "A", "SER", "A", 1, "", 2.9, 0.4, "O"),
            (" OG ", "B", "SER", "A", 1, "", 3.0, 0.6, "O"),
            (" CA ", "A", "GLY", "A", 2, "", 9.0, 0.5, "C"),
            (" CA ", "B", "GLY", "A", 2, "", 9.5, 0.5, "C"),
        ],
    )
    frame = next(iter(found))
    assert found.topology.name.tolist() == ["CA", "CB", "OG", "CA"]
    np.testing.assert_allclose(frame.positions[:, 0], [0.0, 1.6, 3.0, 9.0], atol=1e-3)
    assert found.left_out["alternate location"] == 3


def test_inserted_residues_are_residues_of_their_own(tmp_path):
    found = source(
        tmp_path,
        [(" CA ", "", "GLY", "A", 52, code, 3.8 * i, 1.0, "C") for i, code in enumerate(["", "A", "B"])]
        + [(" CA ", "", "GLY", "A", 53, "", 20.0, 1.0, "C")],
    )
    assert found.topology.residue_id.tolist() == [52, 53, 54, 55]
    assert found.notes["chain renumbered"] == 1
    assert build_system(found.topology, load_rules("ca")).residue_index.tolist() == [0, 1, 2, 3]


def test_a_chain_letter_used_twice_becomes_two_chains(tmp_path):
    found = source(
        tmp_path, [(" CA ", "", "GLY", chain, 1, "", 9.0 * i, 1.0, "C") for i, chain in enumerate("ABA")]
    )
    assert len(set(found.topology.chain)) == 3
    assert found.topology.chain[:2].tolist() == ["A", "B"]
    assert found.notes["chain with a letter used before"] == 1


def test_a_chain_interrupted_by_another_stays_one(tmp_path):
    places = [("A", 1), ("B", 1), ("A", 2)]
    found = source(
        tmp_path, [(" CA ", "", "GLY", c, n, "", 9.0 * i, 1.0, "C") for i, (c, n) in enumerate(places)]
    )
    assert found.topology.chain.tolist() == ["A", "B", "A"]


def test_selenomethionine_is_methionine(tmp_path):
    found = source(
        tmp_path,
        [
            (" CA ", "", "MSE", "A", 1, "", 0.0, 1.0, "C"),
            ("SE  ", "", "MSE", "A", 1, "", 2.0, 1.0, "SE"),
        ],
    )
    assert found.topology.residue_name.tolist() == ["MET", "MET"]
    assert found.topology.name.tolist() == ["CA", "SD"]
    assert found.topology.element.tolist() == ["C", "S"]
    assert found.topology.mass[1] == pytest.approx(32.06)
    assert found.notes["selenomethionine read as methionine"] == 1


def test_water_and_ions_are_counted(tmp_path):
    found = source(
        tmp_path,
        [
            (" CA ", "", "GLY", "A", 1, "", 0.0, 1.0, "C"),
            (" O  ", "", "HOH", "A", 2, "", 9.0, 1.0, "O"),
            ("CA  ", "", " CA", "A", 3, "", 19.0, 1.0, "CA"),
        ],
    )
    assert found.left_out["solvent and ion"] == 2
    assert found.topology.name.tolist() == ["CA"]


NO_HYDROGEN, NO_RULE, NO_PROTEIN = (
    "mapping heavy counts hydrogens",
    "no rule fits any atom",
    "nothing but solvent",
)
# File of MDAnalysisTests, mapping, and the number of beads or the reason why not.
ODD_FILES = [
    ("1osm.pdb.gz", "ca", 185),  # insertion codes
    ("1osm.pdb.gz", "heavy", NO_HYDROGEN),
    ("chainIDrepeat.pdb.gz", "ca", 6),  # chain letters used again
    ("chainIDnewres.pdb.gz", "ca", 4),
    ("sameresid_diffresname.pdb", "heavy", 2),  # two residues with one number
    ("sameresid_diffresname.gro", "heavy", 2),
    ("xl_serial.pdb", "heavy", NO_PROTEIN),  # serial numbers beyond the column; water only
    ("5digitResid.pdb", "heavy", NO_PROTEIN),
    ("19hc.pdb.gz", "ca", 584),  # alternate locations
    ("4E43.pdb", "ca", 204),  # alternate locations, ligand
    ("unordered_res.pdb", "ca", 33),
    ("unordered_res.pdb", "heavy", 287),
    ("nmr_neopetrosiamide.pdb", "heavy", 210),  # models; three disulfides
    ("5a7u.pdb", "heavy", 223),  # cryo-EM's placeholder box
    ("adk_open.pdb", "heavy", 1656),
    ("adk_oplsaa.pdb", "heavy", 1656),  # 44 340 atoms of water
    ("cobrotoxin.pdb", "heavy", 480),
    ("A6PA6_alpha.pdb", "heavy", 68),
    ("1A2C.pqr", "heavy", 2414),  # insertion codes in PQR
    ("1hvr.pdb", "ca", 196),
    ("6msm.pdb.bz2", "ca", 1181),
    ("incomplete.pdb", "ca", 3),
    ("CONECT2TER.pdb", "ca", NO_RULE),
    ("nucl_res.pdb", "ca", NO_RULE),
    ("fullerene.pdb.gz", "ca", NO_RULE),
    ("elements.pdb", "heavy", "no rule for Mg"),
    ("surface.pdb.bz2", "heavy", "no rule for Ag"),
    ("RANDOM_WALK_TOPO.pdb", "heavy", "element of atom X of SYST cannot be told"),
    ("pdbqt_querypdb.pdb", "heavy", "no rule for"),
]


@pytest.mark.parametrize(("name", "mapping", "expected"), ODD_FILES)
@pytest.mark.filterwarnings("error::UserWarning:cgprot")
def test_odd_files_map_right_or_are_refused_with_the_reason(name, mapping, expected):
    pytest.importorskip("MDAnalysisTests")
    path = Path(str(resources.files("MDAnalysisTests"))) / "data" / name
    rules = load_rules(mapping)
    try:
        found = AtomSource(path, [])
        refuse_missing_hydrogens(path, found.topology, rules)
        outcome: int | str = build_system(found.topology, rules).n_beads
        assert np.isfinite(next(iter(found)).positions).all()
    except CgprotError as error:
        outcome = str(error)
        assert "\n" not in outcome
    if isinstance(expected, int):
        assert outcome == expected
    else:
        assert expected in str(outcome)
