import json

import numpy as np
import pytest
import torch
from chain import chain_start, chain_system

from cgprot.errors import InputError, StorageError, UsageError
from cgprot.files.folder import RUN_FILE, read_run
from cgprot.files.psf import write_psf
from cgprot.files.universe import write_pdb
from cgprot.model.checkpoint import save_model
from cgprot.model.potential import ModelConfig, Potential
from cgprot.simulate.command import Beginning, resume_run, start_run
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.start import load_start


@pytest.fixture
def run(tmp_path):
    """A finished run by a small network; the model lies in model.safetensors beside it."""
    torch.manual_seed(1)
    system, start = chain_system(), tmp_path / "start.pdb"
    potential = Potential(ModelConfig(channels=4, layers=1, rbf=8))
    save_model(tmp_path / "model.safetensors", potential, "heavy", "0" * 64, {"CH0": 1, "CH1": 2}, {})
    write_pdb(start, system, chain_start().positions[0])
    write_psf(start.with_suffix(".psf"), system)
    config = SimulateConfig(temperature=10.0, time_ps=0.02, output_every_ps=0.01)
    start_run(Beginning(start), str(tmp_path / "model.safetensors"), config, tmp_path / "run", "network")
    return tmp_path / "run"


def test_run_goes_on(run):
    resume_run(run, 0.04)
    assert read_run(run)["config"]["time_ps"] == 0.04


def test_every_file_that_it_begins_from_is_on_record(run):
    folder = run.parent
    assert set(read_run(run)["inputs"]) == {
        str(folder / name) for name in ("start.pdb", "start.psf", "model.safetensors")
    }
    (folder / "run.psf").write_text(" REMARKS cgprot mapping heavy 0\n")
    assert Beginning(run).files == []  # whose frames are in the new run


def test_a_run_in_a_box_goes_on_in_one(run):
    """Its frames know nothing of the box."""
    folder, boxed = run.parent, run.parent / "boxed"
    model = str(folder / "model.safetensors")
    start_run(Beginning(folder / "start.pdb"), model, brief(box=(30.0, 40.0, 50.0)), boxed, "network")
    beginnings = [Beginning(boxed), Beginning(boxed / "system.pdb")]
    beginnings += [
        Beginning(folder / "start.pdb", frames=frames) for frames in (boxed, boxed / "replica_000.dcd")
    ]
    for beginning in beginnings:
        with pytest.raises(UsageError, match=r"boxed.*: its run was in a box: say --box 30 40 50 90 90 90"):
            start_run(beginning, model, brief(), folder / "free", "network")
        assert not (folder / "free").exists()
    start_run(Beginning(boxed), model, brief(box=(40.0,)), folder / "on", "network")
    assert read_run(folder / "on")["config"]["box"] == [40.0, 40.0, 40.0, 90.0, 90.0, 90.0]


def brief(**given):
    return SimulateConfig(**{"temperature": 10.0, "time_ps": 0.02, "output_every_ps": 0.01} | given)


def test_beads_that_coincide_are_named_before_the_model_tries_them(run):
    positions = chain_start().positions[0][[0, 1] * 3]
    write_pdb(run.parent / "start.pdb", chain_system(), positions)
    config, model = SimulateConfig(time_ps=0.02, output_every_ps=0.01), str(run.parent / "model.safetensors")
    with pytest.raises(InputError, match=r"starting frame 0: .* apart without a bond"):
        start_run(Beginning(run.parent / "start.pdb"), model, config, run.parent / "again", "compressed")


@pytest.mark.parametrize("place", [0, -1])
def test_altered_model_is_named_as_such(run, place):
    model = run.parent / "model.safetensors"
    data = bytearray(model.read_bytes())
    data[place] ^= 1
    model.write_bytes(data)
    with pytest.raises(InputError, match="not the weights that"):
        resume_run(run, 0.04)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"model": {"name": "x"}}, r"model.sha256: "),
        ({"model": 3}, r"model: "),
        ({"engine": {"name": "compressed"}}, r"engine.*intervals: "),
        ({"engine": {"name": "abacus"}}, r"engine"),
        ({"config": []}, r"config: "),
        ({"config": {"replicas": 10**9}}, r"config.replicas: "),
    ],
)
def test_damaged_record_is_refused_in_one_line(run, change, said):
    (run / RUN_FILE).write_text(json.dumps(read_run(run) | change))
    with pytest.raises(StorageError, match=rf"run.json: {said}") as caught:
        resume_run(run, 0.04)
    assert "\n" not in str(caught.value)


def test_lost_key_and_other_files_are_refused(run):
    record = read_run(run)
    del record["model"]
    for content, said in (
        (json.dumps(record).encode(), "model: "),
        (b"[]", "not the record of a run"),
        (b"\xff\x00", "not a cgprot run folder"),
    ):
        (run / RUN_FILE).write_bytes(content)
        with pytest.raises(StorageError, match=said):
            resume_run(run, 0.04)
    (run / RUN_FILE).write_text('{"verb": "train"}')
    with pytest.raises(UsageError, match="is a run of train: give a folder that simulate wrote"):
        resume_run(run, 0.04)


@pytest.mark.parametrize(
    "content", [bytes(range(256)), b" REMARKS cgprot mapping heavy 0\n" * 12 + b"\n" * 9000 + b"\xff"]
)
def test_binary_psf_beside_the_start_is_refused(tmp_path, content):
    write_pdb(tmp_path / "a.pdb", chain_system(), np.array(chain_start().positions[0]))
    (tmp_path / "a.psf").write_bytes(content)
    with pytest.raises(InputError, match=r"a\.psf: not "):
        load_start(tmp_path / "a.pdb", "heavy")
