"""The second half of the street as a user types it: train, evaluate, simulate, analyse."""

import csv
import json

import h5py
import mdtraj
import numpy as np
import pytest

from cgprot.beads import BeadFrames
from cgprot.cli import main
from cgprot.files.dataset import write_dataset
from cgprot.model.checkpoint import MODEL_FILE
from cgprot.shipped import shipped
from cgprot.train.evaluate import GROUPS

MODEL = "heavy-demo"


@pytest.fixture
def config(tmp_path, chignolin):
    write_dataset(tmp_path / "set.h5", {"chignolin/300/0": chignolin})
    path = tmp_path / "config.toml"
    path.write_text(
        '[data]\ntrain = ["set.h5"]\nvalidation = ["set.h5"]\n'
        "[model]\nchannels = 8\nrbf = 8\n"
        "[train]\nsteps = 4\nbatch_frames = 2\nvalidate_every = 2\ncheckpoint_every = 2\n"
    )
    return path


def test_train_and_evaluate(call, tmp_path, config):
    run = tmp_path / "run"
    assert call("train", config, "-o", run, "--set", "train.steps=6")[0] == 0
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert [int(row["step"]) for row in rows] == [2, 4, 6]
    assert (run / "curves.png").stat().st_size > 1000
    assert call("train", "--resume", run)[0] == 0  # nothing is left to do
    code, out, _ = call("evaluate", run, tmp_path / "set.h5", "-o", tmp_path / "errors.csv")
    assert code == 0
    assert "noise" in out
    table = list(csv.DictReader((tmp_path / "errors.csv").open()))
    assert list(dict.fromkeys(row["group"] for row in table)) == list(GROUPS)


@pytest.fixture(scope="module")
def simulated(tmp_path_factory, examples):
    run = tmp_path_factory.mktemp("street") / "run"
    line = f"simulate {examples}/chignolin.pdb --model {MODEL} -o {run} --replicas 2 --time-ps 0.04"
    assert main(f"{line} --output-every-ps 0.02 --checkpoint-every-ps 0.02 --seed 7".split()) == 0
    return run


def test_simulate(simulated, examples):
    trajectory = mdtraj.load(simulated / "replica_001.dcd", top=simulated / "system.psf")
    assert trajectory.xyz.shape == (3, 93, 3)
    record = json.loads((simulated / "run.json").read_text())
    assert record["model"]["name"] == MODEL
    assert len(record["inputs"]) == 2
    log = list(csv.DictReader((simulated / "log.csv").open()))
    assert {row["replica"] for row in log} == {"0", "1"}
    assert all(np.isfinite(float(row["potential_energy_kcal_mol"])) for row in log)


def test_resume_and_analyse(call, simulated, examples, tmp_path):
    assert call("simulate", "--resume", simulated, "--time-ps", 0.06)[0] == 0
    assert len(mdtraj.load(simulated / "replica_000.dcd", top=simulated / "system.psf")) == 4
    report = tmp_path / "report"
    reference = examples / "chignolin_300K.h5"
    code, out, _ = call("analyse", simulated, "--reference", reference, "-o", report)
    assert (code, out.strip()) == (0, str(report / "report.html"))
    page = (report / "report.html").read_text()
    assert "Ramachandran" in page
    assert "http" not in page.replace("http://www.w3.org", "")  # nothing is fetched


def test_hydrogen_free_structures_start_a_run_too(call, examples, tmp_path):
    """The bead PDB with its PSF, and the same PDB alone, whose hydrogens must be guessed first."""
    bare = tmp_path / "bare.pdb"
    bare.write_text((examples / "chignolin_300K.pdb").read_text())
    for number, pdb in enumerate((examples / "chignolin_300K.pdb", bare)):
        line = f"--model {MODEL} --time-ps 0.004 --output-every-ps 0.004 --checkpoint-every-ps 0.004"
        assert call("simulate", pdb, "-o", tmp_path / f"run{number}", *line.split())[0] == 0
    first, second = (mdtraj.load(tmp_path / f"run{n}/system.pdb").xyz for n in (0, 1))
    np.testing.assert_allclose(first, second, atol=1e-4)


@pytest.mark.parametrize(
    ("line", "code", "words"),
    [
        ("train {tmp}/none.toml -o {out}", 5, "cannot be read"),
        ("train {config}", 2, "give CONFIG.toml and -o RUN"),
        ("train {config} -o {out} --set train.stepz=5", 2, "train.stepz: unknown key"),
        ("train {config} -o {out} --set train.steps=-5", 2, "train.steps"),
        ("train {config} -o {out} --set model.cutof=5", 2, "model.cutof: unknown key"),
        ('train {config} -o {out} --set data.train=["{bare}"]', 3, "no forces"),
        ('train {config} -o {out} --set data.train=["{nan}"]', 3, "not finite"),
        ('train {config} -o {out} --set data.train=["{tmp}/none.h5"]', 5, "none.h5"),
        ("train --resume {tmp}", 5, "not a cgprot run folder"),
        ("evaluate nothing {bare}", 2, "names available: heavy-0.7"),
        ("evaluate heavy-demo {bare}", 3, "no forces"),
        ("simulate -o {out}", 2, "give STRUCTURE or --sequence, --model and -o RUN"),
        ("simulate {pdb} --model nothing -o {out}", 2, "names available: heavy-0.7"),
        ("simulate {pdb} --model {flipped} -o {out}", 3, "damaged"),
        ("simulate {tmp}/none.pdb --model heavy-demo -o {out}", 5, "no such file"),
        ("simulate {pdb} --model heavy-demo -o {out} --temperature -300", 2, "--temperature -300"),
        ("simulate {pdb} --model heavy-demo -o {out} --timestep-fs 0", 2, "--timestep-fs 0"),
        ("simulate {pdb} --model heavy-demo -o {out} --time-ps 0.0033", 2, "whole number of steps"),
        ("simulate {pdb} --model heavy-demo -o {examples}", 2, "exists already"),
        ("simulate --resume {tmp}", 5, "not a cgprot run folder"),
        ("analyse {tmp}/none -o {out}", 5, "no such file"),
        ("analyse {tmp} -o {out}", 5, "not a cgprot run folder"),
        ("analyse {config} -o {out}", 3, "config.toml"),
    ],
)
def test_wrong_calls_cost_one_line_and_leave_nothing(
    call, tmp_path, examples, chignolin, config, line, code, words
):
    write_dataset(tmp_path / "bare.h5", {"a/300/0": BeadFrames(chignolin.system, chignolin.positions)})
    write_dataset(tmp_path / "nan.h5", {"a/300/0": chignolin})
    with h5py.File(tmp_path / "nan.h5", "a") as file:
        file["a/300/0/forces"][2, 5, 1] = np.nan
    weights = bytearray((shipped("trained") / MODEL / MODEL_FILE).read_bytes())
    weights[-100] ^= 1
    (tmp_path / "flipped.safetensors").write_bytes(weights)
    before = sorted(tmp_path.iterdir())
    names = {"tmp": tmp_path, "out": tmp_path / "out", "examples": examples, "config": config}
    names |= {"bare": tmp_path / "bare.h5", "nan": tmp_path / "nan.h5", "pdb": examples / "chignolin.pdb"}
    names |= {"flipped": tmp_path / "flipped.safetensors"}
    result = call(*line.format(**names).split())
    assert result[0] == code
    assert words in result[2]
    assert result[2].count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
