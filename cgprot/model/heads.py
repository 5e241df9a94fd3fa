"""From the features of every bead to the numbers one wants.

x_i are the invariants of bead i, (I, A, S)_i the parts of its last matrices, as `cgprot.model.tensornet` has
them; MLP: C -> C/2 -> ... with SiLU between.

    scalar   s_i = MLP(x_i)
    vector   v_i = Σ_c g_ic A_ic,                 g_i = MLP(x_i)
    tensor   T_i = Σ_c g_ic I_ic + h_ic S_ic,     (g, h)_i = MLP(x_i)

A vector comes from the antisymmetric part and a symmetric tensor from the other two, as TensorNet's paper
has it of dipoles and polarizabilities (arXiv 2306.06482). The matrices are made of r̂ ×, which turns
its sign with r̂: in the mirror image X becomes R Xᵀ Rᵀ. For the group O(3) the vector is therefore a true
(polar) one, as a dipole must be. For SO(3) only rotations turn the outputs; a mirror image may give others.
"""

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from cgprot.errors import InputError
from cgprot.model.algebra import A, I, S, matrix_basis
from cgprot.model.graph import Graph
from cgprot.model.tensornet import Features

Output = Literal[
    "bead_scalar",
    "bead_vector",
    "bead_tensor",
    "system_scalar",
    "system_vector",
    "system_tensor",
    "dipole",
    "polarizability",
]
OUTPUTS: tuple[Output, ...] = get_args(Output)


def two_layers(n_in: int, n_out: int) -> nn.Sequential:
    """C -> C/2 -> n_out with SiLU between."""
    first, second = nn.Linear(n_in, n_in // 2), nn.Linear(n_in // 2, n_out)
    for layer in (first, second):
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    return nn.Sequential(first, nn.SiLU(), second)


def sum_systems(per_bead: Tensor, system_index: Tensor, n_systems: int) -> Tensor:
    """(n_total, ...) -> (n_systems, ...)."""
    return per_bead.new_zeros(n_systems, *per_bead.shape[1:]).index_add(0, system_index, per_bead)


class EnergyHead(nn.Module):
    """E = Σ_i MLP(x_i), the sum over the beads of each system."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.network = two_layers(channels, 1)

    def forward(self, invariants: Tensor, system_index: Tensor, n_systems: int) -> Tensor:
        """(n_total, C), (n_total,) -> (n_systems,)."""
        return sum_systems(self.network(invariants).squeeze(-1), system_index, n_systems)


class ScalarHead(nn.Module):
    """s_i = MLP(x_i)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.network = two_layers(channels, 1)

    def forward(self, features: Features) -> Tensor:
        """-> (n_total,)."""
        return self.network(features.invariants).squeeze(-1)


class VectorHead(nn.Module):
    """v_i = Σ_c g_ic A_ic; the coefficients of A are √2 times the vector's x, y, z."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = two_layers(channels, channels)

    def forward(self, features: Features) -> Tensor:
        """-> (n_total, 3)."""
        return (features.X[:, A] * self.gate(features.invariants)[:, None]).sum(-1)


class TensorHead(nn.Module):
    """T_i = Σ_c g_ic I_ic + h_ic S_ic, symmetric."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.gate = two_layers(channels, 2 * channels)

    def forward(self, features: Features) -> Tensor:
        """-> (n_total, 3, 3)."""
        g, h = self.gate(features.invariants)[:, None].chunk(2, dim=-1)  # (n_total, 1, C)
        X = features.X
        coefficients = torch.cat([(X[:, I] * g).sum(-1), (X[:, S] * h).sum(-1)], dim=1)  # (n_total, 6)
        basis = matrix_basis(X.dtype, X.device)
        return (coefficients @ torch.cat([basis[I], basis[S]])).unflatten(1, (3, 3))


KINDS = {"scalar": ScalarHead, "vector": VectorHead, "tensor": TensorHead}
KIND_OF = {"dipole": "vector", "polarizability": "tensor"}


class OutputHead(nn.Module):
    """One output beside energy and forces, by name.

    bead_scalar, bead_vector, bead_tensor      s_i, v_i, T_i
    system_scalar, ..._vector, ..._tensor      their sums over the beads of each system
    dipole [e Å]                               Σ_i v_i + q_i (r_i - r̄)
    polarizability [Å³]                        Σ_i T_i

    q are the formal charges and r̄ is the centroid of the system's beads: there lies the origin of the
    dipole of a charged system, which depends on it. What is learned is local and knows no origin.

    `scale`, in units of the labels, is no parameter: training may set it once, from their size.
    """

    scale: Tensor

    def __init__(self, name: Output, channels: int) -> None:
        super().__init__()
        self.name = name
        self.head = KINDS[KIND_OF.get(name, name.rpartition("_")[2])](channels)
        self.register_buffer("scale", torch.tensor(1.0))

    def forward(self, features: Features, graph: Graph) -> Tensor:
        """-> (n_total, ...) for an output of beads, (n_systems, ...) for one of systems."""
        per_bead = self.scale * self.head(features)
        if self.name.startswith("bead_"):
            return per_bead
        if self.name == "dipole":
            per_bead = per_bead + charge_moments(graph)
        return sum_systems(per_bead, graph.system_index, graph.n_systems)


def charge_moments(graph: Graph) -> Tensor:
    """q_i (r_i - r̄), (n_total, 3) [e Å].

    Raises
    ------
    InputError
        if the graph has no charges, or has some in a periodic box, where their dipole has many values
    """
    if graph.charge is None:
        raise InputError("the dipole needs charges: give build_graph `charge`, zeros for a neutral molecule")
    index = graph.system_index
    if graph.box is not None and (graph.box.flatten(1).any(1)[index] & (graph.charge != 0)).any():
        raise InputError(
            "charges in a periodic box have no dipole: choose system_vector, which has no charges"
        )
    total = sum_systems(graph.positions, index, graph.n_systems)
    number = sum_systems(torch.ones_like(graph.charge), index, graph.n_systems)
    centroid = total / number.clamp(min=1)[:, None]
    return graph.charge[:, None] * (graph.positions - centroid[index])
