"""The same function as TorchMD-Net 3.1.0's TensorNet."""

import laws
import numpy as np
import pytest
import torch
import torchmdnet.models.tensornet as peer_module
from peer import peer_energy_and_forces, peer_of

from cgprot.model.graph import Graph, build_graph, join_graphs
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
    assert_same(potential.energy_and_forces(graph), peer_energy_and_forces(peer, graph), tolerance)


def assert_same(ours: tuple[torch.Tensor, ...], theirs: tuple[torch.Tensor, ...], tolerance: float) -> None:
    """Within a fraction of the largest."""
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


# Reduced, and twice the cutoff wide, as the peer asks.
BOXES = np.array(
    [[[8.9, 0, 0], [2.1, 8.8, 0], [-1.7, 3.2, 9.4]], [[9.6, 0, 0], [-4.1, 8.7, 0], [0.4, -2.2, 9.1]]]
)


def periodic_batch(potential: Potential, **states) -> Graph:
    """Two systems with boxes and states of their own, whose beads meet through the walls."""
    return build_graph(
        laws.cluster(1, n_systems=2) + 3.0, laws.TYPES, potential.config.cutoff, torch.float64, **states
    )


@pytest.mark.parametrize("box", [None, BOXES], ids=["free", "triclinic"])
@pytest.mark.parametrize("basis", ["expnorm", "gauss"])
@pytest.mark.parametrize("group", ["O(3)", "SO(3)"])
@pytest.mark.parametrize(
    ("layers", "state"),
    [(0, "none"), (1, "none"), (2, "none"), (1, "charge"), (2, "charge"), (1, "spin"), (2, "spin")],
)
def test_boxes_bases_charges_and_spins_are_the_peers(layers, state, group, basis, box):
    torch.manual_seed(layers)
    inputs = {"none": {}, "charge": {"charge": "total"}, "spin": {"spin": True}}[state]
    config = ModelConfig(channels=16, layers=layers, rbf=12, cutoff=4.3, group=group, basis=basis, **inputs)
    potential = Potential(config).double()
    values = {"none": {}, "charge": {"total_charge": [2, -1]}, "spin": {"spin": [0.5, 1]}}[state]
    graph = periodic_batch(potential, box=box, **values)
    assert_same(potential.energy_and_forces(graph), peer_energy_and_forces(peer_of(potential), graph), 1e-10)


def test_comparison_catches_a_forgotten_box_or_charge():
    potential = Potential(ModelConfig(channels=16, rbf=12, cutoff=4.3, charge="total")).double()
    graph = periodic_batch(potential, box=BOXES, total_charge=[2, -1])
    ours = potential.energy_and_forces(graph)
    for forgetful in (graph._replace(box=None), graph._replace(total_charge=None)):
        with pytest.raises(AssertionError):
            assert_same(ours, peer_energy_and_forces(peer_of(potential), forgetful), 1e-10)


@pytest.mark.parametrize("basis", ["expnorm", "gauss"])
@pytest.mark.parametrize("cutoff", [1.5, 2.9, 7.0, 12.5])
def test_any_cutoff_is_the_peers(cutoff, basis):
    torch.manual_seed(0)
    potential = Potential(ModelConfig(channels=16, rbf=12, cutoff=cutoff, basis=basis)).double()
    compare(potential, 1e-10)


def test_comparison_catches_a_changed_cutoff():
    potential = Potential(ModelConfig(channels=16, rbf=12)).double()
    potential.network.basis.alpha *= 1 + 1e-8
    with pytest.raises(AssertionError):
        compare(potential, 1e-10)
