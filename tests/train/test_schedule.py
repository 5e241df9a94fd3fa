import itertools
import math

import numpy as np
import pytest
import springs
import torch

from cgprot.errors import UnstableError
from cgprot.model.checkpoint import load_model
from cgprot.train import loop
from cgprot.train.config import OptimiserConfig
from cgprot.train.loss import ForceErrors
from cgprot.train.metrics import read_metrics
from cgprot.train.schedule import Progress, learning_rate
from cgprot.train.state import TrainingState


def test_cosine_rises_and_falls():
    settings = OptimiserConfig(steps=1100, learning_rate=2.0, warmup_steps=100, final_learning_rate=0.1)
    rates = [learning_rate(step, settings) for step in range(1101)]
    np.testing.assert_allclose(rates[0], 0.02)
    np.testing.assert_allclose(rates[99:101], 2.0)
    np.testing.assert_allclose(rates[600], 1.1)
    np.testing.assert_allclose(rates[1100], 0.2)
    assert max(rates) == rates[100]


def test_the_rate_falls_at_plateaus_alone():
    settings = OptimiserConfig(
        schedule="plateau",
        plateau_patience=2,
        plateau_factor=0.5,
        learning_rate=1.0,
        final_learning_rate=0.2,
        warmup_steps=10,
    )
    progress, rates = Progress(), []
    for score in [5, 4, 4, 4, 3, 3, 2, 2, 2, 2, 2, 2, 2]:
        progress.update(float(score), settings)
        rates.append(learning_rate(100, settings, progress.fall))
    assert rates == [1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2]
    assert learning_rate(4, settings, 0.5) == 0.5  # the rise comes first
    assert learning_rate(100, OptimiserConfig(steps=1000), 0.5) == learning_rate(
        100, OptimiserConfig(steps=1000)
    )


def test_patience_counts_validations_since_the_best():
    settings, progress = OptimiserConfig(patience=3), Progress()
    stopped = []
    for score in [5, 6, 6, 4, 4, 5, math.nan]:
        progress.update(score, settings)
        stopped.append(progress.stopped(settings))
    assert stopped == [False] * 6 + [True]
    assert not progress.stopped(OptimiserConfig())


@pytest.fixture
def data(tmp_path):
    springs.write_springs(tmp_path)
    return tmp_path


def test_weights_that_leave_the_numbers_are_no_model(data, monkeypatch):
    """A step of infinite size after the last loss: nothing but the validation could see it."""
    clip = torch.nn.utils.clip_grad_norm_

    def spoiled(weights, largest):
        weights = list(weights)
        clip(weights, largest)
        weights[0].grad.fill_(math.nan)

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", spoiled)
    with pytest.raises(UnstableError, match="training step 1: the validation error is nan"):
        loop.train(springs.run_config(data, steps=1), data / "run")
    assert not (data / "run" / "model.safetensors").exists()


def test_best_model_is_that_of_the_lowest_score_and_patience_ends_the_run(data, monkeypatch, capsys):
    scripted = itertools.chain([3.0, 1.0], itertools.repeat(2.0))
    monkeypatch.setattr(
        loop, "held_out_errors", lambda *_: {"forces": ForceErrors(n=1, square=next(scripted))}
    )
    config = springs.run_config(data, steps=99, validate_every=2, patience=2)
    run = loop.train(config, data / "run")
    assert [row.step for row in read_metrics(run)] == [2, 4, 6, 8]
    assert "ended at step 8 of 99" in capsys.readouterr().err
    assert load_model(run / "model_best.safetensors")[1]["step"] == 4
    assert load_model(run / "model.safetensors")[1]["step"] == 8
    loop.train(config, run, resume=True)  # nothing is left to do
    assert TrainingState.load(run).step == 8
    assert (run / "curves.png").is_file()
