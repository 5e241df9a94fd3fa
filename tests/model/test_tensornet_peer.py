"""The same function as TorchMD-Net 3.1.0's TensorNet."""

import laws
import numpy as np
import pytest
import torch
import torchmdnet.models.tensornet as peer_module
from peer import peer_energy_and_forces, peer_of

from cgprot.model.graph import build_graph, join_graphs
from cgprot.model.potential import ModelConfig, Potential


@pytest.fixture(autouse=True)
def _peer_in_plain_python(monkeypatch):
    """The peer's Warp kernels differ from its own Python path, by 4e-5 of the forces for SO(3)."""
    monkeypatch.setattr(peer_module, "OPT", False)
    for name in ("compose_tensor", "decompose_tensor", "tensor_matmul_o3", "tensor_matmul_so3"):
        monkeypatch.setattr(peer_module, name, getattr(peer_module, f"_{name}"))


def compare(potential: Potential, tolerance: float) -> None:
    peer = peer_of(potential)
    dtype = potential.energy_scale.dtype
    first = build_graph(laws.cluster(1, n_systems=2), laws.TYPES, potential.config.cutoff, dtype)
    second = build_graph(laws.cluster(2)[:, :5] * 1.1, laws.TYPES[5:], potential.config.cutoff, dtype)
    graph = join_graphs([first, second])
    ours, theirs = potential.energy_and_forces(graph), peer_energy_and_forces(peer, graph)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b.detach(), rtol=0, atol=tolerance * float(b.detach().abs().max()))


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
@pytest.mark.parametrize("group", ["O(3)", "SO(3)"])
@pytest.mark.parametrize("layers", [0, 1, 2])
def test_energies_and_forces_are_the_peers(layers, group, dtype, tolerance):
    torch.manual_seed(layers)
    potential = Potential(ModelConfig(channels=16, layers=layers, rbf=12, cutoff=4.3, group=group)).to(dtype)
    potential.energy_scale.fill_(26.0)
    compare(potential, tolerance)


def test_comparison_catches_a_changed_cutoff():
    potential = Potential(ModelConfig(channels=16, rbf=12)).double()
    potential.network.basis.alpha *= 1 + 1e-8
    with pytest.raises(AssertionError):
        compare(potential, 1e-10)
