"""The verbs as a user types them: what comes out, and how a wrong call ends."""

import json
import os
import subprocess
import sys

import MDAnalysis
import numpy as np
import pytest

from cgprot.files.dataset import read_dataset, write_dataset
from cgprot.shipped import shipped


def test_sample_map_label(call, tmp_path):
    """The first half of the street, on a peptide."""
    run, mapped, labelled = tmp_path / "run", tmp_path / "gly.h5", tmp_path / "gly_mean.h5"
    options = ["--time-ps", 0.5, "--every-ps", 0.1, "--equilibrate-ps", 0.1, "--temperature", 300, 400]
    assert call("sample", "--sequence", "ACE-GLY-NME", "-o", run, *options)[0] == 0
    record = json.loads((run / "run.json").read_text())
    assert record["trajectories"] == {"300K.trr": 300.0, "400K.trr": 400.0}
    assert record["config"]["seed"] == 1
    assert len(MDAnalysis.Universe(run / "system.psf", run / "300K.trr").trajectory) == 5

    trajectories = [run / "300K.trr", run / "400K.trr"]
    code, out, _ = call("map", run / "system.psf", *trajectories, "-o", mapped)
    assert (code, "10 frames of 9 beads" in out) == (0, True)
    entries = read_dataset(mapped)
    assert list(entries) == ["gly/300/0", "gly/400/0"]
    assert entries["gly/300/0"].time == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5])
    beads = MDAnalysis.Universe(mapped.with_suffix(".psf"), mapped.with_suffix(".pdb"))
    np.testing.assert_allclose(beads.atoms.positions, entries["gly/300/0"].positions[0], atol=1e-3)

    structure = ["--structure", run / "system.pdb", "--samples", 10]
    assert call("label", trajectories[0], *structure, "-o", labelled)[0] == 0
    again = call("label", mapped, *structure, "--every", 5, "-o", tmp_path / "again.h5")
    assert again[0] == 0
    mean = read_dataset(labelled)["gly_mean/300/0"]
    np.testing.assert_allclose(mean.positions, entries["gly/300/0"].positions, atol=1e-4)
    assert (mean.force_noise > 0).all()


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("", 2, "VERB"),
        ("fold x", 2, "invalid choice"),
        ("sample -o {out}", 2, "either STRUCTURE or --sequence"),
        ("sample {tmp}/none.pdb -o {out}", 5, "no such file"),
        ("sample {pdb} -o {out} --temperature -10", 2, "greater than 0"),
        ("sample {pdb} -o {out} --time-ps 0", 2, "--time-ps"),
        ("sample --sequence ACE-XXX-NME -o {out}", 2, "unknown residue"),
        ("sample {unknown} -o {out}", 3, "unknown residue XYZ 4"),
        ("sample {nan} -o {out}", 3, "not finite"),
        ("sample {pdb} -o {examples}", 2, "exists already"),
        ("map {pdb} {trr} -o {out}.txt", 2, "must end in .h5"),
        ("map {pdb} {trr} -o {out}.h5", 3, "temperature is not known"),
        ("map {pdb} {trr} -o {out}.h5 --temperature -1", 2, "above 0 K"),
        ("map {pdb} {trr} -o {out}.h5 --temperature nan", 2, "above 0 K"),
        ("map {pdb} {trr} -o {out}.h5 --temperature 300 --name a/b", 2, "plain name"),
        ("map {pdb} {trr} -o {examples}/chignolin.h5 --temperature 300", 2, "chignolin.pdb: exists already"),
        ("map {pdb} {trr} -o {out}.h5 --temperature 300 --mapping nothing", 2, "no such mapping"),
        ("map {pdb} {tmp}/none.trr -o {out}.h5 --temperature 300", 5, "no such file"),
        ("map {examples}/alanine_dipeptide.pdb {trr} -o {out}.h5 --temperature 300", 3, "belong together"),
        ("map {pdb} {pdb} -o {tmp}/no/such/folder/x.h5 --temperature 300", 5, "no such folder"),
        ("label {trr} --structure {pdb} -o {out}.h5 --temperature 300 --samples 3", 2, "--samples 3"),
        ("label {trr} --structure {tmp}/none.pdb -o {out}.h5 --temperature 300", 5, "no such file"),
        (
            "label {trr} --structure {examples}/alanine_dipeptide.pdb -o {out}.h5 --temperature 300",
            3,
            "belong",
        ),
    ],
)
def test_wrong_calls_cost_one_line_and_leave_nothing(call, tmp_path, examples, line, code, words):
    pdb = examples / "chignolin.pdb"
    unknown, nan = tmp_path / "unknown.pdb", tmp_path / "nan.pdb"
    unknown.write_text(pdb.read_text().replace("PRO A   4", "XYZ A   4"))
    nan.write_text(pdb.read_text().replace("   5.136  -0.305", "     nan  -0.305"))
    before = sorted(tmp_path.iterdir())
    names = {"tmp": tmp_path, "out": tmp_path / "out", "examples": examples, "pdb": pdb}
    names |= {"trr": examples / "chignolin.trr", "unknown": unknown, "nan": nan}
    result = call(*line.format(**names).split())
    assert result[0] == code
    assert words in result[2]
    assert result[2].count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


def test_an_unexpected_failure_is_one_line_too(call, monkeypatch, tmp_path, examples):
    def fail(*_):
        raise RuntimeError("the moon\nis full")

    monkeypatch.setattr("cgprot.mapping.rules.load_rules", fail)
    line = ["map", examples / "chignolin.pdb", examples / "chignolin.trr", "-o", tmp_path / "x.h5"]
    code, _, err = call(*line)
    assert (code, err.count("\n")) == (1, 1)
    assert "RuntimeError (the moon)" in err
    monkeypatch.setenv("CGPROT_TRACEBACK", "1")
    with pytest.raises(RuntimeError):
        call(*line)


def test_a_closed_pipe_does_not_hide_a_verdict():
    program = """
import sys
from types import SimpleNamespace
from cgprot import cli
options = SimpleNamespace(verb="verify", handler=lambda options: print("one is not as it was") or 3)
cli._parser = lambda: SimpleNamespace(parse_args=lambda arguments: options)
sys.exit(cli.main([]))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONUNBUFFERED": ""},
    )  # fmt: skip
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (3, "")


def test_no_standard_output_at_all_is_no_failure():
    command = f"{sys.executable} -m cgprot verify {shipped('trained') / 'heavy-demo'} >&-"
    done = subprocess.run(command, shell=True, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_closed_pipe_is_no_failure(chignolin, tmp_path, unbuffered):
    write_dataset(tmp_path / "few.h5", {"chignolin/300/0": chignolin})
    command = [sys.executable, "-m", "cgprot", "evaluate", "heavy-demo", str(tmp_path / "few.h5")]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    process.stdout.close()
    assert (process.wait(60), process.stderr.read()) == (0, "")
