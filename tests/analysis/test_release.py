"""What the release's data are made from: fragments cut out of proteins, and what stays out with a protein."""

import csv
import subprocess
import sys
from itertools import chain
from pathlib import Path

import MDAnalysis
import numpy as np
import pool
import pytest
import segments
from fragment import can_be_capped

from cgprot.beads import BeadFrames
from cgprot.files.dataset import read_dataset, write_dataset

ROOT = Path(__file__).parents[2]
RELEASE = ROOT / "analysis" / "release"
PROTEIN_G = ROOT / "analysis" / "validation" / "structures" / "1pga.pdb"


@pytest.fixture(scope="module")
def protein():
    return MDAnalysis.Universe(PROTEIN_G).select_atoms("protein")


def cut(which, tmp_path):
    path = tmp_path / "fragment.pdb"
    command = [sys.executable, RELEASE / "fragment.py", PROTEIN_G, which, path]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return MDAnalysis.Universe(path) if done.returncode == 0 else done.stderr.splitlines()[-1]


@pytest.mark.parametrize(("which", "spans"), [("5-9", [(5, 9)]), ("3-5+16-18", [(3, 5), (16, 18)])])
def test_a_fragment_is_the_proteins_heavy_atoms_between_caps_of_its_neighbours(
    which, spans, protein, tmp_path
):
    found = cut(which, tmp_path)
    residues = [protein.residues[first - 2 : last + 1] for first, last in spans]
    names = [["ACE", *segment.resnames[1:-1], "NME"] for segment in residues]
    assert list(found.residues.resnames) == [*chain.from_iterable(names)]
    for source, segment in zip(residues, found.segments, strict=True):
        inner = source[1:-1].atoms.select_atoms("not element H")
        np.testing.assert_allclose(segment.residues[1:-1].atoms.positions, inner.positions, atol=1e-3)
        caps = segment.residues[0].atoms, segment.residues[-1].atoms
        assert [list(cap.names) for cap in caps] == [["CH3", "C", "O"], ["N", "C"]]
        before, after = source[0].atoms, source[-1].atoms
        np.testing.assert_allclose(
            caps[0].select_atoms("name C").positions, before.select_atoms("name C").positions
        )
        np.testing.assert_allclose(
            caps[1].select_atoms("name C").positions, after.select_atoms("name CA").positions
        )


def test_free_ends_have_no_caps(protein, tmp_path):
    found = cut("5-9/free", tmp_path)
    assert list(found.residues.resnames) == list(protein.residues[4:9].resnames)


def test_a_segment_without_a_neighbour_is_refused(protein, tmp_path):
    last = protein.n_residues
    assert not can_be_capped(protein, 0, 3)
    assert not can_be_capped(protein, last - 4, last - 1)
    assert "name others" in cut("1-4", tmp_path)


def test_a_segment_across_a_gap_or_two_chains_is_refused():
    whole = MDAnalysis.Universe(PROTEIN_G)
    gap, chains = whole.copy(), whole.copy()
    gap.residues[20:].resids += 1
    chains.residues[20:].segments = chains.add_Segment(segid="Z")
    assert can_be_capped(whole.select_atoms("protein"), 18, 22)
    assert not can_be_capped(gap.select_atoms("protein"), 18, 22)
    assert not can_be_capped(chains.select_atoms("protein"), 18, 22)


@pytest.mark.parametrize("which", ["5-9/fre", "3-5+8-9+12-13", "3-9+5-11", "9-8", "0", "5"])
def test_words_that_name_nothing_are_refused(which, tmp_path):
    assert "name others" in cut(which, tmp_path)
    assert not (tmp_path / "fragment.pdb").exists()


def test_a_hairpin_is_around_a_turn_and_its_ends_meet(protein):
    """The first turn of protein G, residues 9 to 12; around the second the ends of ten residues are apart."""
    (word,) = segments.hairpins(protein)
    first, last = map(int, word.removesuffix("/free").split("-"))
    assert first < 9
    assert last > 12
    ends = protein.residues[[first - 1, last - 1]].atoms.select_atoms("name CA").positions
    assert np.linalg.norm(ends[0] - ends[1]) < segments.ENDS


def test_fragments_of_one_kind_share_no_residue_and_can_be_cut(protein):
    for kind in (segments.stretches, segments.touching, segments.hairpins):
        words = kind(protein)
        spans = [tuple(map(int, s.split("-"))) for w in words for s in w.removesuffix("/free").split("+")]
        residues = [k for first, last in spans for k in range(first, last + 1)]
        assert words
        assert len(set(residues)) == len(residues)
        assert all(can_be_capped(protein, first - 1, last - 1) for first, last in spans)


def test_segments_that_touch_are_far_apart_along_the_chain(protein):
    words = segments.touching(protein)
    assert words
    for word in words:
        first, second = (int(part.split("-")[0]) for part in word.split("+"))
        assert second - first > segments.STRETCH


def test_hydroxyls_are_at_an_acid_or_a_hydroxyl(protein):
    words = segments.hydroxyls(protein)
    assert words
    for word in words:
        first, last = (int(part.split("-")[end]) - 1 for part, end in ((word, 0), (word.split("+")[-1], 1)))
        i, j = (protein.residues[k].atoms for k in (first + segments.BESIDE, last - segments.BESIDE))
        ends = [a.select_atoms("name OG OG1 OH OD1 OD2 OE1 OE2").positions for a in (i, j)]
        assert np.linalg.norm(ends[0][:, None] - ends[1], axis=-1).min() < segments.BONDED


def test_what_is_cut_out_of_a_protein_is_left_out_with_it():
    rows = [
        ["a", "protein"],
        ["cut0_a", "a:2-13"],
        ["ss0_a", "a:0"],
        ["cut0_ab", "ab:2-13"],
        ["b", "ACE-ALA-NME"],
    ]
    assert list(pool.chosen_systems(rows, ["-a"], fragments=True)) == ["cut0_ab", "b"]


def test_fragments_are_pooled_where_they_are_asked_for():
    rows = [["a", "protein"], ["ss0_a", "a:0"], ["cut0_a", "a:2-13"], ["hairpin1_a", "a:2-11/free"]]
    assert list(pool.chosen_systems(rows, [], fragments=False)) == ["a", "ss0_a"]
    assert list(pool.chosen_systems(rows, [], fragments=True)) == [row[0] for row in rows]
    assert list(pool.chosen_systems(rows, ["+cut0_a"], fragments=False)) == ["cut0_a"]


def pooled(folder, monkeypatch, *words):
    """Frames of each entry, and the manifest's systems and kinds."""
    monkeypatch.setattr(sys, "argv", ["pool.py", str(folder), str(folder / "all.h5"), *words])
    pool.main()
    with open(folder / "all.csv") as stream:
        rows = [(row["system"], row["kind"], int(row["frames"])) for row in csv.DictReader(stream)]
    return {key: len(frames) for key, frames in read_dataset(folder / "all.h5").items()}, rows


def test_labels_of_one_temperature_and_reached_frames_are_all_pooled(tmp_path, monkeypatch):
    (whole,) = read_dataset(ROOT / "examples" / "chignolin_300K.h5").values()
    frames = [BeadFrames(whole.system, whole.positions[:k], temperature=300.0) for k in range(6)]
    write_dataset(tmp_path / "1ard.h5", {f"1ard/300/{k}": frames[k] for k in (1, 2, 3)})
    (tmp_path / "reached").mkdir()
    for name in ("1ard", "ACE-ALA-SER-NME"):
        write_dataset(tmp_path / "reached" / f"{name}.h5", {f"{name}/300/0": frames[5]})
    words = [str(path) for path in sorted((tmp_path / "reached").iterdir())]

    entries, rows = pooled(tmp_path, monkeypatch, *words)
    assert rows == [("1ard", "sampled", 6), ("1ard", "reached", 5), ("ACE-ALA-SER-NME", "reached", 5)]
    assert sum(entries.values()) == 16
    assert pooled(tmp_path, monkeypatch, "-1ard", *words)[1] == [("ACE-ALA-SER-NME", "reached", 5)]


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--gb_actr_c"], "no such option"),
        (["+pep000"], "no frames of these systems"),
        (["run_of_1ard.h5"], "run_of_1ard: no row of systems.txt"),
    ],
)
def test_a_pool_of_something_else_is_refused(words, problem, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["pool.py", str(tmp_path), str(tmp_path / "o.h5"), *words])
    with pytest.raises(SystemExit, match=problem):
        pool.main()
    assert not list(tmp_path.iterdir())
