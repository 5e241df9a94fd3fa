"""Files against their hashes: a changed bit in any file that is on record is found, and in no other."""

import json
from dataclasses import replace

import pytest
import torch
from chain import chain_start, chain_system
from safetensors.torch import save_file

from cgprot.cli import main
from cgprot.errors import UsageError
from cgprot.files.folder import RUN_FILE, write_run
from cgprot.files.growing import Mark
from cgprot.files.psf import write_psf
from cgprot.files.universe import write_pdb
from cgprot.model.checkpoint import save_model
from cgprot.model.potential import ModelConfig, Potential
from cgprot.simulate.command import Beginning, start_run
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.state import CHECKPOINT, load_checkpoint, save_checkpoint
from cgprot.simulate.verify import verify


@pytest.fixture
def run(tmp_path):
    """A finished run of two replicas; its start and its model lie beside it."""
    torch.manual_seed(1)
    system, start = chain_system(), tmp_path / "start.pdb"
    model = tmp_path / "model.safetensors"
    save_model(model, Potential(ModelConfig(channels=4, layers=1, rbf=8)), "heavy", "0" * 64, {"CH0": 1}, {})
    write_pdb(start, system, chain_start().positions[0])
    write_psf(start.with_suffix(".psf"), system)
    config = SimulateConfig(
        temperature=10.0, time_ps=0.02, output_every_ps=0.01, checkpoint_every_ps=0.01, replicas=2
    )
    start_run(Beginning(start), str(model), config, tmp_path / "run", "network")
    return tmp_path / "run"


def wrong(path):
    return {found.path.name for found in verify(path) if found.wrong}


def flip(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_nothing_is_wrong_with_a_new_run(run, capsys):
    assert main(["verify", str(run), str(run.parent / "model.safetensors")]) == 0
    said = capsys.readouterr().out
    assert said.endswith(", 0 of them not as they were\n")
    for name in ("start.pdb", "system.psf", "replica_000.dcd", "replica_001.dcd", "log.csv"):
        assert f"{name}: as it was" in said


@pytest.mark.parametrize(
    ("name", "place", "found"),
    [
        ("run/replica_001.dcd", -1, {"replica_001.dcd"}),
        ("run/replica_000.dcd", 4, {"replica_000.dcd"}),
        ("run/replica_000.dcd", 300, {"replica_000.dcd"}),
        ("run/log.csv", 60, {"log.csv"}),
        ("run/system.psf", 30, {"system.psf"}),
        ("run/log.csv", -3, {"log.csv"}),
        ("run/checkpoint.safetensors", -1, {"checkpoint.safetensors"}),
        ("run/checkpoint.safetensors", 0, {"checkpoint.safetensors"}),
        ("run/checkpoint.previous.safetensors", -1, {"checkpoint.previous.safetensors"}),
        ("start.pdb", 40, {"start.pdb"}),
        ("model.safetensors", -1, {"model.safetensors"}),
    ],
)
def test_one_bit_is_found(run, name, place, found):
    flip(run.parent / name, place)
    assert wrong(run) == found


def test_what_is_gone_is_told(run, capsys):
    (run.parent / "start.pdb").unlink()
    (run / "replica_000.dcd").unlink()
    assert main(["verify", str(run)]) == 3
    said = capsys.readouterr().out
    assert "2 of them not as they were" in said
    assert "bring it back" in said


def test_a_record_that_cannot_be_read_hides_nothing(run):
    (run / RUN_FILE).write_text("[1]")
    flip(run / "system.psf", 30)
    assert wrong(run) == {RUN_FILE, "system.psf"}
    (run / RUN_FILE).write_text('{"inputs": ["x"]}')
    assert wrong(run) == {"system.psf"}


def test_edited_restraints_are_found(run):
    (run / "restraints.json").write_text("{}")
    record = json.loads((run / RUN_FILE).read_text()) | {"restraints": {"sha256": "0" * 64}}
    (run / RUN_FILE).write_text(json.dumps(record))
    assert wrong(run) == {"restraints.json"}


def test_tensors_of_others_are_passed_over(run):
    save_file({"x": torch.zeros(1)}, str(run / "other.safetensors"))
    assert wrong(run) == set()
    with pytest.raises(UsageError, match="nothing here has a hash"):
        wrong(run / "other.safetensors")


def test_a_mark_of_an_older_checkpoint_still_holds_for_its_tail(run):
    checkpoint = load_checkpoint(run / CHECKPOINT)
    old = {name: Mark(*mark[:3]) for name, mark in checkpoint.files.items()}
    save_checkpoint(run / CHECKPOINT, replace(checkpoint, files=old))
    flip(run / "replica_000.dcd", -1)
    assert wrong(run) == {"replica_000.dcd"}


def test_weights_alone_and_runs_below(run):
    flip(run.parent / "model.safetensors", -1)
    assert wrong(run.parent / "model.safetensors") == {"model.safetensors"}
    assert wrong(run.parent) == {"model.safetensors"}
    flip(run / "system.psf", 30)
    assert wrong(run.parent) == {"model.safetensors", "system.psf"}


def test_relative_inputs_are_found_from_the_folder_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data.csv").write_text("1\n")
    write_run(tmp_path, "evaluate", {}, [(tmp_path / "data.csv").relative_to(tmp_path)])
    assert json.loads((tmp_path / RUN_FILE).read_text())["inputs"].keys() == {"data.csv"}
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert wrong(tmp_path / RUN_FILE) == set()
    (tmp_path / "data.csv").write_text("2\n")
    assert wrong(tmp_path / RUN_FILE) == {"data.csv"}


@pytest.mark.parametrize(("name", "code"), [("nothing", 5), ("empty", 2), ("start.pdb", 2)])
def test_what_has_no_hash_is_refused(run, capsys, name, code):
    (run.parent / "empty").mkdir()
    assert main(["verify", str(run.parent / name)]) == code
    assert capsys.readouterr().err.count("\n") == 1
