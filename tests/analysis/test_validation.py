"""The validation of a released model, at the smallest scale: two proteins, a refused one, a few steps."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import force_errors
import numpy as np
import pytest
import runs
import scale
import stability
import targets
import validate
from pieces import some

from cgprot.analyse.chirality import chirality, stereocentres
from cgprot.analyse.structure import bond_lengths
from cgprot.beads import BeadFrames
from cgprot.errors import StorageError, UsageError
from cgprot.files.dataset import write_dataset
from cgprot.simulate.start import load_start

ROOT = Path(__file__).parents[2]
VALIDATION = ROOT / "analysis" / "validation"
EXAMPLES = ROOT / "examples"

SCALE = """
errors = ["chignolin", "nobody"]
[dynamics]
temperatures = [300.0, 350.0]
replicas = 2
output_every_ps = 0.004
engine = "network"
[dynamics.time_ps]
chignolin = 0.02
clash = 0.02
[structure]
proteins = ["chignolin", "clash", "nobody"]
leave_out_ps = 0.0
block_ps = 0.008
[free_energy]
time_ps = 0.02
replicas = 2
leave_out_ps = 0.0
block_ps = 0.008
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory, frames):
    """References cut from the examples, and a structure whose atoms overlap."""
    folder = tmp_path_factory.mktemp("validation")
    structures, references = folder / "structures", folder / "references"
    (references / "labels").mkdir(parents=True)
    structures.mkdir()
    pdb = (EXAMPLES / "chignolin.pdb").read_text()
    (structures / "chignolin.pdb").write_text(pdb)
    (structures / "clash.pdb").write_text(clashing(pdb))
    peptide = (EXAMPLES / "alanine_dipeptide.pdb").read_text()
    (structures / "alanine_dipeptide.pdb").write_text(peptide)
    write_dataset(references / "chignolin_300K.h5", {"chignolin/300/0": some(frames, slice(0, 40))})
    noisy = some(frames, slice(0, 3), force_noise=np.full((3, 93, 3), 0.5))
    write_dataset(references / "labels" / "chignolin.h5", {"chignolin/300/0": noisy})
    (folder / "tiny.toml").write_text(SCALE)
    task = runs.Task(
        "heavy-demo", folder / "out", references, structures, scale.read_scale(folder / "tiny.toml")
    )
    start = runs.native(task, "alanine_dipeptide")
    shaken = start.positions + 0.05 * np.random.default_rng(0).standard_normal((20, 10, 3))
    known = {"alanine_dipeptide/300/0": BeadFrames(start.system, shaken, temperature=300.0)}
    write_dataset(references / "alanine_dipeptide_300K.h5", known)
    return task


def clashing(pdb):
    """The amide oxygen of one residue on that of another."""
    places = re.findall(r"^ATOM  .{7}O   .{10}(.{24})", pdb, re.MULTILINE)
    assert pdb.count(places[1]) == 1
    return pdb.replace(places[1], places[5])


@pytest.fixture(scope="module")
def results(task):
    validate.validate(task, list(validate.PARTS))
    return json.loads((task.folder / "results.json").read_text())


def test_every_part_tells_what_it_did(results, task):
    parts = results["parts"]
    assert set(parts) == set(validate.PARTS)
    assert parts["errors"]["missing"] == ["nobody"]
    total = parts["errors"]["rows"][0]
    assert total["group"] == "all"
    assert total["noise_floor"] == pytest.approx(0.5)
    assert total["rmse"] > total["noise_floor"]
    chignolin, clash = parts["stability"]["proteins"]
    assert [row["alive"] for row in chignolin["rows"]] == [2, 2]
    assert chignolin["rows"][0]["lasted_ps"] == [0.02, 0.02]
    assert chignolin["rows"][0]["near_native"]
    assert "bond C-O of TYR 2" in clash["refused"]
    assert [protein["lacks"] for protein in parts["structure"]["proteins"]] == [
        "",
        "all-atom reference",
        "all-atom reference",
    ]
    assert parts["free_energy"]["peptide"]["sampled_ps"] == pytest.approx([0.024, 0.024])
    for part in parts.values():
        for figure in part["figures"]:
            assert (task.folder / figure).read_bytes().startswith(b"\x89PNG")


def test_card_holds_the_scale_and_the_refusal(results, task):
    page = (task.folder / "card.md").read_text()
    assert "2 × 0.02 ps" in page
    assert "refused at the start" in page
    assert "Scale: `tiny`" in page
    assert page.count("\n## ") == 5
    assert "1 of 2 proteins refused" in page
    for line in page.splitlines():
        if line.startswith("| chignolin"):
            assert "nan" not in line
            assert "None" not in line


def test_targets_are_held_against_what_was_reached(results):
    rows = {row[0]: row for row in targets.targets(results)}
    error = results["parts"]["errors"]["rows"][0]["mean_force_rmse"]  # of instantaneous forces: no model's
    reached = f"{error:.2f} kcal/mol/Å (1 proteins, {error:.2f} to {error:.2f}; by frames {error:.2f})"
    assert rows["mean-force RMSE, test proteins"][2:] == [reached, "no"]
    stable = next(row for name, row in rows.items() if name.startswith("stability"))
    assert stable[3] == "no"  # one protein was refused
    peptide = rows["alanine dipeptide, φ/ψ JSD"]
    assert float(peptide[2].split()[0]) > 0.02
    assert peptide[3] == "no"
    assert targets.targets({"parts": {}}) == []


@pytest.mark.parametrize(("worst", "met"), [(2.6, "yes"), (2.7, "no")])
def test_proteins_weigh_the_same_in_the_error(worst, met):
    """The root mean square of 1 and 2.6 is 1.97, of 1 and 2.7 it is 2.04; the pooled error says 1.1."""
    proteins = [{"group": "protein", "mean_force_rmse": error} for error in (1.0, worst)]
    found = {"rows": [{"group": "all", "mean_force_rmse": 1.1}, *proteins]}
    (row,) = targets.targets({"parts": {"errors": found}})
    assert row[3] == met
    assert f"1.00 to {worst:.2f}; by frames 1.10" in row[2]


@pytest.mark.parametrize(("apart", "met"), [(0.0500, "yes"), (0.0504, "no"), (None, "no")])
def test_a_median_is_judged_before_it_is_rounded(apart, met):
    maps = {"divergence": [apart, apart, 0.9, 0.01], "chance": [None]}
    if apart is None:
        maps["divergence"] = [None]
    protein = {"name": "p", "lacks": "", "phi_psi": maps, "rmsf": {"correlation": 0.7996}}
    first, second = targets.targets({"parts": {"structure": {"proteins": [protein]}}})
    assert (first[3], second[3]) == (met, "no")
    assert "None" not in first[2]


def test_what_was_not_measured_is_not_met():
    found = {"structure": {"proteins": [{"name": "p", "lacks": "all-atom reference"}]}}
    found["free_energy"] = {"peptide": {"lacks": "run"}}
    assert [row[2:] for row in targets.targets({"parts": found})] == [
        ["no all-atom reference", "no"],
        ["no all-atom reference", "no"],
        ["no run", "no"],
    ]
    peptide = {"lacks": "", "divergence": 0.01, "chance": None, "stops": ["too hot"], "replicas": 8}
    (row,) = targets.targets({"parts": {"free_energy": {"peptide": peptide}}})
    assert row[2:] == ["0.010 (by chance –), 1 of 8 replicas stopped", "no"]


def test_what_is_done_is_kept_and_goes_on(results, task):
    run = task.folder / "runs" / "chignolin" / "replica_000.dcd"
    before = run.read_bytes()
    stability.measure(task)
    assert run.read_bytes() == before
    longer = task.scale.dynamics.model_copy(update={"time_ps": {"chignolin": 0.024}})
    found = stability.measure(task._replace(scale=task.scale.model_copy(update={"dynamics": longer})))
    assert found["proteins"][0]["rows"][0]["lasted_ps"] == [0.024, 0.024]
    speed = results["parts"]["stability"]["proteins"][0]["ns_per_day"]
    assert found["proteins"][0]["ns_per_day"] == speed > 0
    assert len(run.read_bytes()) > len(before)
    warmer = longer.model_copy(update={"temperatures": [310.0]})
    with pytest.raises(StorageError, match="another scale"):
        stability.measure(task._replace(scale=task.scale.model_copy(update={"dynamics": warmer})))


def test_results_of_other_weights_are_not_mixed(results, task, tmp_path):
    other = results | {"model": results["model"] | {"sha256": "0" * 64}}
    (tmp_path / "results.json").write_text(json.dumps(other))
    with pytest.raises(StorageError, match="other weights"):
        validate.validate(task._replace(folder=tmp_path), ["errors"])


def test_errors_are_measured_anew_when_the_labels_change(results, task, frames):
    write_dataset(
        task.references / "labels" / "nobody.h5",
        {"nobody/300/0": some(frames, slice(5, 7), force_noise=np.full((2, 93, 3), 0.5))},
    )
    names = [row["name"] for row in force_errors.measure(task)["rows"] if row["group"] == "protein"]
    (task.references / "labels" / "nobody.h5").unlink()
    assert names == ["chignolin", "nobody"]


@pytest.mark.parametrize("name", scale.scales())
def test_shipped_scales_name_proteins_that_are_there(name):
    asked = scale.read_scale(name)
    rows = (VALIDATION / "references.txt").read_text().splitlines()
    listed = {row.split()[0] for row in rows if not row.startswith("#")}
    used = {*asked.errors, *asked.dynamics.time_ps, *asked.structure.proteins}
    assert used <= listed == {path.stem for path in runs.STRUCTURES.glob("*.pdb")}
    assert asked.name == name


@pytest.mark.parametrize("path", sorted(runs.STRUCTURES.glob("*.pdb")), ids=lambda path: path.stem)
def test_shipped_structures_are_whole_and_warm(path):
    """Beads without a missing atom, bonds within what 300 K does to them, no side chain upside down."""
    start = load_start(path, "heavy")
    system, positions = start.system, start.positions
    lengths = bond_lengths(positions, system.bonds)[0]
    assert 1.1 < lengths.min()
    assert lengths.max() < 2.2
    assert np.ptp(system.residue_id) == system.residue_index[-1]
    centres = stereocentres(system)
    alpha = centres[system.bead_name[centres[:, 0]] == "CA"]
    assert {*system.bead_name[alpha[0]]} == {"CA", "N", "C", "CB"}
    assert len({*chirality(positions, alpha)[0]}) == 1


def test_a_scale_with_an_unknown_key_is_refused(tmp_path):
    (tmp_path / "own.toml").write_text(SCALE.replace("[dynamics]", "[dynamics]\ncopies = 2"))
    with pytest.raises(UsageError, match=r"dynamics\.copies"):
        scale.read_scale(str(tmp_path / "own.toml"))
    with pytest.raises(StorageError, match="no such scale"):
        scale.read_scale("huge")


def test_the_notebook_shows_results(results, task):
    command = [sys.executable, "-m", "pytest", "--nbmake", "-q", str(VALIDATION / "validation.ipynb")]
    environment = os.environ | {"VALIDATION": str(task.folder)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    (task.folder / "broken").mkdir()
    environment["VALIDATION"] = str(task.folder / "broken")
    assert subprocess.run(command, env=environment, cwd=ROOT, capture_output=True).returncode == 1
