"""The least noisy force map, found on data (Krämer et al., arXiv 2302.07071).

Among the linear maps whose mean is the mean force, that of the smallest mean square: the mean
square is that of the mean force plus the noise, and the first is the same for all of them.
"""

from typing import NamedTuple

import numpy as np
from scipy.sparse.csgraph import connected_components, dijkstra

from cgprot.beads import bond_graph
from cgprot.errors import InputError
from cgprot.mapping.project import LinearMap

# A rigid bond's length scatters by the file's rounding, up to 0.005 Å in XTC; a flexible one's by 0.03 Å.
_RIGID_SCATTER = 0.01
_REACH = 4  # bonds from the bead to the last atom whose force may enter
_FOLDS = 5
FEWEST_FRAMES = 4 * _FOLDS  # to find an optimal map on
_RIDGES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0)


class OptimalMap(NamedTuple):
    """A force map with how it was found.

    Attributes
    ----------
    force_map : LinearMap
    ridge : strength of the pull towards the plain sum that did best on held-out frames
    held_out : mean square force on held-out frames [(kcal/mol/Å)²], per component
    n_rigid : number of rigid bonds found
    """

    force_map: LinearMap
    ridge: float
    held_out: float
    n_rigid: int


class _Block(NamedTuple):
    """The least-squares problem of one bead, in groups of atoms that rigid bonds tie together."""

    members: list[np.ndarray]  # atoms of each group
    start: np.ndarray  # (n_groups,) coefficients of the plain sum
    constraint: np.ndarray  # (n_beads_near, n_groups)


def optimal_force_map(
    positions: np.ndarray,
    forces: np.ndarray,
    bonds: np.ndarray,
    position_map: LinearMap,
    plain: LinearMap,
) -> OptimalMap:
    """Minimise the mean square bead force subject to consistency.

    For every bead over the atoms within four bonds, min d^T (C + λ) d about the plain sum, with
    C the covariance of the atoms' forces, subject to position map times d = 1 for the bead itself
    and 0 for all others, and to equal d on atoms that rigid bonds join. The
    conditions are equalities, so the quadratic program is one linear system. λ is chosen by
    five-fold cross-validation over consecutive blocks of frames.

    Parameters
    ----------
    positions, forces : (n_frames, n_atoms, 3) [Å], [kcal/mol/Å], a sample of the data
    bonds : (n_bonds, 2) int
    position_map, plain : of the mapping; `plain` is its "sum" force map

    Raises
    ------
    InputError
        if there are too few frames to validate on, or rigid bonds tie beads together
    """
    if len(forces) < FEWEST_FRAMES:
        raise InputError(
            f"{len(forces)} frames: an optimal force map needs {FEWEST_FRAMES} or more: use force = sum"
        )
    rigid = rigid_bonds(positions, bonds)
    blocks = _blocks(bonds, rigid, position_map, plain, forces.shape[1])
    folds = np.array_split(np.arange(len(forces)), _FOLDS)
    scores = np.zeros(len(_RIDGES))
    solutions: list[list[np.ndarray]] = [[] for _ in _RIDGES]
    for block in blocks:
        grouped = np.stack(
            [forces[:, atoms].sum(axis=1, dtype=np.float64) for atoms in block.members], axis=1
        )
        moments = np.array([np.einsum("tgx,thx->gh", grouped[fold], grouped[fold]) for fold in folds])
        total = moments.sum(axis=0)
        for index, ridge in enumerate(_RIDGES):
            for moment in moments:
                held_in = _solve(block, (total - moment) / (len(forces) * (1 - 1 / _FOLDS)), ridge)
                scores[index] += held_in @ moment @ held_in
            solutions[index].append(_solve(block, total / len(forces), ridge))
    best = int(scores.argmin())
    return OptimalMap(
        _assemble(blocks, solutions[best]),
        _RIDGES[best],
        float(scores[best] / (3 * len(forces) * len(blocks))),
        len(rigid),
    )


def rigid_bonds(positions: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """(n, 2) int, the bonds whose length does not change over the frames, (n_frames, n_atoms, 3) [Å]."""
    lengths = np.linalg.norm(positions[:, bonds[:, 0]] - positions[:, bonds[:, 1]], axis=-1)
    return bonds[lengths.std(axis=0) < _RIGID_SCATTER]


def _blocks(bonds, rigid, position_map: LinearMap, plain: LinearMap, n_atoms: int) -> list[_Block]:
    tied = connected_components(bond_graph(rigid, n_atoms), directed=False)[1]
    graph = bond_graph(bonds, n_atoms)
    sites, sums = position_map.dense(n_atoms), plain.dense(n_atoms)
    blocks = []
    for bead in range(len(sites)):
        own = np.flatnonzero(sites[bead])
        reach = dijkstra(graph, directed=False, indices=own, unweighted=True, limit=_REACH, min_only=True)
        near = np.isfinite(reach) | (sums[bead] != 0)
        groups = np.unique(tied[near])
        members = [np.flatnonzero(tied == group) for group in groups]
        start = np.array([sums[bead, atoms].mean() for atoms in members])
        constraint = np.stack([sites[:, atoms].sum(axis=1) for atoms in members], axis=1)
        seen = np.abs(constraint).sum(axis=1) > 0
        wanted = (np.flatnonzero(seen) == bead).astype(float)
        blocks.append(_Block(members, _consistent(start, constraint[seen], wanted, bead), constraint[seen]))
    return blocks


def _consistent(start: np.ndarray, constraint: np.ndarray, wanted: np.ndarray, bead: int) -> np.ndarray:
    """The start, moved as little as it must be where rigid bonds reach beyond the bead."""
    missing = wanted - constraint @ start
    if np.abs(missing).max() < 1e-9:
        return start
    moved = start + np.linalg.pinv(constraint) @ missing
    if np.abs(wanted - constraint @ moved).max() < 1e-9:
        return moved
    raise InputError(
        f"rigid bonds join bead index {bead} to another, and forces along them are in no file: no force map "
        "is consistent: give data without constraints between heavy atoms"
    )


def _solve(block: _Block, moment: np.ndarray, ridge: float) -> np.ndarray:
    """Coefficients of the groups: the start plus a step that leaves the constraints as they are."""
    # An orthonormal basis of the steps that the constraints allow.
    _, singular, vt = np.linalg.svd(block.constraint)
    allowed = vt[int((singular > 1e-10).sum()) :].T
    if allowed.shape[1] == 0:
        return block.start
    weight = ridge * np.trace(moment) / len(moment)
    left = allowed.T @ moment @ allowed + weight * np.eye(allowed.shape[1])
    return block.start - allowed @ np.linalg.solve(left, allowed.T @ (moment @ block.start))


def _assemble(blocks: list[_Block], solutions: list[np.ndarray]) -> LinearMap:
    atoms = [np.concatenate(block.members) for block in blocks]
    weights = [
        np.repeat(solution, [len(group) for group in block.members])
        for block, solution in zip(blocks, solutions, strict=True)
    ]
    return LinearMap.from_rows(atoms, weights)
