import csv
import re

import numpy as np
import pytest

from cgprot.analyse.measure import Ensemble, events, measure
from cgprot.analyse.report import analyse, write_report
from cgprot.analyse.tables import verdict
from cgprot.beads import BeadFrames
from cgprot.errors import InputError, UsageError
from cgprot.files.dataset import write_dataset
from cgprot.files.sources import Source
from cgprot.simulate.box import multiplied
from cgprot.simulate.state import Stopped


def changed(frames, change):
    positions = frames.positions.copy()
    change(positions)
    return BeadFrames(frames.system, positions, time=frames.time, temperature=frames.temperature)


def mirror_from(frame):
    def change(positions):
        positions[frame:] *= [1, 1, -1]

    return change


def tear_last_bead_in(frame):
    def change(positions):
        positions[frame, -1] += 30.0

    return change


def rows_of(path):
    with open(path) as stream:
        return list(csv.DictReader(stream))


def test_results_say_what_every_frame_is_like(tmp_path, wobbling):
    damaged = changed(wobbling(), mirror_from(12))
    write_report(
        [("run", [wobbling(seed=1), damaged])], [("reference", [wobbling(seed=3)])], tmp_path / "out"
    )
    rows = rows_of(tmp_path / "out" / "results.csv")
    header = "source replica time_ps backbone_rmsd_A radius_of_gyration_A native_contacts "
    header += "broken_bonds chirality_flips cis_flips"
    assert " ".join(rows[0]) == header
    assert [(row["source"], row["replica"]) for row in rows] == (
        [("run", "0")] * 20 + [("run", "1")] * 20 + [("reference", "0")] * 20
    )
    assert [float(row["time_ps"]) for row in rows[:20]] == [2.0 * frame for frame in range(20)]
    assert [int(row["chirality_flips"]) for row in rows[20:40]] == [0] * 12 + [6] * 8
    assert all(row["broken_bonds"] == "0" and row["cis_flips"] == "0" for row in rows)
    assert max(float(row["backbone_rmsd_A"]) for row in rows[:20]) < 0.1
    assert min(float(row["backbone_rmsd_A"]) for row in rows[32:40]) > 0.5


def test_the_verdict_names_what_went_wrong(tmp_path, wobbling):
    sound = ("sound", [wobbling(seed=1)])
    mirrored = ("mirrored", [changed(wobbling(), mirror_from(12))])
    torn = ("torn", [changed(wobbling(), tear_last_bead_in(4))])
    write_report([sound, mirrored, torn], [], tmp_path / "out", "All three")
    page = (tmp_path / "out" / "report.html").read_text()
    verdicts = dict(re.findall(r'class="verdict[^"]*"><strong>(\w+)</strong>: (.*?)</p>', page))
    assert verdicts["sound"].startswith("all bonds, stereocentres and peptide bonds stayed")
    assert "did not hold: 6 stereocentres inverted;" in verdicts["mirrored"]
    assert "1 bond broke" in verdicts["torn"]
    assert re.findall(r'class="verdict bad"><strong>(\w+)', page) == ["mirrored", "torn"]
    assert "<title>All three</title>" in page


def stopped_run(frames, n_stopped):
    """A run whose guard stopped its first replicas, as run.json says it."""
    stopped = [
        Stopped(k, 120, 110, f"replica {k}: force on O is 5000 kcal/mol/Å")._asdict()
        for k in range(n_stopped)
    ]
    source = Source("x", [frames] * 16, {"config": {"timestep_fs": 2.0}, "stopped": stopped})
    return Ensemble(source, [measure(frames)] * 16, False)


def ensemble(frames):
    return Ensemble(Source("x", [frames]), [measure(frames)], False)


def test_a_run_with_a_stopped_replica_is_unsound(wobbling):
    """The guard stops it before a bad frame is written: the frames alone look sane."""
    assert verdict(stopped_run(wobbling(), 0)) == verdict(ensemble(wobbling()))
    judged = verdict(stopped_run(wobbling(), 1))
    assert not judged.sound
    assert judged.sentence.startswith(
        "1 of 16 replicas stopped: replica 0: force on O is 5000 kcal/mol/Å at 0.24 ps; otherwise all bonds,"
    )
    many = verdict(stopped_run(changed(wobbling(), mirror_from(12)), 12)).sentence
    assert "replica 9: force on O is 5000 kcal/mol/Å at 0.24 ps and 2 more; the chemistry did not" in many


def test_each_of_several_molecules_is_measured_by_itself(tmp_path, wobbling, rotated):
    """Chains that diffuse in a box were measured as one body: an RMSD of the box, not of the protein."""
    one, other = wobbling(seed=1), wobbling(seed=2)
    away = np.array([rotated(frame, seed) + 10.0 * seed for seed, frame in enumerate(other.positions)])
    both = BeadFrames(multiplied(one.system, 2), np.concatenate([one.positions, away], axis=1))
    together, apart = measure(both), [measure(one), measure(other)]
    rmsds, radii = ([getattr(m, name) for m in apart] for name in ("backbone_rmsd", "radius_of_gyration"))
    assert together.n_molecules == 2
    assert together.backbone_rmsd == pytest.approx(np.max(rmsds, axis=0), abs=1e-4)
    assert together.radius_of_gyration == pytest.approx(np.mean(radii, axis=0), abs=1e-4)
    fluctuations = np.concatenate([m.fluctuation for m in apart])
    assert together.fluctuation == pytest.approx(fluctuations, abs=1e-4)
    assert "; the backbone of a molecule came up to 0.0" in verdict(ensemble(both)).sentence
    for name, frames, told in (("two", both, True), ("one", one, False)):
        write_report([(name, [frames])], [], tmp_path / name)
        assert ("of every molecule by itself" in (tmp_path / name / "report.html").read_text()) == told


def test_the_verdict_claims_nothing_that_the_beads_cannot_show(chignolin_as):
    frames = chignolin_as("ca")
    said = verdict(ensemble(changed(frames, mirror_from(1)))).sentence
    assert said.startswith(
        "all bonds stayed as they were; no stereocentres or peptide bonds among the beads to watch; the "
    )
    said = verdict(ensemble(changed(chignolin_as("heavy_residue"), mirror_from(1)))).sentence
    assert "11 stereocentres inverted" in said


def test_the_page_needs_no_network(tmp_path, wobbling):
    write_report([Source("a run", [wobbling()], {"config": {"seed": 7}})], [], tmp_path / "out")
    page = (tmp_path / "out" / "report.html").read_text()
    assert re.findall(r"""(?:src|href)=["'](?!data:image/png;base64,)""", page) == []
    assert "http" not in page
    assert "url(" not in page
    assert "seed" in page.split("<details>")[1]
    pngs = sorted((tmp_path / "out" / "figures").iterdir())
    assert page.count("data:image/png;base64,") == len(pngs) == 6
    assert all(png.read_bytes()[:8] == b"\x89PNG\r\n\x1a\n" for png in pngs)


def test_names_from_outside_are_escaped(tmp_path, wobbling):
    write_report([("<script>", [wobbling()])], [], tmp_path / "out")
    assert "<script>" not in (tmp_path / "out" / "report.html").read_text()


def test_an_exploded_run_is_reported_not_hidden(tmp_path, wobbling):
    def explode(positions):
        positions[15:] = np.nan

    write_report([("run", [changed(wobbling(), explode)])], [("reference", [wobbling()])], tmp_path / "out")
    assert "5 frames not finite" in (tmp_path / "out" / "report.html").read_text()
    rows = rows_of(tmp_path / "out" / "results.csv")
    assert rows[14]["broken_bonds"] == "0"
    assert rows[15]["broken_bonds"] == str(len(wobbling().system.bonds))
    assert rows[15]["backbone_rmsd_A"] == "nan"


def test_an_event_tells_what_when_and_for_how_long(wobbling):
    (event,) = events(measure(changed(wobbling(), tear_last_bead_in(4))))[:1]
    assert (event.kind, event.beads) == ("bond broken", "N NME 5 A – C NME 5 A")
    assert (event.time, event.share, event.at_end) == (8.0, 0.05, False)


def test_alike_names_stay_apart(tmp_path, wobbling):
    write_report([("run", [wobbling()]), ("run", [wobbling(seed=5)])], [], tmp_path / "out")
    assert {row["source"] for row in rows_of(tmp_path / "out" / "results.csv")} == {"run", "run (2)"}


def test_a_folder_with_content_is_refused_and_left_alone(tmp_path, wobbling):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(UsageError, match="exists already"):
        write_report([("run", [wobbling()])], [], tmp_path / "out")
    with pytest.raises(UsageError, match="exists already"):  # before anything is measured or read
        write_report([], [], tmp_path / "out")
    with pytest.raises(UsageError, match="exists already"):
        analyse([tmp_path / "nowhere"], [], tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_files_in_a_report_out(tmp_path, wobbling):
    write_dataset(tmp_path / "mapped.h5", {"valines/300/0": wobbling(), "valines/300/1": wobbling(seed=4)})
    write_dataset(tmp_path / "other.h5", {"valines/300/0": wobbling(seed=5)})
    analyse([tmp_path / "mapped.h5"], [tmp_path / "other.h5"], tmp_path / "out")
    rows = rows_of(tmp_path / "out" / "results.csv")
    assert [row["source"] for row in rows] == ["mapped"] * 40 + ["other"] * 20
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Jensen-Shannon" in page
    assert "different residues" not in page


def test_nothing_is_written_when_a_source_cannot_be_measured(tmp_path, wobbling, valines):
    def blank(positions):
        positions[0] = np.nan

    bad = changed(wobbling(), blank)
    with pytest.raises(InputError, match="run, replica 1: the first frame"):
        write_report([("run", [wobbling(), bad])], [], tmp_path / "out")
    with pytest.raises(InputError, match="without frames"):
        write_report(
            [("run", [BeadFrames(valines[0], np.empty((0, *valines[1].shape)))])], [], tmp_path / "out"
        )
    with pytest.raises(InputError, match="at least one run"):
        write_report([], [], tmp_path / "out")
    assert not (tmp_path / "out").exists()
