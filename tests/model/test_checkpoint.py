from types import SimpleNamespace

import laws
import pytest
import torch

from cgprot.errors import InputError, UsageError
from cgprot.model import checkpoint
from cgprot.model.checkpoint import (
    check_mapping,
    load_model,
    load_tensors,
    model_path,
    save_model,
    save_tensors,
)
from cgprot.model.graph import build_graph
from cgprot.model.potential import ModelConfig, Potential

CONFIG = ModelConfig(channels=6, layers=2, rbf=5, cutoff=4.5, group="SO(3)", n_types=13)


@pytest.fixture
def saved(tmp_path):
    potential = Potential(CONFIG)
    potential.energy_scale.fill_(26.5)
    path = tmp_path / "some.safetensors"
    save_model(path, potential, "heavy", "abc", {"CH0": 1}, {"step": 7})
    return potential, path


def test_loaded_model_is_the_same_function(saved):
    potential, path = saved
    loaded, metadata = load_model(path)
    graph = build_graph(laws.cluster(), laws.TYPES, CONFIG.cutoff)
    for a, b in zip(potential.energy_and_forces(graph), loaded.energy_and_forces(graph), strict=True):
        assert torch.equal(a, b)
    assert loaded.config == CONFIG
    assert metadata["mapping"] == "heavy"
    assert metadata["bead_types"] == {"CH0": 1}
    assert metadata["step"] == 7


@pytest.mark.parametrize("place", [0.3, 0.6, 0.999])
def test_one_flipped_bit_is_refused(saved, place):
    _, path = saved
    content = bytearray(path.read_bytes())
    header = 8 + int.from_bytes(content[:8], "little")
    content[header + int(place * (len(content) - header))] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="SHA-256"):
        load_model(path)


def test_cut_file_is_refused(saved):
    _, path = saved
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="not a model"):
        load_model(path)


def test_weights_that_are_not_finite_are_refused(saved):
    _, path = saved
    tensors, metadata = load_tensors(path)
    tensors["network.linear.bias"][2] = torch.nan
    checkpoint.save_tensors(path, tensors, metadata)
    with pytest.raises(InputError, match=r"network\.linear\.bias is not finite"):
        load_model(path)


def test_weights_of_another_configuration_are_refused(saved):
    _, path = saved
    tensors, metadata = load_tensors(path)
    metadata["config"]["layers"] = 1
    checkpoint.save_tensors(path, tensors, metadata)
    with pytest.raises(InputError, match="configuration"):
        load_model(path)


def test_model_is_found_by_name_and_by_folder(saved, monkeypatch):
    _, path = saved
    shelf = path.parent / "trained"
    (shelf / "tiny").mkdir(parents=True)
    path.rename(shelf / "tiny" / "model.safetensors")
    monkeypatch.setattr(checkpoint, "shipped", lambda kind: shelf)
    for name in ("tiny", shelf / "tiny"):
        assert load_model(name)[0].config == CONFIG
    with pytest.raises(UsageError, match=r"nosuch.*names available: tiny"):
        load_model("nosuch")


def test_beads_of_other_rules_are_refused(saved):
    metadata = load_model(saved[1])[1]
    check_mapping(metadata, SimpleNamespace(mapping="heavy", mapping_hash="abc"))
    with pytest.raises(InputError, match="mapping"):
        check_mapping(metadata, SimpleNamespace(mapping="heavy", mapping_hash="abd"))


def test_a_disk_that_refuses_is_no_unexpected_error(tmp_path):
    """safetensors' own writer has an error of its own for it, which no caller expects."""
    with pytest.raises(OSError, match="Is a directory"):
        save_tensors(tmp_path, {"x": torch.zeros(100)}, {})


def test_a_folder_without_a_model_is_told_from_none(tmp_path):
    with pytest.raises(UsageError, match=r"a folder without model\.safetensors"):
        model_path(tmp_path)
