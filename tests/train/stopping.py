"""Runs that end in the middle of a step, and the comparison of what they leave."""

import pytest
import torch

from cgprot.model.checkpoint import load_tensors
from cgprot.train import loop
from cgprot.train.metrics import read_metrics

_FILES = ("model.safetensors", "model_best.safetensors", "checkpoint.safetensors")


def stop_after(monkeypatch, n_steps):
    """Let the loop die, as if killed, in the middle of a step."""
    take_step = loop.take_step

    def until(training_state, *rest):
        if training_state.step == n_steps:
            raise KeyboardInterrupt
        return take_step(training_state, *rest)

    monkeypatch.setattr(loop, "take_step", until)


def weights(run, name="model.safetensors"):
    return load_tensors(run / name)[0]


def same_bits(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


def resumed_run(config, run, monkeypatch, n_steps=8):
    """A run killed after so many steps, which are not those of a checkpoint, and resumed."""
    with monkeypatch.context() as patch:
        stop_after(patch, n_steps)
        with pytest.raises(KeyboardInterrupt):
            loop.train(config, run)
    return loop.train(config, run, resume=True)


def assert_same_run(one, two):
    """The same bits in every file of weights, and the same log but for the seconds."""
    for name in _FILES:
        assert same_bits(weights(one, name), weights(two, name))
    for row, other in zip(read_metrics(one), read_metrics(two), strict=True):
        assert row._replace(seconds=0) == other._replace(seconds=0)
