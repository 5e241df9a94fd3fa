"""Labels that are made of the forces, frame by frame: whatever is linear in them has a mean as they have."""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor

from cgprot.beads import BeadSystem
from cgprot.model.graph import Graph
from cgprot.train.torsions import join_torsions, torsions_of
from cgprot.train.virial import join_residues, residues_of


class Projection(Protocol):
    """What of the forces is compared; of one system, or of a batch."""

    def project(self, graph: Graph, forces: Tensor) -> Tensor:
        """(n_total, 3) [kcal/mol/Å] -> (n_values, ...) [kcal/mol/Å], those of a system together."""

    def to(self, device: torch.device) -> "Projection":
        """The same on another device."""


# By the name in the configuration's weights: how it is made of a system, how those of a batch are joined.
_Join = Callable[[Sequence, Sequence[int]], Projection]
_KINDS: dict[str, tuple[Callable[[BeadSystem], Projection], _Join]] = {
    "torsions": (lambda system: torsions_of(system.bonds, system.n_beads), join_torsions),
    "virial": (lambda system: residues_of(system.residue_index), lambda parts, _: join_residues(parts)),
}
NAMES = frozenset(_KINDS)


def projections_of(system: BeadSystem, targets: Sequence[str]) -> dict[str, Projection]:
    """Those among the targets, by name."""
    return {name: _KINDS[name][0](system) for name in targets if name in NAMES}


def join_projections(
    parts: Sequence[Mapping[str, Projection]], sizes: Sequence[int]
) -> dict[str, Projection]:
    """Those of a batch, of systems with so many beads each."""
    return {name: _KINDS[name][1]([part[name] for part in parts], sizes) for name in parts[0]}
