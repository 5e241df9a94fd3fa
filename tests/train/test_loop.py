import json
import os
import signal

import numpy as np
import pytest
import springs
import torch
from stopping import assert_same_run, resumed_run, same_bits, weights

from cgprot.errors import InputError, StorageError, UnstableError, UsageError
from cgprot.files.dataset import write_dataset
from cgprot.files.folder import read_run
from cgprot.files.lock import locked
from cgprot.files.stop import Interrupted
from cgprot.model.checkpoint import load_model
from cgprot.train import loop, state
from cgprot.train.config import recorded_config
from cgprot.train.metrics import read_metrics


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def data(tmp_path):
    springs.write_springs(tmp_path)
    return tmp_path


def test_run_folder_is_complete(data):
    config = springs.run_config(data)
    run = loop.train(config, data / "run")
    names = {path.name for path in run.iterdir()}
    assert names == {
        "run.json",
        "metrics.csv",
        "checkpoint.safetensors",
        "model.safetensors",
        "model_best.safetensors",
        "curves.png",
        "errors.csv",
        ".lock",
    }
    assert recorded_config(run) == config
    assert [row.step for row in read_metrics(run)] == [4, 8, 12]
    assert len(read_run(run)["inputs"]) == 2
    _, metadata = load_model(run)
    assert metadata["mapping_hash"] == "abc"
    assert metadata["bead_types"] == {"CH0": 1, "CH1": 2, "CH2": 3, "NH1": 6, "OH0": 9}


def test_resumed_run_equals_the_uninterrupted_one(data, monkeypatch):
    config = springs.run_config(data)
    whole = loop.train(config, data / "whole")
    parts = resumed_run(config, data / "parts", monkeypatch)
    assert_same_run(whole, parts)


@pytest.mark.parametrize("forgotten", ["exp_avg", "exp_avg_sq", "step"])
def test_comparison_catches_forgotten_moments(data, monkeypatch, forgotten):
    config = springs.run_config(data)
    whole = loop.train(config, data / "whole")
    load = state.load_tensors

    def forgetful(path):
        tensors, metadata = load(path)
        for name, tensor in tensors.items():
            if name.startswith(f"adam.{forgotten}."):
                tensor.zero_()
        return tensors, metadata

    monkeypatch.setattr(state, "load_tensors", forgetful)
    parts = resumed_run(config, data / "parts", monkeypatch)
    assert not same_bits(weights(whole), weights(parts))


def test_run_stopped_before_its_first_checkpoint_resumes(data, monkeypatch):
    config = springs.run_config(data, checkpoint_every=100)
    whole = loop.train(config, data / "whole")
    parts = resumed_run(config, data / "parts", monkeypatch)
    assert same_bits(weights(whole), weights(parts))


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 0)])
def test_signal_finishes_the_step_and_writes_a_checkpoint(data, monkeypatch, number, exit_code):
    config, before = springs.run_config(data), signal.getsignal(number)
    whole = loop.train(config, data / "whole")
    take_step = loop.take_step

    def send(training_state, *rest):
        if training_state.step == 6:
            os.kill(os.getpid(), number)
        return take_step(training_state, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", send)
        with pytest.raises(Interrupted, match=f"{number.name} at step 7 of 12.*train --resume") as caught:
            loop.train(config, data / "parts")
    assert caught.value.exit_code == exit_code
    assert "\n" not in str(caught.value)
    assert signal.getsignal(number) is before
    assert state.TrainingState.load(data / "parts").step == 7
    parts = loop.train(config, data / "parts", resume=True)
    assert same_bits(weights(whole), weights(parts))


def test_second_process_is_refused(data, monkeypatch):
    config = springs.run_config(data)
    take_step, refused = loop.take_step, []

    def resume_beside(training_state, *rest):
        if training_state.step == 6:
            with pytest.raises(StorageError, match="another process runs in it"):
                loop.train(config, data / "run", resume=True)
            refused.append(training_state.step)
        return take_step(training_state, *rest)

    monkeypatch.setattr(loop, "take_step", resume_beside)
    run = loop.train(config, data / "run")
    assert refused == [6]
    with locked(run), pytest.raises(StorageError, match="another process runs in it"):
        loop.train(config, run, resume=True)


def test_damaged_record_or_other_verb_is_refused(data):
    (data / "run").mkdir()
    config = springs.run_config(data)
    for content, error, said in (
        ('{"verb": "train"}', StorageError, "lacks config or inputs"),
        ('{"verb": "train", "config": {}, "inputs": 1}', StorageError, "lacks config or inputs"),
        ('{"verb": "simulate"}', UsageError, "is a run of simulate"),
    ):
        (data / "run" / "run.json").write_text(content)
        with pytest.raises(error, match=said):
            loop.train(config, data / "run", resume=True)
    assert [path.name for path in (data / "run").iterdir()] == ["run.json"]


def test_missing_data_are_named_on_resume(data):
    run = loop.train(springs.run_config(data), data / "run")
    (data / "train.h5").unlink()
    with pytest.raises(StorageError, match=r"train\.h5: could not be read"):
        loop.train(springs.run_config(data), run, resume=True)


def test_nothing_resumes_with_another_configuration_or_data(data):
    run = loop.train(springs.run_config(data), data / "run")
    with pytest.raises(UsageError, match="another configuration"):
        loop.train(springs.run_config(data, seed=1), run, resume=True)
    write_dataset(data / "train.h5", {"springs/300/0": springs.spring_frames(5, 3)})
    with pytest.raises(InputError, match="changed since"):
        loop.train(springs.run_config(data), run, resume=True)


def test_existing_folder_is_refused(data):
    (data / "run").mkdir()
    (data / "run" / "note").touch()
    with pytest.raises(UsageError, match="exists"):
        loop.train(springs.run_config(data), data / "run")


def test_loss_that_is_not_finite_stops_the_run(data):
    with pytest.raises(UnstableError, match="learning_rate"):
        loop.train(springs.run_config(data, learning_rate=1e6, warmup_steps=0), data / "run")


@pytest.mark.parametrize("change", ["no forces", "nan", "mapping", "types", "zero"])
def test_unusable_data_are_refused_before_any_output(data, change):
    frames = springs.spring_frames(4, 3, mapping_hash="other" if change == "mapping" else "abc")
    if change == "no forces":
        object.__setattr__(frames, "forces", None)
    if change == "nan":
        frames.forces[2, 1, 0] = np.nan
    if change == "zero":
        frames.forces[:] = 0
    if change == "types":
        frames.system.bead_type[:] = 13
    write_dataset(data / "train.h5", {"springs/300/0": frames})
    message = {"nan": "frame 2", "mapping": "different mappings", "types": "type 13", "zero": "all training"}
    with pytest.raises(InputError, match=message.get(change, "no forces")):
        loop.train(springs.run_config(data), data / "run")
    assert not (data / "run").exists()


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ({"spin": True}, "springs/300/0: the model needs the spin of every system"),
        ({"cutoff": 0.1}, r"no bead has a neighbour within model\.cutoff=0\.1 Å"),
    ],
)
def test_data_without_what_the_model_needs_are_refused_before_any_output(data, model, said):
    config = springs.run_config(data)
    config = config.model_copy(update={"model": config.model.model_copy(update=model)})
    with pytest.raises(InputError, match=said):
        loop.train(config, data / "run")
    assert not (data / "run").exists()


def test_a_record_that_was_edited_does_not_resume(data):
    """More steps written into run.json would be ignored without a word."""
    run = loop.train(springs.run_config(data), data / "run")
    record = json.loads((run / "run.json").read_text())
    record["config"]["train"]["steps"] += 8
    (run / "run.json").write_text(json.dumps(record))
    with pytest.raises(UsageError, match="another configuration than its checkpoint"):
        loop.train(recorded_config(run), run, resume=True)
