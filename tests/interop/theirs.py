"""Checkpoints that TorchMD-Net itself makes and reads."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
import torchmdnet.models.tensornet as peer_module
from torchmdnet.models.model import create_model, load_model

from cgprot.model.graph import build_graph
from cgprot.model.potential import Potential

# What AMARO's networks were trained with, as far as it builds the network; all else of its file is ballast.
AMARO = {
    "activation": "silu", "aggr": "add", "atom_filter": -1, "attn_activation": "silu", "batch_size": 8,
    "box_vecs": None, "charge": False, "check_errors": True, "cutoff_lower": 0.0, "cutoff_upper": 5,
    "dataset": "MDCATH", "dataset_arg": {"numNoHAtoms": 1000, "temperatures": ["320", "450"]},
    "derivative": True, "distance_influence": "both", "ema_alpha_y": 1.0, "embedding_dimension": 128,
    "equivariance_invariance_group": "O(3)", "lr": 0.0003, "max_num_neighbors": 64, "max_z": 15,
    "model": "tensornet", "neg_dy_weight": 1.0, "neighbor_embedding": False, "num_heads": 8, "num_layers": 1,
    "num_rbf": 32, "output_mlp_num_layers": 0, "output_model": "Scalar", "precision": 32,
    "prior_model": None, "rbf_type": "expnorm", "reduce_op": "add", "remove_ref_energy": False, "seed": 42,
    "spin": False, "standardize": False, "static_shapes": False, "trainable_rbf": False,
    "vector_cutoff": False, "y_weight": 0.0,
}  # fmt: skip
AMARO_PARAMETERS = 521_217
TYPES = np.array([1, 4, 2, 7, 3, 9, 12, 2, 1, 5])


def in_plain_python(monkeypatch) -> None:
    """TorchMD-Net's Warp kernels differ from its own Python path, by 4e-5 of the forces for SO(3)."""
    monkeypatch.setattr(peer_module, "OPT", False)
    for name in ("compose_tensor", "decompose_tensor", "tensor_matmul_o3", "tensor_matmul_so3"):
        monkeypatch.setattr(peer_module, name, getattr(peer_module, f"_{name}"))


def small(**changes) -> dict:
    """AMARO's hyperparameters with a small network, as today's version writes them."""
    given = {name: value for name, value in AMARO.items() if name != "check_errors"}
    return given | {"embedding_dimension": 12, "num_rbf": 8, "max_z": 13, "cutoff_upper": 4.3} | changes


def write_theirs(
    path: Path, given: dict, prefix: str = "model.", old: bool = False, change: Callable | None = None
) -> Path:
    """A checkpoint of random weights, biases included, with a scale of 21.5 and a shift of -7.25.

    Parameters
    ----------
    old : with the rows, names and tensors of versions whose features were [N, C, 3, 3]
    change : applied to the state before it is written
    """
    torch.manual_seed(0)
    network = create_model(dict(given), mean=torch.tensor(-7.25), std=torch.tensor(21.5))
    for parameter in network.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    state = as_of_old(network.state_dict()) if old else network.state_dict()
    if change is not None:
        change(state)
    tensors = {prefix + name: tensor for name, tensor in state.items()}
    torch.save({"hyper_parameters": given, "state_dict": tensors, "epoch": 3, "callbacks": {}}, path)
    return path


def as_of_old(state: dict) -> dict:
    """Old versions read the 3 C numbers of a gate as (C, 3): number 3 c + p belongs to channel c, part p."""
    old = {}
    for name, tensor in state.items():
        if name.endswith("distance.box"):
            continue
        if "tensor_embedding.linears_scalar.1" in name or "linears_scalar.2" in name:
            channels = len(tensor) // 3
            tensor = torch.stack([tensor[p * channels + c] for c in range(channels) for p in range(3)])
        old[name.replace("output_network.layers.", "output_network.")] = tensor
    return old


def cluster(n_systems: int = 2) -> np.ndarray:
    """Ten beads at least 1.2 Å apart; (n_systems, 10, 3) [Å]."""
    rng = np.random.default_rng(0)
    lattice = np.array([(i, j, k) for i in range(3) for j in range(2) for k in range(2)])[:10] * 2.2
    return lattice + rng.uniform(-0.5, 0.5, size=(n_systems, 10, 3))


def their_energy_and_forces(path: Path, positions=None, types=TYPES, q=None):
    """By TorchMD-Net's own reader, in float64."""
    positions = cluster() if positions is None else positions
    network = load_model(str(path)).double().eval()
    n_systems, n_beads = positions.shape[:2]
    energy, forces = network(
        torch.from_numpy(np.tile(types, n_systems)),
        torch.from_numpy(positions.reshape(-1, 3).astype(np.float64)),
        torch.arange(n_systems).repeat_interleave(n_beads),
        q=None if q is None else torch.from_numpy(np.asarray(q, dtype=np.float64)),
    )
    return energy.detach().squeeze(-1).numpy(), forces.detach().numpy()


def our_energy_and_forces(potential: Potential, positions=None, types=TYPES, **more):
    positions = cluster() if positions is None else positions
    graph = build_graph(positions, types, potential.config.cutoff, torch.float64, **more)
    return tuple(values.numpy() for values in potential.double().energy_and_forces(graph))


def assert_same(ours, theirs, tolerance: float = 1e-10) -> None:
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())
