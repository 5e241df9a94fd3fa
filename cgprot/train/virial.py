"""The virial of residues: what presses a whole molecule apart or together.

A force field's long attraction pulls on every bead by less than the error of its force, but the pulls add up,
and no mean square over beads says by how much a molecule is pressed. So a loss can ask for the virial, as is
usual where stresses are learned, here of residues that move as rigid groups: bonds and angles inside them do
not count.

    W_ab = Σ_i c_ia F_ib / √(Σ_i |c_i|² / n),  symmetric part,

c_i from the centre of the molecule's n beads to that of bead i's residue. Its trace is the force along a
uniform expansion, whose error grows with √n if beads err by themselves and with n if they err together. It is
linear in the forces: mean forces give its mean.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cgprot.model.graph import Graph


class Residues(NamedTuple):
    """The residues of one system, or of a batch.

    Attributes
    ----------
    residue : (n_total,) int64 of every bead, those of a batch counted on
    """

    residue: Tensor

    def project(self, graph: Graph, forces: Tensor) -> Tensor:
        """W: forces (n_total, 3) [kcal/mol/Å] -> (n_systems, 3, 3) [kcal/mol/Å]."""
        x, system, n_systems = graph.positions, graph.system_index, graph.n_systems
        arms = _means(x, self.residue)[self.residue] - _means(x, system)[system]
        products = arms[:, :, None] * forces[:, None]
        whole = forces.new_zeros(n_systems, 3, 3).index_add(0, system, products)
        square = arms.new_zeros(n_systems).index_add(0, system, arms.square().sum(1))
        square = square / torch.bincount(system)
        # A single residue has no arms, and no virial.
        return (whole + whole.mT) / 2 * square.clamp_min(1e-12).rsqrt()[:, None, None]

    def to(self, device: torch.device) -> "Residues":
        """The same on another device."""
        return Residues(self.residue.to(device))


def residues_of(residue_index: np.ndarray) -> Residues:
    """Of one system; residue_index (n_beads,) counts from 0."""
    return Residues(torch.tensor(residue_index).long())


def join_residues(parts: Sequence[Residues]) -> Residues:
    """Those of a batch of systems."""
    before = np.cumsum([0, *(int(part.residue.max()) + 1 for part in parts[:-1])]).tolist()
    return Residues(torch.cat([part.residue + shift for part, shift in zip(parts, before, strict=True)]))


def _means(values: Tensor, group: Tensor) -> Tensor:
    """(n_total, 3) -> (n_groups, 3)."""
    n_groups = int(group.max()) + 1
    total = values.new_zeros(n_groups, 3).index_add(0, group, values)
    return total / torch.bincount(group, minlength=n_groups)[:, None]
