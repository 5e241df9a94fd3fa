"""Committees: members in folders of their own, resumed, and read back."""

import pytest
import springs
from stopping import same_bits, weights

from cgprot.model.checkpoint import load_model
from cgprot.model.committee import load_committee
from cgprot.train import loop
from cgprot.train.config import recorded_config


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("committee")
    springs.write_springs(folder)
    return loop.train(springs.run_config(folder, steps=6, committee=2, seed=5), folder / "run")


def test_members_are_runs_of_their_own(trained):
    members = load_committee(trained)
    assert [potential.config.channels for potential in members] == [16, 16]
    own = [recorded_config(trained / f"member_{k}").train.own_seed for k in range(2)]
    assert own == [5, 6]
    assert load_model(trained / "member_1")[1]["committee"] == {"member": 1, "size": 2}
    assert not same_bits(*(weights(trained / f"member_{k}") for k in range(2)))
    assert recorded_config(trained).train.member is None


def test_a_member_is_the_network_that_its_seed_alone_gives(trained, tmp_path):
    alone = loop.train(
        recorded_config(trained).model_copy(
            update={"train": springs.run_config(trained.parent, steps=6, seed=6).train}
        ),
        tmp_path / "alone",
    )
    assert same_bits(weights(alone), weights(trained / "member_1"))


def test_resumed_committee_equals_the_uninterrupted_one(trained, tmp_path, monkeypatch):
    take_step, count = loop.take_step, []

    def die(state, *rest):
        count.append(state.step)
        if len(count) == 10:  # the fourth step of the second member
            raise KeyboardInterrupt
        return take_step(state, *rest)

    config = recorded_config(trained)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "take_step", die)
        with pytest.raises(KeyboardInterrupt):
            loop.train(config, tmp_path / "run")
    first = (tmp_path / "run" / "member_0" / "model.safetensors").stat().st_mtime_ns
    loop.train(config, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "member_0" / "model.safetensors").stat().st_mtime_ns == first
    for member in ("member_0", "member_1"):
        assert same_bits(weights(trained / member), weights(tmp_path / "run" / member))


def test_a_member_killed_before_its_figures_is_not_done(trained, tmp_path, monkeypatch):
    def die(_):
        raise KeyboardInterrupt

    config = recorded_config(trained)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "draw_curves", die)
        with pytest.raises(KeyboardInterrupt):
            loop.train(config, tmp_path / "run")
    loop.train(config, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "member_0" / "curves.png").is_file()
