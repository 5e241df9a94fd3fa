"""The factor f(r) of every pair of neighbours, from its network or from a table of it.

f(r) is a network of one number, so what it makes of every pair can be had from a table: cubics through its
exact values and slopes at evenly spaced distances (Hermite). The table is made anew from the weights at every
call and both can be differentiated, so that forces are the exact slope of the energy of the cubics and the
gradient reaches the weights; the deviation from the network falls with the fourth power of the spacing, for
forces with the third. The network then runs for some hundred distances instead of some ten thousand pairs,
and what is second order in the distance never goes through it.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cgprot.model.radial import cosine_cutoff


class EdgeFactor(NamedTuple):
    """f of pair p = Σ_k weight[p, k] table[row[p], k]."""

    weight: Tensor  # (P, n)
    table: Tensor  # (K, n, 3, C)
    row: Tensor  # (P,) int64

    @classmethod
    def exact(cls, factor: Tensor) -> "EdgeFactor":
        """Every pair with a row of its own; factor (P, 3, C)."""
        weight = factor.new_ones(len(factor), 1)
        return cls(weight, factor[:, None], torch.arange(len(factor), device=factor.device))

    def in_full(self) -> Tensor:
        """f of every pair, (P, 3, C)."""
        terms = zip(self.weight.unbind(1), self.table.unbind(1), strict=True)
        return sum(weight[:, None, None] * term[self.row] for weight, term in terms)  # type: ignore[return-value]


class EdgeNetwork(NamedTuple):
    """How f(r) = f_cut(r) radial(φ(r)) is found for the pairs of a graph.

    Attributes
    ----------
    basis : φ
    cutoff : [Å]
    distance : (P,) [Å]
    intervals : of the tables; None runs the network for every pair
    """

    basis: nn.Module
    cutoff: float
    distance: Tensor
    intervals: int | None

    def factors(self, radial: nn.Module) -> EdgeFactor:
        """What a network of K radial functions to 3 C numbers makes of every pair."""
        if self.intervals is None:
            return EdgeFactor.exact(self._of(radial, self.distance))
        place = self.distance * (self.intervals / self.cutoff)
        row = place.detach().long().clamp_(max=self.intervals - 1)
        t = place - row
        weight = torch.stack([torch.ones_like(t), t, t * t, t * t * t], dim=1)
        return EdgeFactor(weight, self._cubics(radial).to(t.dtype), row)

    def _cubics(self, radial: nn.Module) -> Tensor:
        """The coefficients of every interval for 0 <= t <= 1, float64; (K, 4, 3, C).

        In float64, since differences of neighbouring values are what the slope is made of.
        """
        assert self.intervals is not None
        double = {name: weight.double() for name, weight in radial.named_parameters()}

        def function(r: Tensor) -> Tensor:
            return self._of(lambda basis: torch.func.functional_call(radial, double, (basis,)), r)

        spacing = self.cutoff / self.intervals
        r = torch.arange(self.intervals + 1, dtype=torch.float64, device=self.distance.device) * spacing
        value, slope = torch.func.jvp(function, (r,), (torch.full_like(r, spacing),))  # type: ignore[misc]
        rise = value[1:] - value[:-1]
        left, right = slope[:-1], slope[1:]
        return torch.stack([value[:-1], left, 3 * rise - 2 * left - right, left + right - 2 * rise], dim=1)

    def _of(self, radial: Callable[[Tensor], Tensor], r: Tensor) -> Tensor:
        factor = radial(self.basis(r)) * cosine_cutoff(r, self.cutoff)[:, None]
        return factor.unflatten(1, (3, -1))
