"""From a trained network to what a simulation needs of it.

At inference an edge network is a function of one distance and Z_ij one of two bead types. The first becomes a
table of cubics through the exact values and slopes (Hermite), the second a sum a_i + b_j of two rows by type;
what a bead says to itself is a constant. The rest of the network stays as it is.
"""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor

from cgprot.engine.grid import SOFT, nodes
from cgprot.engine.network import Network
from cgprot.errors import InputError
from cgprot.model.checkpoint import (
    ENGINE_KIND,
    METADATA_KEY,
    load_tensors,
    save_tensors,
    tensors_sha256,
)
from cgprot.model.potential import ModelConfig, Potential
from cgprot.model.radial import cosine_cutoff

# What a file must hold; the arrays of `cgprot.engine.network.Network` but for those derived from others.
WEIGHTS = tuple(name for name in Network._fields if not name.endswith("_back"))


@dataclass(frozen=True, eq=False)
class CompressedPotential:
    """A potential for inference, in float64; C channels, K table intervals, L layers, T bead types.

    Attributes
    ----------
    config : shape of the network
    weights : arrays by name, as in `Network` but without padding; the tables hold values and slopes at
        the ends of the intervals, (K + 1, 2, 3, C)
    model_sha256 : of the weights of the network that it came from
    errors : what `compress` measured
    """

    config: ModelConfig
    weights: dict[str, np.ndarray]
    model_sha256: str
    errors: dict[str, float]

    @property
    def intervals(self) -> int:
        return len(self.weights["embedding_table"]) - 1


def tabulate(potential: Potential, intervals: int) -> CompressedPotential:
    """The compressed form of a potential, its error unknown.

    Parameters
    ----------
    potential : any TensorNet
    intervals : K, table intervals between 0 and the cutoff
    """
    exact = copy.deepcopy(potential).double().cpu().requires_grad_(False)
    network: Any = exact.network
    head: Any = exact.head.network
    embedding = network.embedding
    by_type = embedding.species_terms(torch.arange(1, potential.config.n_types + 1))  # (T, 2, C)
    at_0 = network.basis(torch.zeros(1, dtype=torch.float64))
    own = 3**0.5 * by_type.sum(1) * embedding.radial(at_0)[0].chunk(3)[0]
    embedding_table = _at_nodes(exact, embedding.radial, intervals)
    layers, C = network.layers, potential.config.channels
    tensors = {
        "species": by_type,
        "own": own,
        "embedding_table": embedding_table,
        "embedding_map": _maps(embedding.linear),
        "gate_scale": embedding.norm.weight,
        "gate_shift": embedding.norm.bias,
        "gate_1": embedding.gate[0].weight.T,
        "gate_1_bias": embedding.gate[0].bias,
        "gate_2": embedding.gate[2].weight.T,
        "gate_2_bias": embedding.gate[2].bias,
        "message_table": _stack(
            [_at_nodes(exact, layer.radial, intervals) for layer in layers], embedding_table
        ),
        "own_message": _stack([layer.radial(at_0)[0] for layer in layers], own.new_empty(3 * C)),
        "map_in": _stack([_maps(layer.linear_in) for layer in layers], own.new_empty(3, C, C)),
        "map_out": _stack([_maps(layer.linear_out) for layer in layers], own.new_empty(3, C, C)),
        "read_scale": network.norm.weight,
        "read_shift": network.norm.bias,
        "read": network.linear.weight.T,
        "read_bias": network.linear.bias,
        "head_1": head[0].weight.T,
        "head_1_bias": head[0].bias,
        "head_2": exact.energy_scale * head[2].weight[0],
        "head_2_bias": exact.energy_scale * head[2].bias,
    }
    weights = {name: np.ascontiguousarray(tensor.detach().numpy()) for name, tensor in tensors.items()}
    return CompressedPotential(potential.config, weights, tensors_sha256(potential.state_dict()), {})


def _stack(tensors: list[Tensor], like: Tensor) -> Tensor:
    return torch.stack(tensors) if tensors else like.new_empty(0, *like.shape)


def _maps(linear: Any) -> Tensor:
    return torch.stack([part.weight.T for part in linear.parts])


def _at_nodes(exact: Potential, radial: Callable[[Tensor], Tensor], intervals: int) -> Tensor:
    """Values and slopes of f_cut(r) f(φ(r)) at the nodes of the tables; (K + 1, 2, 3, C)."""
    cutoff = exact.config.cutoff

    def factor(r: Tensor) -> Tensor:
        return (radial(exact.network.basis(r)) * cosine_cutoff(r, cutoff)[:, None]).unflatten(1, (3, -1))

    r = torch.from_numpy(nodes(cutoff, intervals)[0])
    values, slopes = torch.func.jvp(factor, (r,), (torch.ones_like(r),))  # type: ignore[misc]
    return torch.stack([values, slopes], dim=1)


def save_compressed(path: Path, compressed: CompressedPotential, metadata: Mapping[str, object]) -> None:
    """Write a compressed potential; `metadata` is that of the model that it came from."""
    record = {
        **metadata,
        "kind": ENGINE_KIND,
        "soft": SOFT,
        "config": compressed.config.model_dump(),
        "model_sha256": compressed.model_sha256,
        "errors": compressed.errors,
    }
    save_tensors(path, {name: torch.from_numpy(array) for name, array in compressed.weights.items()}, record)


def holds_compressed(path: Path) -> bool:
    """Whether a file says that it is one of `save_compressed`; it may be damaged all the same."""
    try:
        with safe_open(str(path), framework="pt") as stream:
            return json.loads((stream.metadata() or {})[METADATA_KEY]).get("kind") == ENGINE_KIND
    except (OSError, SafetensorError, KeyError, ValueError, AttributeError):
        return False


def load_compressed(path: Path) -> tuple[CompressedPotential, dict]:
    """A compressed potential and the metadata of its file.

    Raises
    ------
    InputError
        if the file is damaged or holds something else
    """
    tensors, metadata = load_tensors(path)
    if metadata.get("kind") != ENGINE_KIND:
        raise InputError(f"{path}: not a compressed potential: make one with cgprot export --to engine")
    if metadata.get("soft") != SOFT:
        raise InputError(
            f"{path}: tables of another version: make it anew with cgprot export --to engine; a run that "
            "began with this file goes on with that version alone"
        )
    try:
        config = ModelConfig(**metadata["config"])
        weights = {name: tensors[name].numpy() for name in WEIGHTS}
        return CompressedPotential(config, weights, metadata["model_sha256"], metadata["errors"]), metadata
    except (KeyError, ValidationError) as error:
        raise InputError(
            f"{path}: not a whole compressed potential ({str(error).splitlines()[0]}): make it anew"
        )
