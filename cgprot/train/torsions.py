"""Forces along rotations about bonds: the soft directions, in which a protein folds.

A mean square over Cartesian components is ruled by stiff bonds and angles. Turning about a bond changes
neither; the force along it is small, and its errors hide among theirs. Yet it makes the depths of basins.
So a loss can ask for these forces too:

    g_t = Σ_i v_ti · F_i,  v_ti = û × (x_i - x_b) / norm,  Σ_i |v_ti|² = 1

for every bond a - b (û from a to b) that is in no ring, i running over the beads behind b, the smaller side.
The generalised force of the torsion is norm · g_t. It is linear in the forces: mean forces give its mean.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from cgprot.beads import sides
from cgprot.model.graph import Graph


class Torsions(NamedTuple):
    """The rotations of one system, or of a batch.

    Attributes
    ----------
    axis : (n_torsions, 2) int64, beads a and b
    row, bead : (n_entries,) int64; rotation row[k] moves bead[k]
    """

    axis: Tensor
    row: Tensor
    bead: Tensor

    def levers(self, positions: Tensor) -> Tensor:
        """û × (x_i - x_b): (n_total, 3) [Å] -> (n_entries, 3) [Å/rad], what a rotation moves its beads by."""
        first, second = positions[self.axis[:, 0]], positions[self.axis[:, 1]]
        along = torch.nn.functional.normalize(second - first, dim=1)
        return torch.linalg.cross(along[self.row], positions[self.bead] - second[self.row])

    def directions(self, positions: Tensor) -> Tensor:
        """v: (n_total, 3) [Å] -> (n_entries, 3), those of a rotation together a unit vector."""
        moves = self.levers(positions)
        square = positions.new_zeros(len(self.axis)).index_add(0, self.row, moves.square().sum(1))
        # Beads that all lie on the axis are not moved, and have no such force.
        return moves * square.clamp_min(1e-12).rsqrt()[self.row, None]

    def project(self, graph: Graph, forces: Tensor) -> Tensor:
        """g: forces (n_total, 3) [kcal/mol/Å] -> (n_torsions,) [kcal/mol/Å]."""
        terms = (self.directions(graph.positions) * forces[self.bead]).sum(1)
        return forces.new_zeros(len(self.axis)).index_add(0, self.row, terms)

    def to(self, device: torch.device) -> "Torsions":
        """The same on another device."""
        return Torsions(*(part.to(device) for part in self))


def torsions_of(bonds: np.ndarray, n_beads: int) -> Torsions:
    """Every bond in no ring that has more beads behind both its ends.

    Parameters
    ----------
    bonds : (n_bonds, 2)
    """
    axes: list[tuple[int, int]] = []
    rows: list[int] = []
    beads: list[int] = []
    for ends, (others, behind) in sides(bonds, n_beads):
        if min(others.sum(), behind.sum()) < 2:
            continue
        if behind.sum() > others.sum():
            ends, behind = ends[::-1], others
        moved = np.flatnonzero(behind).tolist()
        moved.remove(ends[1])
        rows += [len(axes)] * len(moved)
        beads += moved
        axes.append(ends)
    return Torsions(
        torch.tensor(axes).view(-1, 2).long(), torch.tensor(rows).long(), torch.tensor(beads).long()
    )


def join_torsions(parts: Sequence[Torsions], sizes: Sequence[int]) -> Torsions:
    """Those of a batch, of systems with so many beads each."""
    beads_before = np.cumsum([0, *sizes[:-1]]).tolist()
    rows_before = np.cumsum([0, *(len(part.axis) for part in parts[:-1])]).tolist()
    return Torsions(
        torch.cat([part.axis + shift for part, shift in zip(parts, beads_before, strict=True)]),
        torch.cat([part.row + shift for part, shift in zip(parts, rows_before, strict=True)]),
        torch.cat([part.bead + shift for part, shift in zip(parts, beads_before, strict=True)]),
    )
