"""The same TensorNet under two names: tensors of cgprot and of TorchMD-Net 3.

    here                        TorchMD-Net
    species (T, C)              emb (max_z, C) without its row 0: bead types count from 1
    embedding.radial (3 C, K)   distance_proj1, 2, 3 (C, K), joined
    energy_scale                std

All others are equal. The last layer of the embedding's gate and of an interaction's radial network gives 3 C
numbers, here and in TorchMD-Net 3 part by part (I, A, S), in files of old channel by channel.
"""

import re

import torch
from torch import Tensor

from cgprot.model.potential import ModelConfig, Potential

NETWORK, _HEAD = "representation_model.", "output_model.output_network."
_EMBEDDING = NETWORK + "tensor_embedding."
_PROJECTIONS = [f"{_EMBEDDING}distance_proj{part}" for part in (1, 2, 3)]
_BASIS = {
    "expnorm": {"centres": "means", "widths": "betas"},
    "gauss": {"centres": "offset", "exponent": "coeff"},
}


def modern_names(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors by the names of TorchMD-Net 3, numbers without axes."""
    first = re.compile(r"^model\.")
    head = re.compile(re.escape(_HEAD) + r"(\d)")
    renamed = {head.sub(rf"{_HEAD}layers.\1", first.sub("", name)): each for name, each in tensors.items()}
    return {name: each.reshape(()) if name in ("mean", "std") else each for name, each in renamed.items()}


def part_by_part(tensors: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The tensors of an old file with rows (channel, part) in the order (part, channel)."""
    layers = [_EMBEDDING + "linears_scalar.1"]
    layers += [f"{NETWORK}layers.{layer}.linears_scalar.2" for layer in range(config.layers)]
    names = [f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")]
    return tensors | {n: tensors[n].unflatten(0, (-1, 3)).transpose(0, 1).flatten(0, 1) for n in names}


def to_ours(theirs: dict[str, Tensor], config: ModelConfig) -> dict[str, Tensor]:
    """The state of a `Potential` from that of a TorchMD_Net, part by part."""
    ours = {our_name: theirs[name] for our_name, name in _same_tensors(config).items()}
    ours["network.embedding.species.weight"] = theirs[_EMBEDDING + "emb.weight"][1:]
    for kind in ("weight", "bias"):
        joined = torch.cat([theirs[f"{projection}.{kind}"] for projection in _PROJECTIONS])
        ours[f"network.embedding.radial.{kind}"] = joined
    return ours


def to_theirs(potential: Potential) -> dict[str, Tensor]:
    """The state of a TorchMD_Net but for its mean and box; the embedding of 0, no bead type, is zero."""
    ours = potential.state_dict()
    theirs = {name: ours[our_name] for our_name, name in _same_tensors(potential.config).items()}
    species = ours["network.embedding.species.weight"]
    theirs[_EMBEDDING + "emb.weight"] = torch.cat([torch.zeros_like(species[:1]), species])
    for kind in ("weight", "bias"):
        chunks = ours[f"network.embedding.radial.{kind}"].chunk(3)
        theirs |= {f"{name}.{kind}": chunk for name, chunk in zip(_PROJECTIONS, chunks, strict=True)}
    return theirs


def _same_tensors(config: ModelConfig) -> dict[str, str]:
    """Our name -> theirs, of the tensors that are the same in both."""
    layers, maps = _same_layers(config)
    names = {f"{ours}.{kind}": f"{theirs}.{kind}" for ours, theirs in layers for kind in ("weight", "bias")}
    names |= {f"{ours}.weight": f"{theirs}.weight" for ours, theirs in maps}
    for ours, theirs in _BASIS[config.basis].items():
        names[f"network.basis.{ours}"] = f"{NETWORK}distance_expansion.{theirs}"
    return names | {"energy_scale": "std"}


def _same_layers(config: ModelConfig) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(our name, theirs) of the layers with weight and bias, and of the linear maps without bias."""
    ours = "network.embedding"
    layers = [
        (f"{ours}.species_pair", f"{_EMBEDDING}emb2"),
        (f"{ours}.norm", f"{_EMBEDDING}init_norm"),
        *((f"{ours}.gate.{2 * k}", f"{_EMBEDDING}linears_scalar.{k}") for k in range(2)),
        ("network.norm", f"{NETWORK}out_norm"),
        ("network.linear", f"{NETWORK}linear"),
        *((f"head.network.{k}", f"{_HEAD}layers.{k}") for k in (0, 2)),
    ]
    maps = [(f"{ours}.linear.parts.{k}", f"{_EMBEDDING}linears_tensor.{k}") for k in range(3)]
    for layer in range(config.layers):
        ours, theirs = f"network.layers.{layer}", f"{NETWORK}layers.{layer}"
        layers += [(f"{ours}.radial.{2 * k}", f"{theirs}.linears_scalar.{k}") for k in range(3)]
        maps += [(f"{ours}.linear_in.parts.{k}", f"{theirs}.linears_tensor.{k}") for k in range(3)]
        maps += [(f"{ours}.linear_out.parts.{k}", f"{theirs}.linears_tensor.{3 + k}") for k in range(3)]
    return layers, maps
