"""Training that goes on from given weights, and data that come several times."""

import pytest
import springs
import torch
from stopping import resumed_run, same_bits, weights

from cgprot.errors import InputError, UsageError
from cgprot.files.dataset import write_dataset
from cgprot.files.folder import read_run
from cgprot.train import loop
from cgprot.train.config import RunConfig, load_config
from cgprot.train.data import prepare_data
from cgprot.train.metrics import read_metrics
from cgprot.train.state import TrainingState

SILENT = {"learning_rate": 1e-12, "warmup_steps": 0, "ema_decay": 0.0}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    springs.write_springs(folder)
    return loop.train(springs.run_config(folder, steps=40, learning_rate=0.01), folder / "run")


@pytest.fixture(scope="module")
def committee(trained):
    return loop.train(springs.run_config(trained.parent, steps=4, committee=2), trained.parent / "committee")


def test_the_first_weights_are_those_of_the_start(trained, tmp_path):
    """A training that cannot move: its scale of the energy, of other data, is the start's too."""
    config = springs.run_config(trained.parent, start=trained, **SILENT)
    run = loop.train(config, tmp_path / "run")
    for name, tensor in weights(trained).items():
        torch.testing.assert_close(weights(run)[name], tensor, atol=1e-9, rtol=0)
    errors = [m.validation_force_rmse_kcal_mol_A for m in (read_metrics(run)[0], read_metrics(trained)[-1])]
    assert errors[0] == pytest.approx(errors[1], rel=1e-5)
    assert list(read_run(run)["start"]) == [str(trained)]
    config = springs.run_config(trained.parent, **SILENT)
    assert not same_bits(weights(loop.train(config, tmp_path / "random")), weights(run))


def test_a_resumed_run_does_not_begin_again(trained, tmp_path, monkeypatch):
    config = springs.run_config(trained.parent, start=trained, learning_rate=0.01)
    whole = loop.train(config, tmp_path / "whole")
    parts = resumed_run(config, tmp_path / "parts", monkeypatch)
    assert same_bits(weights(whole), weights(parts))


def test_members_go_on_from_members(committee, tmp_path):
    config = springs.run_config(committee.parent, start=committee, committee=2, **SILENT)
    run = loop.train(config, tmp_path / "run")
    for member in ("member_0", "member_1"):
        for name, tensor in weights(committee / member).items():
            torch.testing.assert_close(weights(run / member)[name], tensor, atol=1e-9, rtol=0)


def test_what_cannot_be_gone_on_with_is_refused(trained, committee, tmp_path):
    def begin(**settings):
        config = springs.run_config(trained.parent, **settings)
        if "cutoff" in changes:
            config = config.model_copy(update={"model": config.model.model_copy(update=changes)})
        loop.train(config, tmp_path / "run")

    changes = {}
    with pytest.raises(UsageError, match="no such file"):
        begin(start=tmp_path / "none")
    with pytest.raises(UsageError, match="no members for a committee of 2"):
        begin(start=trained, committee=2)
    with pytest.raises(UsageError, match="2 members for a committee of 3"):
        begin(start=committee, committee=3)
    changes = {"cutoff": 4.0}
    with pytest.raises(UsageError, match=r"has model.cutoff 5.0, the configuration 4.0"):
        begin(start=trained)
    other = tmp_path / "other.h5"
    write_dataset(other, {"springs/300/0": springs.spring_frames(4, 0, mapping_hash="xyz")})
    config = springs.run_config(trained.parent, start=trained).model_dump()
    config["data"] |= {"train": [other], "validation": [other]}
    with pytest.raises(InputError, match="the model from heavy"):
        loop.train(RunConfig.model_validate(config), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def with_extra(folder, **data):
    config = springs.run_config(folder).model_dump()
    return RunConfig.model_validate(config | {"data": config["data"] | data})


def test_extra_data_come_as_often_as_asked(tmp_path):
    springs.write_springs(tmp_path)
    extra = tmp_path / "extra.h5"
    # The same key as one of the training data, and other frames.
    write_dataset(extra, {"springs/300/0": springs.spring_frames(2, 7)})
    data = prepare_data(with_extra(tmp_path, extra=[extra], extra_repeats=3))
    entries = [frame.entry for frame in data.labelled]
    assert len(entries) == 8 + 3 * 2
    assert entries.count("extra:springs/300/0") == 6
    assert len(data.edges) == len(entries)
    with pytest.raises(InputError, match=r"in data.train and in data.extra"):
        prepare_data(with_extra(tmp_path, extra=[tmp_path / "train.h5"]))
    run = loop.train(with_extra(tmp_path, extra=[extra]), tmp_path / "run")
    assert str(extra) in read_run(run)["inputs"]


def test_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "config.toml").write_text(
        '[data]\ntrain = ["a.h5"]\nvalidation = ["b.h5"]\nextra = ["c.h5"]\nextra_repeats = 2\n'
        '[train]\nstart = "run"\n'
    )
    config = load_config(tmp_path / "config.toml")
    assert (config.train.start, config.data.extra) == (tmp_path / "run", (tmp_path / "c.h5",))
    assert config.data.extra_repeats == 2
    assert TrainingState(config, {}).step == 0
