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
from cgprot.model.edge_factor import EdgeFactor
from cgprot.model.edges import undirected_pairs
from cgprot.model.lanes import LANES


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
    arguments = harmonics, factor.weight, _padded(factor.table), _padded(species)
    return Derivative.apply(EMBEDDING, 0, (near, factor.row), None, *arguments)[..., : species.shape[-1]]


def pass_messages(factor: EdgeFactor, features: Tensor, near: Neighbours) -> Tensor:
    """M_i = Σ_j f(r_ij) X_j, part by part; f of P pairs, X (N, 9, C) -> (N, 9, C)."""
    if features.device.type != "cpu":
        return pass_messages_in_full(factor, features, near)
    arguments = factor.weight, _padded(factor.table), _padded(features)
    return Derivative.apply(MESSAGES, 0, (near, factor.row), None, *arguments)[..., : features.shape[-1]]


def multiply(X: Tensor, Y: Tensor) -> Tensor:
    """The matrix product X Y, channel by channel; (N, 3, 3, C), (N, 3, 3, C) -> (N, 3, 3, C)."""
    if X.device.type == "cpu":
        return Derivative.apply(PRODUCT, 0, None, None, X, Y)
    return multiply_in_full(X, Y)


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


def multiply_in_full(X: Tensor, Y: Tensor) -> Tensor:
    """`multiply` as written; for other devices, and for tests."""
    return (X[:, :, :, None] * Y[:, None]).sum(2)


def _padded(x: Tensor) -> Tensor:
    """Zeros after the channels, to a multiple of what a kernel takes at once."""
    missing = -x.shape[-1] % LANES
    return torch.nn.functional.pad(x, (0, missing)) if missing else x


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
        wanted = _wanted(ctx, arguments)
        arguments[ctx.slot] = upstream
        gradients = [
            Derivative.apply(ctx.form, slot, ctx.near, *arguments) if go_on and slot != ctx.slot else None
            for slot, go_on in enumerate(wanted)
        ]
        return None, None, None, *gradients


def _wanted(ctx, arguments: list[Tensor | None]) -> list[bool]:
    """The arguments whose derivative this backward pass goes on to use.

    `needs_input_grad` is true of every weight on the way from the energy to the positions, and of every
    position on the way from the loss to the weights.
    """
    nodes = iter(ctx.next_functions)  # of the tensors alone
    return [x is not None and _is_executed(next(nodes)[0]) for x in arguments]


def _is_executed(node: torch.autograd.graph.Node | None) -> bool:
    if node is None or hasattr(node, "variable"):  # of a leaf torch does not tell
        return node is not None
    return torch._C._will_engine_execute_node(node)


Edges = tuple[Neighbours, Tensor]  # and the table row of each pair


def _send(edges: Edges, weight: Tensor, table: Tensor, features: Tensor) -> Tensor:
    near, row = edges
    indices = (near.start, near.sender, near.pair, row)
    return _fill(kernels.send_features, torch.empty_like(features), *indices, weight, table, features)


def _compare_weight(edges: Edges, upstream: Tensor, table: Tensor, features: Tensor) -> Tensor:
    near, row = edges
    out = features.new_empty(len(row), table.shape[1])
    return _fill(kernels.compare_weight, out, near.pairs, row, upstream, table, features)


def _compare_table(edges: Edges, upstream: Tensor, weight: Tensor, table: Tensor, features: Tensor) -> Tensor:
    near, row = edges
    return _fill_blocks(kernels.compare_table, table, near.pairs, row, upstream, weight, features)


def _embed_features(
    edges: Edges, harmonics: Tensor, weight: Tensor, table: Tensor, species: Tensor
) -> Tensor:
    near, row = edges
    indices = (near.start, near.sender, near.pair, near.forward, row)
    out = species.new_empty(len(species), 9, species.shape[-1])
    return _fill(kernels.embed_features, out, *indices, harmonics, weight, table, species)


def _embed_harmonics(
    edges: Edges, upstream: Tensor, weight: Tensor, table: Tensor, species: Tensor
) -> Tensor:
    near, row = edges
    out = species.new_empty(len(row), 9)
    return _fill(kernels.embed_harmonics, out, near.pairs, row, upstream, weight, table, species)


def _embed_weight(
    edges: Edges, upstream: Tensor, harmonics: Tensor, table: Tensor, species: Tensor
) -> Tensor:
    near, row = edges
    out = species.new_empty(len(row), table.shape[1])
    return _fill(kernels.embed_weight, out, near.pairs, row, upstream, harmonics, table, species)


def _embed_table(
    edges: Edges, upstream: Tensor, harmonics: Tensor, weight: Tensor, table: Tensor, species: Tensor
) -> Tensor:
    near, row = edges
    return _fill_blocks(kernels.embed_table, table, near.pairs, row, upstream, harmonics, weight, species)


def _embed_species(
    edges: Edges, upstream: Tensor, harmonics: Tensor, weight: Tensor, table: Tensor
) -> Tensor:
    near, row = edges
    indices = (near.start, near.sender, near.pair, near.forward, row)
    out = upstream.new_empty(len(upstream), 2, upstream.shape[-1])
    return _fill(kernels.embed_species, out, *indices, upstream, harmonics, weight, table)


def _multiply(X: Tensor, Y: Tensor, transpose: tuple[bool, bool]) -> Tensor:
    return _fill(kernels.multiply, torch.empty_like(X), *transpose, X, Y)


Form = tuple[Callable[..., Tensor], ...]

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
# Φ(G, X, Y) = Σ_i tr(G_iᵀ X_i Y_i)
PRODUCT: Form = (
    lambda _, G, X, Y: _multiply(X, Y, (False, False)),
    lambda _, G, X, Y: _multiply(G, Y, (False, True)),
    lambda _, G, X, Y: _multiply(X, G, (True, False)),
)


def _fill(kernel: Callable[..., None], out: Tensor, *inputs: Tensor | bool) -> Tensor:
    """Run a kernel over the rows of `out`, shared among torch's threads."""
    _share(kernel, len(out), 4 * torch.get_num_threads(), *inputs, out)
    return out


def _fill_blocks(kernel: Callable[..., None], like: Tensor, *inputs: Tensor) -> Tensor:
    """Run a kernel over the blocks of channels of a new table, shared among torch's threads."""
    out = torch.empty_like(like)
    blocks = out.shape[-1] // LANES
    _share(kernel, blocks, blocks, *inputs, out)
    return out


def _share(kernel: Callable[..., None], n_rows: int, n_tasks: int, *arguments: Tensor | bool) -> None:
    arrays = [x.numpy() if isinstance(x, Tensor) else x for x in arguments]
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        kernel(0, n_rows, *arrays)
        return
    bounds = np.linspace(0, n_rows, n_tasks + 1).astype(int).tolist()
    tasks = [_pool(n_threads).submit(kernel, *rows, *arrays) for rows in pairwise(bounds)]
    for task in tasks:
        task.result()


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads)


@cache
def _constants(device: torch.device) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(kernels.PARITY).to(device), torch.from_numpy(kernels.PART).to(device)
