"""TensorNet: every bead carries C matrices of 3 x 3, and learns from matrix products.

G. Simeon, G. De Fabritiis, TensorNet: Cartesian Tensor Representations for Efficient Learning of Molecular
Potentials, NeurIPS 2023, arXiv 2306.06482. The same function as TorchMD-Net 3.1.0's, by test.

A matrix X falls into three parts that do not mix under rotation: X = I + A + S,

    I = tr(X)/3 · 1         the scalar part, 1 number
    A = (X - Xᵀ)/2          antisymmetric, a vector: 3 numbers
    S = (X + Xᵀ)/2 - I      symmetric and traceless: 5 numbers

Here X is held as its nine coefficients in an orthonormal basis of the matrices, in this order. Then ‖X‖² is
a plain sum of squares, a part is a slice, and only the matrix product needs the matrix itself.

    paper             here
    φ(r), e^RBF       basis (P, K)
    f_I, f_A, f_S     factor (P, 3, C)
    Z_ij              species
    r̂_ij              direction (P, 3)
    X, Y, M           X, Y, M (N, 9, C)

Shapes: N beads, P undirected pairs, C channels, K radial functions.
"""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cgprot.model.algebra import I, anticommutator, dot_parts, map_parts, matrix_product, scale_parts
from cgprot.model.charge import Charge, Factors, product_factors
from cgprot.model.edge_factor import EdgeNetwork
from cgprot.model.graph import Graph
from cgprot.model.messages import Neighbours, embed, pass_messages
from cgprot.model.radial import BASES


def harmonics(direction: Tensor) -> Tensor:
    """Coefficients of 1, of the matrix of r̂ × and of r̂ r̂ᵀ - 1/3; (P, 3) -> (P, 9)."""
    x, y, z = direction.unbind(-1)
    two, six = math.sqrt(2), math.sqrt(6)
    return torch.stack(
        [
            torch.full_like(x, math.sqrt(3)),
            *(two * x, two * y, two * z),
            *(two * x * y, two * y * z, two * x * z),
            *((x * x - y * y) / two, (2 * z * z - x * x - y * y) / six),
        ],
        dim=-1,
    )


def squared_norm(X: Tensor) -> Tensor:
    """‖X‖², Frobenius; (N, 9, C) -> (N, C)."""
    return dot_parts(X, X).sum(1)


def shrink(X: Tensor) -> Tensor:
    """X / (‖X‖² + 1); (N, 9, C) -> (N, 9, C)."""
    factor = 1 / (squared_norm(X) + 1)
    return scale_parts(factor[:, None].expand(-1, 3, -1), X)


class PartLinear(nn.Module):
    """One linear map of the channels for each of I, A and S, without bias; (N, 9, C) -> (N, 9, C)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(channels, channels, bias=False) for _ in range(3))

    def forward(self, X: Tensor) -> Tensor:
        return map_parts(torch.stack(list(self.parts.parameters())), X)


def layers_with_silu(*widths: int) -> nn.Sequential:
    """Linear layers of these widths, SiLU after each, the last one too."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(widths):
        layers += [nn.Linear(n_in, n_out), nn.SiLU()]
    return nn.Sequential(*layers)


class Embedding(nn.Module):
    """X_i from the bead types and directions around bead i.

        Z_ij = W [z_i, z_j] + b
        X_i  = Σ_j f_cut(r_ij) Z_ij (f_I 1 + f_A [r̂_ij ×] + f_S (r̂_ij r̂_ijᵀ - 1/3)),  f = W' φ(r_ij) + b'
        X_i <- (W_I I_i) n_I + (W_A A_i) n_A + (W_S S_i) n_S,  (n_I, n_A, n_S) = MLP(LayerNorm(‖X_i‖²))

    j runs over the neighbours and i itself, for which r = 0 and the direction is 0.
    """

    def __init__(self, channels: int, n_basis: int, n_types: int) -> None:
        super().__init__()
        self.species = nn.Embedding(n_types, channels)
        self.species_pair = nn.Linear(2 * channels, channels)
        self.radial = nn.Linear(n_basis, 3 * channels)
        self.linear = PartLinear(channels)
        self.norm = nn.LayerNorm(channels)
        self.gate = layers_with_silu(channels, 2 * channels, 3 * channels)

    def species_terms(self, bead_type: Tensor) -> Tensor:
        """a and b with Z_ij = a_i + b_j, computed per type instead of per edge; (N,) -> (N, 2, C)."""
        W_i, W_j = self.species_pair.weight.chunk(2, dim=1)
        z = self.species.weight
        by_type = torch.stack([z @ W_i.T + self.species_pair.bias, z @ W_j.T], dim=1)
        return by_type[bead_type - 1]

    def forward(self, bead_type, direction, edges: EdgeNetwork, basis_at_0, near: Neighbours) -> Tensor:
        species = self.species_terms(bead_type)  # (N, 2, C)
        X = embed(harmonics(direction), edges.factors(self.radial), species, near)  # (N, 9, C)
        own = math.sqrt(3) * species.sum(1) * self.radial(basis_at_0).chunk(3)[0]  # (N, C)
        X = torch.cat([X[:, I] + own[:, None], X[:, 1:]], dim=1)
        gate = self.gate(self.norm(squared_norm(X))).unflatten(1, (3, -1))  # (N, 3, C)
        return scale_parts(gate, self.linear(X))


class Interaction(nn.Module):
    """One round of messages.

    X   <- X / (‖X‖² + 1)
    Y_i  = W_I I_i + W_A A_i + W_S S_i
    M_i  = Σ_j f_I I_j^Y + f_A A_j^Y + f_S S_j^Y,  f = f_cut(r_ij) MLP(φ(r_ij)), j = i included at r = 0
    D_i  = Y_i M_i + M_i Y_i  for O(3),  2 Y_i M_i  for SO(3)
    dX_i = W'_I I^D + W'_A A^D + W'_S S^D, after D <- D / (‖D‖² + 1)
    X_i <- X_i + dX_i + dX_i²

    Charge and spin, where they are inputs, are factors of D and of dX², see `charge`.
    """

    def __init__(self, channels: int, n_basis: int, group: str) -> None:
        super().__init__()
        self.group = group
        self.radial = layers_with_silu(n_basis, channels, 2 * channels, 3 * channels)
        self.linear_in = PartLinear(channels)
        self.linear_out = PartLinear(channels)

    def forward(
        self, X: Tensor, edges: EdgeNetwork, basis_at_0: Tensor, near: Neighbours, factors: Factors
    ) -> Tensor:
        factor_at_0 = self.radial(basis_at_0).view(1, 3, -1).expand(len(X), -1, -1)  # (N, 3, C)
        X = shrink(X)
        Y = self.linear_in(X)  # (N, 9, C)
        M = pass_messages(edges.factors(self.radial), Y, near) + scale_parts(factor_at_0, Y)
        if self.group == "O(3)":
            D = anticommutator(Y, M)
        else:
            D = 2 * matrix_product(Y, M)
        if factors.product is not None:
            D = factors.product * D
        dX = self.linear_out(shrink(D))
        X = X + dX
        square = matrix_product(dX, dX)
        return X + (square if factors.square is None else factors.square * square)


class Features(NamedTuple):
    """What the network knows of every bead."""

    invariants: Tensor  # (n_total, C)
    X: Tensor  # (n_total, 9, C), coefficients of the last matrices


class TensorNet(nn.Module):
    """The matrices of every bead and their invariants, x_i = SiLU(W LayerNorm(‖I_i‖², ‖A_i‖², ‖S_i‖²) + b).

    Parameters
    ----------
    channels : C
    n_layers : rounds of interaction, 0 or more; a bead feels those within (n_layers + 1) cutoffs
    n_basis : K, radial functions
    cutoff : [Å]
    n_types : number of bead types
    group : "O(3)", the energy is that of the mirror image; "SO(3)", it may differ
    basis : "expnorm" or "gauss"
    charge, spin : the attributes of the graph that are inputs, see `charge`
    """

    def __init__(
        self,
        channels: int,
        n_layers: int,
        n_basis: int,
        cutoff: float,
        n_types: int,
        group: str,
        basis: str = "expnorm",
        charge: Charge = "none",
        spin: bool = False,
    ) -> None:
        super().__init__()
        self.cutoff = cutoff
        self.group = group
        self.charge: Charge = charge
        self.spin = spin
        self.edge_intervals: int | None = None
        self.basis = BASES[basis](n_basis, cutoff)
        self.embedding = Embedding(channels, n_basis, n_types)
        self.layers = nn.ModuleList(Interaction(channels, n_basis, group) for _ in range(n_layers))
        self.norm = nn.LayerNorm(3 * channels)
        self.linear = nn.Linear(3 * channels, channels)

    @contextmanager
    def tabulated(self, intervals: int | None) -> Iterator[None]:
        """Within, f(r) comes from tables of so many intervals between 0 and the cutoff; None: as it is."""
        before, self.edge_intervals = self.edge_intervals, intervals
        try:
            yield
        finally:
            self.edge_intervals = before

    def forward(self, graph: Graph) -> Features:
        factors = product_factors(graph, self.charge, self.spin, self.group)
        near = Neighbours.of(graph.edges, len(graph.positions), graph.offset)
        vector = graph.positions[near.pairs[0]] - graph.positions[near.pairs[1]]  # (P, 3)
        if graph.offset is not None:
            vector = vector - graph.offset[near.forward]
        distance = torch.linalg.vector_norm(vector, dim=1)  # (P,)
        edges = EdgeNetwork(self.basis, self.cutoff, distance, self.edge_intervals)
        basis_at_0 = self.basis(distance.new_zeros(1))[0]  # (K,)
        X = self.embedding(graph.bead_type, vector / distance[:, None], edges, basis_at_0, near)  # (N, 9, C)
        for layer in self.layers:
            X = layer(X, edges, basis_at_0, near, factors)
        invariants = dot_parts(X, X).flatten(1)  # (N, 3 C)
        return Features(nn.functional.silu(self.linear(self.norm(invariants))), X)
