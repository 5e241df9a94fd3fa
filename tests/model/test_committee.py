import numpy as np
import pytest
import torch

from cgprot.errors import InputError, UsageError
from cgprot.model.checkpoint import load_model, save_model
from cgprot.model.committee import force_spread, load_committee, member_folder
from cgprot.model.graph import build_graph
from cgprot.model.potential import ModelConfig, Potential


def write_member(folder, number, size, mapping_hash="abc"):
    torch.manual_seed(number)
    potential = Potential(ModelConfig(channels=8, rbf=8))
    path = member_folder(folder, number)
    path.mkdir()
    extra = {"committee": {"member": number, "size": size}}
    save_model(path / "model.safetensors", potential, "heavy", mapping_hash, {"CH0": 1}, extra)
    return potential


@pytest.fixture
def graph():
    positions = np.random.default_rng(0).uniform(0, 4, size=(1, 8, 3))
    return build_graph(positions, np.array([1, 2, 3, 4, 5, 6, 7, 8]), 5.0)


def test_members_come_in_their_order(tmp_path, graph):
    written = [write_member(tmp_path, number, 11) for number in range(11)]  # member_10 is no second
    for one, two in zip(written, load_committee(tmp_path), strict=True):
        assert torch.equal(one.energy(graph), two.energy(graph))
    with pytest.raises(UsageError, match="is a committee: give a member"):
        load_model(tmp_path)
    assert len(load_committee(tmp_path / "member_3")) == 1
    assert len(load_committee("heavy-demo")) == 1


def test_spread_by_hand(tmp_path, graph):
    members = [write_member(tmp_path, number, 3) for number in range(3)]
    mean, spread = force_spread(members, graph)
    forces = np.stack([member.energy_and_forces(graph)[1].numpy() for member in members])
    np.testing.assert_allclose(mean, forces.mean(0), atol=1e-6)
    np.testing.assert_allclose(spread, np.sqrt(forces.var(0, ddof=1).mean(-1)), rtol=1e-4)
    assert force_spread([members[0]] * 2, graph)[1].max() == 0
    with pytest.raises(InputError, match="has no spread"):
        force_spread(members[:1], graph)


def test_incomplete_committees_are_refused(tmp_path):
    write_member(tmp_path, 0, 3)
    write_member(tmp_path, 1, 3)
    with pytest.raises(InputError, match="not member 0 of 2"):
        load_committee(tmp_path)
    write_member(tmp_path, 2, 3, mapping_hash="other")
    with pytest.raises(InputError, match="mapping"):
        load_committee(tmp_path)
    (tmp_path / "member_2" / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="not trained yet"):
        load_committee(tmp_path)
