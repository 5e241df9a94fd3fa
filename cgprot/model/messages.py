"""Sums over neighbours, and their derivatives of any order.

On a CPU these sums decide the speed of training, so they run as compiled loops there. Both sums are forms
Φ(G, ...) = Σ_i G_i · X_i that are linear in each argument on its own. The derivative of such a form by one
argument, contracted with a vector in the place of that argument, is the form again: derivatives of
derivatives need no new kernels.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cgprot.model import kernels
from cgprot.model.edges import undirected_pairs


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


def embed(harmonics: Tensor, factor: Tensor, species: Tensor, near: Neighbours) -> Tensor:
    """X_i = Σ_j Y(r̂_ij) f(r_ij) (a_i + b_j).

    Parameters
    ----------
    harmonics : Y, (P, 9), of the direction of each pair
    factor : f, (P, 3, C), one for each of I, A, S
    species : a and b, (N, 2, C)

    Returns
    -------
    (N, 9, C)
    """
    if factor.device.type == "cpu":
        return Derivative.apply(EMBEDDING, 0, near, None, harmonics, factor, species)
    return embed_in_full(harmonics, factor, species, near)


def pass_messages(factor: Tensor, features: Tensor, near: Neighbours) -> Tensor:
    """M_i = Σ_j f(r_ij) X_j, part by part; f (P, 3, C), X (N, 9, C) -> (N, 9, C)."""
    if factor.device.type == "cpu":
        return Derivative.apply(MESSAGES, 0, near, None, factor, features)
    return pass_messages_in_full(factor, features, near)


def multiply(X: Tensor, Y: Tensor) -> Tensor:
    """The matrix product X Y, channel by channel; (N, 3, 3, C), (N, 3, 3, C) -> (N, 3, 3, C)."""
    if X.device.type == "cpu":
        return Derivative.apply(PRODUCT, 0, None, None, X, Y)
    return multiply_in_full(X, Y)


def embed_in_full(harmonics: Tensor, factor: Tensor, species: Tensor, near: Neighbours) -> Tensor:
    """`embed` as written, every message in memory; for other devices, and for tests."""
    parity, part = _constants(factor.device)
    signed = torch.where(near.forward[:, None], harmonics[near.pair], (harmonics * parity)[near.pair])
    species_pair = species[near.receiver, 0] + species[near.sender, 1]  # (E, C)
    message = signed[:, :, None] * (factor[near.pair] * species_pair[:, None])[:, part]  # (E, 9, C)
    return message.new_zeros(len(species), *message.shape[1:]).index_add(0, near.receiver, message)


def pass_messages_in_full(factor: Tensor, features: Tensor, near: Neighbours) -> Tensor:
    """`pass_messages` as written, every message in memory; for other devices, and for tests."""
    _, part = _constants(factor.device)
    message = factor[near.pair][:, part] * features[near.sender]  # (E, 9, C)
    return torch.zeros_like(features).index_add(0, near.receiver, message)


def multiply_in_full(X: Tensor, Y: Tensor) -> Tensor:
    """`multiply` as written; for other devices, and for tests."""
    return (X[:, :, :, None] * Y[:, None]).sum(2)


class Derivative(torch.autograd.Function):
    """∂Φ/∂(argument `slot`) of a form; the argument in that slot is ignored.

    With u in the place of argument s:  u · ∂Φ/∂x_s = Φ(..., u, ...),  so its derivative by x_t is
    ∂Φ/∂x_t at x_s = u.
    """

    @staticmethod
    def forward(ctx, form, slot, near, *arguments):
        ctx.form, ctx.slot, ctx.near = form, slot, near
        ctx.save_for_backward(*arguments)
        return form[slot](near, *[None if x is None else x.detach().contiguous() for x in arguments])

    @staticmethod
    def backward(ctx, upstream):
        arguments = list(ctx.saved_tensors)
        arguments[ctx.slot] = upstream
        gradients = [
            Derivative.apply(ctx.form, slot, ctx.near, *arguments) if wanted and slot != ctx.slot else None
            for slot, wanted in enumerate(ctx.needs_input_grad[3:])
        ]
        return None, None, None, *gradients


def _send(near: Neighbours, factor: Tensor, features: Tensor) -> Tensor:
    edges = (near.start, near.sender, near.pair)
    return _fill(kernels.send_features, torch.empty_like(features), *edges, factor, features)


def _compare(near: Neighbours, upstream: Tensor, features: Tensor) -> Tensor:
    out = features.new_empty(near.pairs.shape[1], 3, features.shape[-1])
    return _fill(kernels.compare_features, out, near.pairs, upstream, features)


def _embed_features(near: Neighbours, _, harmonics: Tensor, factor: Tensor, species: Tensor) -> Tensor:
    edges = (near.start, near.sender, near.pair, near.forward)
    out = factor.new_empty(len(species), 9, factor.shape[-1])
    return _fill(kernels.embed_features, out, *edges, harmonics, factor, species)


def _embed_harmonics(near: Neighbours, upstream: Tensor, _, factor: Tensor, species: Tensor) -> Tensor:
    out = factor.new_empty(len(factor), 9)
    return _fill(kernels.embed_harmonics, out, near.pairs, upstream, factor, species)


def _embed_factor(near: Neighbours, upstream: Tensor, harmonics: Tensor, _, species: Tensor) -> Tensor:
    out = harmonics.new_empty(len(harmonics), 3, species.shape[-1])
    return _fill(kernels.embed_factor, out, near.pairs, upstream, harmonics, species)


def _embed_species(near: Neighbours, upstream: Tensor, harmonics: Tensor, factor: Tensor, _) -> Tensor:
    edges = (near.start, near.sender, near.pair, near.forward)
    out = upstream.new_empty(len(upstream), 2, upstream.shape[-1])
    return _fill(kernels.embed_species, out, *edges, upstream, harmonics, factor)


def _multiply(X: Tensor, Y: Tensor, transpose: tuple[bool, bool]) -> Tensor:
    return _fill(kernels.multiply, torch.empty_like(X), *transpose, X, Y)


Form = tuple[Callable[..., Tensor], ...]

# Φ(G, f, X) = Σ_i G_i · Σ_j f_ij X_j; the messages are symmetric, so X_j hears of G_i as i hears of X_j.
MESSAGES: Form = (
    lambda near, G, f, X: _send(near, f, X),
    lambda near, G, f, X: _compare(near, G, X),
    lambda near, G, f, X: _send(near, f, G),
)
# Φ(G, Y, f, species) = Σ_i G_i · Σ_j Y_ij f_ij (a_i + b_j).
EMBEDDING: Form = (_embed_features, _embed_harmonics, _embed_factor, _embed_species)
# Φ(G, X, Y) = Σ_i tr(G_iᵀ X_i Y_i)
PRODUCT: Form = (
    lambda _, G, X, Y: _multiply(X, Y, (False, False)),
    lambda _, G, X, Y: _multiply(G, Y, (False, True)),
    lambda _, G, X, Y: _multiply(X, G, (True, False)),
)


def _fill(kernel: Callable[..., None], out: Tensor, *inputs: Tensor | bool) -> Tensor:
    """Run a kernel over the rows of `out`, shared among torch's threads."""
    arrays = [x.numpy() if isinstance(x, Tensor) else x for x in (*inputs, out)]
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        kernel(0, len(out), *arrays)
    else:
        bounds = np.linspace(0, len(out), n_threads + 1).astype(int).tolist()
        tasks = [_pool(n_threads).submit(kernel, *rows, *arrays) for rows in pairwise(bounds)]
        for task in tasks:
            task.result()
    return out


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads)


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(kernels.PARITY).to(device), torch.from_numpy(kernels.PART).to(device)
