"""Sums over neighbours, and their derivatives of any order.

On a CPU they run as compiled loops; see `forms` for how these are differentiated.
"""

from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from cgprot.model import kernels
from cgprot.model.edge_factor import EdgeFactor
from cgprot.model.edges import undirected_pairs
from cgprot.model.forms import Derivative, Form, fill, fill_blocks, padded


class Neighbours(NamedTuple):
    """The edges of a graph, and each pair of neighbours once."""

    pairs: Tensor  # (2, P)
    receiver: Tensor  # (E,)
    sender: Tensor  # (E,)
    pair: Tensor  # (E,) the pair of an edge
    forward: Tensor  # (E,) bool, whether the edge runs as its pair does
    start: Tensor  # (N + 1,) the edges of bead i are start[i] ... start[i + 1]

    @classmethod
    def of(cls, edges: Tensor, n_beads: int, offset: Tensor | None = None) -> "Neighbours":
        forward, pair = undirected_pairs(edges, offset)
        receiver, sender = edges.contiguous()
        start = torch.searchsorted(receiver, torch.arange(n_beads + 1, device=edges.device))
        return cls(edges[:, forward].contiguous(), receiver, sender, pair, forward, start)


def embed(harmonics: Tensor, factor: EdgeFactor, species: Tensor, near: Neighbours) -> Tensor:
    """X_i = Σ_j Y(r̂_ij) f(r_ij) (a_i + b_j).

    Parameters
    ----------
    harmonics : Y, (P, 9), of the direction of each pair
    factor : f, of P pairs, for each of I, A, S
    species : a and b, (N, 2, C)

    Returns
    -------
    (N, 9, C)
    """
    if species.device.type != "cpu":
        return embed_in_full(harmonics, factor, species, near)
    arguments = harmonics, factor.weight, padded(factor.table), padded(species)
    return Derivative.apply(EMBEDDING, 0, (near, factor.row), None, *arguments)[..., : species.shape[-1]]


def pass_messages(factor: EdgeFactor, features: Tensor, near: Neighbours) -> Tensor:
    """M_i = Σ_j f(r_ij) X_j, part by part; f of P pairs, X (N, 9, C) -> (N, 9, C)."""
    if features.device.type != "cpu":
        return pass_messages_in_full(factor, features, near)
    arguments = factor.weight, padded(factor.table), padded(features)
    return Derivative.apply(MESSAGES, 0, (near, factor.row), None, *arguments)[..., : features.shape[-1]]


def embed_in_full(harmonics: Tensor, factor: EdgeFactor, species: Tensor, near: Neighbours) -> Tensor:
    """`embed` as written, every message in memory; for other devices, and for tests."""
    parity, part = _constants(harmonics.device)
    signed = torch.where(near.forward[:, None], harmonics[near.pair], (harmonics * parity)[near.pair])
    species_pair = species[near.receiver, 0] + species[near.sender, 1]  # (E, C)
    weight = factor.in_full()[near.pair] * species_pair[:, None]  # (E, 3, C)
    message = signed[:, :, None] * weight[:, part]  # (E, 9, C)
    return message.new_zeros(len(species), *message.shape[1:]).index_add(0, near.receiver, message)


def pass_messages_in_full(factor: EdgeFactor, features: Tensor, near: Neighbours) -> Tensor:
    """`pass_messages` as written, every message in memory; for other devices, and for tests."""
    _, part = _constants(features.device)
    message = factor.in_full()[near.pair][:, part] * features[near.sender]  # (E, 9, C)
    return torch.zeros_like(features).index_add(0, near.receiver, message)


Edges = tuple[Neighbours, Tensor]  # and the table row of each pair


def _send(edges: Edges, weight: Tensor, table: Tensor, features: Tensor) -> Tensor:
    near, row = edges
    indices = (near.start, near.sender, near.pair, row)
    return fill(kernels.send_features, torch.empty_like(features), *indices, weight, table, features)


def _compare_weight(edges: Edges, upstream: Tensor, table: Tensor, features: Tensor) -> Tensor:
    near, row = edges
    out = features.new_empty(len(row), table.shape[1])
    return fill(kernels.compare_weight, out, near.pairs, row, upstream, table, features)


def _compare_table(edges: Edges, upstream: Tensor, weight: Tensor, table: Tensor, features: Tensor) -> Tensor:
    near, row = edges
    return fill_blocks(kernels.compare_table, table, near.pairs, row, upstream, weight, features)


def _embed_features(
    edges: Edges, harmonics: Tensor, weight: Tensor, table: Tensor, species: Tensor
) -> Tensor:
    near, row = edges
    indices = (near.start, near.sender, near.pair, near.forward, row)
    out = species.new_empty(len(species), 9, species.shape[-1])
    return fill(kernels.embed_features, out, *indices, harmonics, weight, table, species)


def _embed_harmonics(
    edges: Edges, upstream: Tensor, weight: Tensor, table: Tensor, species: Tensor
) -> Tensor:
    near, row = edges
    out = species.new_empty(len(row), 9)
    return fill(kernels.embed_harmonics, out, near.pairs, row, upstream, weight, table, species)


def _embed_weight(
    edges: Edges, upstream: Tensor, harmonics: Tensor, table: Tensor, species: Tensor
) -> Tensor:
    near, row = edges
    out = species.new_empty(len(row), table.shape[1])
    return fill(kernels.embed_weight, out, near.pairs, row, upstream, harmonics, table, species)


def _embed_table(
    edges: Edges, upstream: Tensor, harmonics: Tensor, weight: Tensor, table: Tensor, species: Tensor
) -> Tensor:
    near, row = edges
    return fill_blocks(kernels.embed_table, table, near.pairs, row, upstream, harmonics, weight, species)


def _embed_species(
    edges: Edges, upstream: Tensor, harmonics: Tensor, weight: Tensor, table: Tensor
) -> Tensor:
    near, row = edges
    indices = (near.start, near.sender, near.pair, near.forward, row)
    out = upstream.new_empty(len(upstream), 2, upstream.shape[-1])
    return fill(kernels.embed_species, out, *indices, upstream, harmonics, weight, table)


# Φ(G, w, T, X) = Σ_i G_i · Σ_j (w T)_ij X_j; messages are symmetric, so X_j hears of G_i as i hears of X_j.
MESSAGES: Form = (
    lambda edges, G, w, T, X: _send(edges, w, T, X),
    lambda edges, G, w, T, X: _compare_weight(edges, G, T, X),
    lambda edges, G, w, T, X: _compare_table(edges, G, w, T, X),
    lambda edges, G, w, T, X: _send(edges, w, T, G),
)
# Φ(G, Y, w, T, species) = Σ_i G_i · Σ_j Y_ij (w T)_ij (a_i + b_j).
EMBEDDING: Form = (
    lambda edges, G, Y, w, T, z: _embed_features(edges, Y, w, T, z),
    lambda edges, G, Y, w, T, z: _embed_harmonics(edges, G, w, T, z),
    lambda edges, G, Y, w, T, z: _embed_weight(edges, G, Y, T, z),
    lambda edges, G, Y, w, T, z: _embed_table(edges, G, Y, w, T, z),
    lambda edges, G, Y, w, T, z: _embed_species(edges, G, Y, w, T),
)


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(kernels.PARITY).to(device), torch.from_numpy(kernels.PART).to(device)
