"""Energies that are known beforehand, added to the network's where a configuration names them.

The default is none: cgprot's claim is that a network needs no priors. Each prior is a frozen set of numbers
with their units and an `energy(graph)` (n_systems,) [kcal/mol]; it has nothing to learn, and travels with
the weights in their configuration. In a training file:

    [model.priors.bonds]
    terms = [{ types = [3, 3], k = 300.0, length = 1.53 }, { k = 350.0, length = 1.40 }]
    [model.priors.excluded_volume]
    epsilon = 0.1
    sigma = 3.0
    [model.priors.zbl]
    [model.priors.coulomb]
    cutoff = 10.0
"""

import math
import re
from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from cgprot.errors import InputError
from cgprot.model.graph import Graph
from cgprot.model.pairs import bond_vectors, bonded, pair_distances, sum_pairs
from cgprot.model.radial import cosine_cutoff
from cgprot.units import COULOMB

Positive = Annotated[float, Field(gt=0)]
BeadType = Annotated[int, Field(ge=1)]

# Ziegler, Biersack, Littmark, The Stopping and Range of Ions in Solids (1985), as LAMMPS's pair_style zbl
# has them: the weights sum to 1, so that nuclei at contact feel their bare charges.
ZBL_WEIGHTS = (0.18175, 0.50986, 0.28022, 0.02817)
ZBL_DECAYS = (3.19980, 0.94229, 0.40290, 0.20162)
ZBL_LENGTH = 0.46850  # Å
ZBL_POWER = 0.23

ELEMENTS = {"H": 1, "C": 6, "N": 7, "O": 8, "F": 9, "P": 15, "S": 16, "Cl": 17, "Se": 34}


class Prior(BaseModel):
    """One energy; `reach` [Å] is the distance up to which it needs the edges of a graph."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @property
    def reach(self) -> float:
        return 0.0

    def energy(self, graph: Graph) -> Tensor:
        """(n_systems,) [kcal/mol].

        Raises
        ------
        InputError
            if the graph lacks what the prior needs
        """
        raise NotImplementedError


class BondTerm(BaseModel):
    """The bonds between beads of two types, in either order; of any types if `types` is left out.

    k [kcal/mol/Å²], length [Å]
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    types: tuple[BeadType, BeadType] | None = None
    k: Positive
    length: Positive


class HarmonicBonds(Prior):
    """E = Σ ½ k (r - r₀)² over the bonds of the graph; of several terms that fit, the first counts."""

    terms: tuple[BondTerm, ...] = Field(min_length=1)

    def energy(self, graph: Graph) -> Tensor:
        first, second = bonds_of(graph, "bonds")
        k, length = self._table(graph)[:, graph.bead_type[first], graph.bead_type[second]]
        if k.isnan().any():
            at = int(k.isnan().nonzero()[0, 0])
            types = [int(graph.bead_type[bead[at]]) for bead in (first, second)]
            raise InputError(f"no bond term for bead types {types}: add one to priors.bonds.terms")
        distance = torch.linalg.vector_norm(bond_vectors(graph), dim=1)
        energy = 0.5 * k * (distance - length) ** 2
        return sum_pairs(energy, first, graph)

    def _table(self, graph: Graph) -> Tensor:
        """k and r₀ by two bead types, NaN where no term fits; (2, n, n)."""
        named = [t for term in self.terms if term.types for t in term.types]
        n = 1 + max([*named, *graph.bead_type.tolist()], default=0)
        table = graph.positions.new_full((2, n, n), math.nan)
        for term in reversed(self.terms):
            values = table.new_tensor([term.k, term.length])
            if term.types is None:
                table[:] = values[:, None, None]
            else:
                i, j = term.types
                table[:, i, j] = table[:, j, i] = values
        return table


class ExcludedVolume(Prior):
    """Beads push each other away when they overlap: Lennard-Jones, cut and lifted at its minimum.

    E = Σ 4 ε ((σ/r)¹² - (σ/r)⁶) + ε for r < 2^(1/6) σ; σ of a pair is the mean of the two beads' (Weeks,
    Chandler, Andersen, doi:10.1063/1.1674820).

    epsilon [kcal/mol]; sigma [Å], one for all or one for each bead type; exclude_bonds: pairs up to so many
    bonds apart do not count.
    """

    epsilon: Positive
    sigma: Positive | tuple[Positive, ...]
    exclude_bonds: int = Field(default=3, ge=0)

    @property
    def reach(self) -> float:
        largest = max(self.sigma) if isinstance(self.sigma, tuple) else self.sigma
        return 2 ** (1 / 6) * largest

    def energy(self, graph: Graph) -> Tensor:
        (i, j), distance = pair_distances(graph, self.reach, excluded_of(graph, self))
        if isinstance(self.sigma, tuple):
            by_type = per_type(self.sigma, graph, "excluded_volume.sigma")
            sigma = (by_type[i] + by_type[j]) / 2
        else:
            sigma = torch.full_like(distance, self.sigma)
        sixth = (sigma / distance) ** 6
        energy = 4 * self.epsilon * (sixth**2 - sixth) + self.epsilon
        return sum_pairs(0.5 * torch.where(2 * sixth > 1, energy, 0), i, graph)


class ZBL(Prior):
    """The repulsion of two nuclei behind their electrons, for beads that come far too close.

    E = Σ f_cut(r) (e²/4πε₀) Z_i Z_j / r · Σ_k w_k exp(-d_k r / a),  a = 0.46850 Å / (Z_i^0.23 + Z_j^0.23),
    with the cosine cutoff, as TorchMD-Net has it (there with constants rounded to four digits).

    cutoff [Å]; atomic_numbers, one for each bead type: training takes them from the names of the types (CH3
    is carbon) if they are left out.
    """

    cutoff: Positive = 4.0
    atomic_numbers: tuple[BeadType, ...] | None = None

    @property
    def reach(self) -> float:
        return self.cutoff

    def energy(self, graph: Graph) -> Tensor:
        if self.atomic_numbers is None:
            raise InputError("zbl knows no elements: give priors.zbl.atomic_numbers, one for each bead type")
        (i, j), distance = pair_distances(graph, self.cutoff)
        Z = per_type(self.atomic_numbers, graph, "zbl.atomic_numbers")
        scaled = distance * (Z[i] ** ZBL_POWER + Z[j] ** ZBL_POWER) / ZBL_LENGTH
        terms = zip(ZBL_WEIGHTS, ZBL_DECAYS, strict=True)
        screening = sum(weight * torch.exp(-decay * scaled) for weight, decay in terms)
        energy = cosine_cutoff(distance, self.cutoff) * COULOMB * Z[i] * Z[j] / distance * screening
        return sum_pairs(0.5 * energy, i, graph)


class Coulomb(Prior):
    """Formal charges, and beyond the cutoff a continuum: the reaction field.

    E = Σ (e²/4πε₀) q_i q_j / ε (1/r + k r² - c),  k = (ε_rf - ε) / ((2 ε_rf + ε) cutoff³),
    c = 3 ε_rf / ((2 ε_rf + ε) cutoff)   (Tironi et al., doi:10.1063/1.469273; OpenMM's for ε = 1)

    The energy vanishes at the cutoff; the force does where the continuum is a conductor (ε_rf left out),
    otherwise it jumps by 3 ε / (2 ε_rf + ε) of the Coulomb force.

    cutoff [Å]; permittivity, ε relative to the vacuum, between the beads; continuum, ε_rf; exclude_bonds:
    pairs up to so many bonds apart do not count.
    """

    cutoff: Positive = 10.0
    permittivity: float = Field(default=1.0, ge=1)
    continuum: float | None = Field(default=None, ge=1)
    exclude_bonds: int = Field(default=3, ge=0)

    @property
    def reach(self) -> float:
        return self.cutoff

    def energy(self, graph: Graph) -> Tensor:
        if graph.charge is None:
            raise InputError("coulomb needs charges: give build_graph `charge`, one for each bead")
        (i, j), distance = pair_distances(graph, self.cutoff, excluded_of(graph, self))
        k, c = self._field()
        factor = COULOMB / self.permittivity * graph.charge[i] * graph.charge[j]
        return sum_pairs(0.5 * factor * (1 / distance + k * distance**2 - c), i, graph)

    def _field(self) -> tuple[float, float]:
        """k [1/Å³] and c [1/Å]."""
        if self.continuum is None:
            return 0.5 / self.cutoff**3, 1.5 / self.cutoff
        inside, outside = self.permittivity, self.continuum
        both = 2 * outside + inside
        return (outside - inside) / (both * self.cutoff**3), 3 * outside / (both * self.cutoff)


class Priors(BaseModel):
    """Which priors a model has; none by default."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bonds: HarmonicBonds | None = None
    excluded_volume: ExcludedVolume | None = None
    zbl: ZBL | None = None
    coulomb: Coulomb | None = None

    @property
    def chosen(self) -> dict[str, Prior]:
        """Those that are given, by name."""
        return {name: prior for name, prior in self if prior is not None}

    @property
    def reach(self) -> float:
        """The distance up to which they need the edges of a graph [Å]."""
        return max((prior.reach for prior in self.chosen.values()), default=0.0)

    def energy(self, graph: Graph) -> Tensor:
        """Their sum, (n_systems,) [kcal/mol]."""
        total = graph.positions.new_zeros(graph.n_systems)
        return sum((prior.energy(graph) for prior in self.chosen.values()), total)

    def with_elements(self, type_names: Mapping[str, int], n_types: int) -> "Priors":
        """The same with the elements that zbl lacks, as `atomic_numbers` finds them."""
        if self.zbl is None or self.zbl.atomic_numbers is not None:
            return self
        zbl = self.zbl.model_copy(update={"atomic_numbers": atomic_numbers(type_names, n_types)})
        return self.model_copy(update={"zbl": zbl})


def bonds_of(graph: Graph, prior: str) -> Tensor:
    """(2, n_bonds); refused where the graph has none."""
    if graph.bonds is None:
        raise InputError(f"{prior} needs the bonds between beads: give build_graph `bonds`")
    return graph.bonds


def excluded_of(graph: Graph, prior: ExcludedVolume | Coulomb) -> Tensor | None:
    """Which edges join beads too few bonds apart, (n_edges,) bool."""
    if prior.exclude_bonds == 0:
        return None
    bonds_of(graph, f"{type(prior).__name__} with exclude_bonds = {prior.exclude_bonds}")
    return bonded(graph, prior.exclude_bonds)


def per_type(values: tuple[float, ...], graph: Graph, name: str) -> Tensor:
    """The value of every bead's type, (n_total,)."""
    if len(graph.bead_type) and int(graph.bead_type.max()) > len(values):
        raise InputError(f"priors.{name} has {len(values)} entries: give one for each bead type")
    return graph.positions.new_tensor(values)[graph.bead_type - 1]


def atomic_numbers(type_names: Mapping[str, int], n_types: int) -> tuple[int, ...]:
    """The elements of bead types by their names: the longest element that begins "CH3", "NH1.PRO" ...

    Parameters
    ----------
    type_names : bead type by name
    n_types : a type without a name counts as carbon, no bead has it

    Raises
    ------
    InputError
        if a name begins with no element
    """
    numbers = [ELEMENTS["C"]] * n_types
    for name, bead_type in type_names.items():
        found = re.match(r"(Cl|Se|[HCNOFPS])(?=H?\d|$|\.)", name)
        if found is None:
            raise InputError(f"bead type {name} is no element with hydrogens: give priors.zbl.atomic_numbers")
        numbers[bead_type - 1] = ELEMENTS[found[1]]
    return tuple(numbers)
