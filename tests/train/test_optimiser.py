"""SOAP in the training loop: chosen by the configuration, and nothing forgotten by a checkpoint."""

import pytest
import springs
import torch
from pydantic import ValidationError
from pytorch_optimizer.optimizer.soap import SOAP
from stopping import assert_same_run, resumed_run, same_bits, weights

from cgprot.train import loop, state


def soap(folder):
    """Long enough for its bases, renewed every ten steps, to have turned twice after the stop at step 14."""
    return springs.run_config(folder, optimiser="soap", steps=34, checkpoint_every=12, learning_rate=5e-3)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("soap")
    springs.write_springs(folder)
    return loop.train(soap(folder), folder / "whole")


def test_configuration_chooses(whole):
    chosen = state.TrainingState.load(whole).optimiser
    assert isinstance(chosen, SOAP)
    (group,) = chosen.param_groups
    assert group["weight_decay"] == 0  # its own default would pull the weights to zero
    other = springs.run_config(whole.parent)
    assert isinstance(state.TrainingState(other, {}).optimiser, torch.optim.Adam)
    with pytest.raises(ValidationError, match=r"train\.optimiser"):
        springs.run_config(whole.parent, optimiser="sgd")


def test_resumed_run_equals_the_uninterrupted_one(whole, tmp_path, monkeypatch):
    parts = resumed_run(soap(whole.parent), tmp_path / "parts", monkeypatch, 14)
    assert_same_run(whole, parts)


def test_run_stopped_before_its_first_checkpoint_resumes(whole, tmp_path, monkeypatch):
    parts = resumed_run(soap(whole.parent), tmp_path / "parts", monkeypatch, 5)
    assert same_bits(weights(whole), weights(parts))


@pytest.mark.parametrize("forgotten", ["exp_avg.", "exp_avg_sq.", "GG_0", "GG_1", "Q_0", "Q_1", "step"])
def test_comparison_catches_what_is_forgotten(whole, tmp_path, monkeypatch, forgotten):
    load = state.load_tensors

    def forgetful(path):
        tensors, metadata = load(path)
        found = [name for name in tensors if name.startswith(f"soap.{forgotten}")]
        assert found
        for name in found:
            tensors[name] = torch.eye(len(tensors[name])) if forgotten[0] == "Q" else 0 * tensors[name]
        return tensors, metadata

    monkeypatch.setattr(state, "load_tensors", forgetful)
    parts = resumed_run(soap(whole.parent), tmp_path / "parts", monkeypatch, 14)
    assert not same_bits(weights(whole), weights(parts))
