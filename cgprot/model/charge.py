"""How charge and spin enter a TensorNet: as factors of its matrix products, without new parameters.

G. Simeon et al., Broadening the Scope of Neural Network Potentials through Direct Inclusion of Additional
Molecular Attributes, arXiv 2403.15073. With q an attribute of the system (its total charge, or its spin)

    D_i  = (1 + λ q) (Y_i M_i + M_i Y_i)            for O(3); for SO(3) D_i = 2 Y_i M_i has no factor
    X_i <- X_i + dX_i + (1 + λ q) dX_i²

with λ = 0.1, as in TorchMD-Net 3.1.0. Here q is one of

    charge   spin    q
    total    no      Q, the total charge [e]
    none     yes     S, the spin quantum number: 0 singlet, ½ doublet, 1 triplet
    total    yes     Q, and S is added to q in the first product alone, so that no two states (Q, S) coincide
    bead     no      q_i, the formal charge of bead i [e]

A total changes every bead of the system, however far: energies of distant parts do not add, and the factor
vanishes at Q = -10. The formal charges of beads are local, hence fit for proteins.
"""

from typing import Literal, NamedTuple

from torch import Tensor

from cgprot.errors import InputError
from cgprot.model.graph import Graph

Charge = Literal["none", "total", "bead"]

LAMBDA = 0.1


class Factors(NamedTuple):
    """Of the first product of an interaction, and of its square; each (n_total, 1, 1), or None for 1."""

    product: Tensor | None
    square: Tensor | None


def product_factors(graph: Graph, charge: Charge, spin: bool, group: str) -> Factors:
    """The factors of every bead.

    Raises
    ------
    InputError
        if the graph lacks what the model needs, or a factor is not positive
    """
    by_bead: list[Tensor] = []
    if charge == "bead":
        by_bead.append(_given(graph.charge, "the formal charge of every bead", "charge"))
    if charge == "total":
        total = _given(graph.total_charge, "the total charge of every system", "total_charge")
        by_bead.append(total[graph.system_index])
    if spin:
        by_bead.append(_given(graph.spin, "the spin of every system", "spin")[graph.system_index])
    if not by_bead:
        return Factors(None, None)
    square = _factor(by_bead[0], graph)
    first = by_bead if group == "O(3)" else by_bead[1:]
    return Factors(_factor(sum(first[1:], first[0]), graph) if first else None, square)


def _given(values: Tensor | None, what: str, argument: str) -> Tensor:
    if values is None:
        raise InputError(
            f"the model needs {what}, the graph has none: give build_graph `{argument}`, "
            f"or a dataset property_{argument}"
        )
    return values


def _factor(attribute: Tensor, graph: Graph) -> Tensor:
    factor = 1 + LAMBDA * attribute.to(graph.positions.dtype)
    if (factor <= 0).any():
        raise InputError(
            f"a charge of {float(attribute.min()):g} makes the factor 1 + {LAMBDA} q of the network vanish: "
            'train a model with charge = "bead"'
        )
    return factor[:, None, None]
