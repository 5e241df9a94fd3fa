"""Whatever a run remembers, a resumed one ends with the very bits of the uninterrupted one."""

import json

import pytest
import springs
from stopping import assert_same_run, resumed_run, same_bits, stop_after, weights

from cgprot.files.dataset import write_dataset
from cgprot.train import loop, state
from cgprot.train.config import recorded_config
from cgprot.train.metrics import read_metrics


def everything(folder):
    """Batches of edges, energies and dipoles, noise weights, falls at plateaus and patience."""
    train = {"learning_rate": 0.1, "warmup_steps": 0, "validate_every": 2, "ema_decay": 0.5}
    train |= {"batch_edges": 80, "schedule": "plateau", "plateau_patience": 1, "patience": 4}
    changes = {"noise_weighting": 0.3, "loss": {"energy": 0.5, "dipole": 0.5}, "outputs": ["dipole"]}
    return springs.run_config(folder, **train, **changes)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    frames = {f"springs/300/{k}": springs.spring_frames(4, k, noise=0.3) for k in range(2)}
    write_dataset(folder / "train.h5", frames)
    write_dataset(folder / "validation.h5", {"springs/300/0": springs.spring_frames(4, 2, noise=0.5)})
    return loop.train(everything(folder), folder / "run")


def test_resumed_run_equals_the_uninterrupted_one(whole, tmp_path, monkeypatch):
    parts = resumed_run(everything(whole.parent), tmp_path / "parts", monkeypatch, 11)
    assert_same_run(whole, parts)
    rates = [row.learning_rate for row in read_metrics(whole)]
    assert rates[-1] < rates[1] == 0.1  # a plateau before the stop


def forget(what, tensors, metadata):
    if what == "average":
        for name in [name for name in tensors if name.startswith("average.")]:
            tensors[name] = tensors[name.replace("average.", "potential.")]
    elif what == "fall":
        metadata["progress"]["fall"] = 1.0
    else:
        tensors[what].fill_(0.0)


@pytest.mark.parametrize("what", ["fall", "energy_constants", "average"])
def test_comparison_catches_what_is_forgotten(whole, tmp_path, monkeypatch, what):
    load = state.load_tensors

    def forgetful(path):
        tensors, metadata = load(path)
        forget(what, tensors, metadata)
        return tensors, metadata

    monkeypatch.setattr(state, "load_tensors", forgetful)
    parts = resumed_run(everything(whole.parent), tmp_path / "parts", monkeypatch, 11)
    assert not same_bits(weights(whole), weights(parts))


def test_runs_begun_by_an_earlier_release_resume(tmp_path, monkeypatch):
    """Their records lack the newer keys, their checkpoints have the best error alone."""
    springs.write_springs(tmp_path)
    config = springs.run_config(tmp_path)
    whole = loop.train(config, tmp_path / "whole")
    load = state.load_tensors

    def old(path):
        tensors, metadata = load(path)
        metadata["best"] = metadata.pop("progress")["best"]
        metadata["config"] = without_news(metadata["config"])
        return tensors, metadata

    def without_news(config):
        known = ("steps", "batch_frames", "validate_every", "checkpoint_every", "threads")
        return {
            "data": config["data"],
            "model": {"channels": 16, "rbf": 16},
            "train": {name: config["train"][name] for name in known},
        }

    with monkeypatch.context() as patch:
        stop_after(patch, 8)
        with pytest.raises(KeyboardInterrupt):
            loop.train(config, tmp_path / "run")
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    record["config"] = without_news(record["config"])
    (tmp_path / "run" / "run.json").write_text(json.dumps(record))
    monkeypatch.setattr(state, "load_tensors", old)
    loop.train(recorded_config(tmp_path / "run"), tmp_path / "run", resume=True)
    monkeypatch.undo()
    assert same_bits(weights(whole), weights(tmp_path / "run"))
