"""Who is within reach of whom: one structure, its replicas, or a batch of different systems."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy.spatial import cKDTree

from cgprot.errors import InputError

COINCIDENT = 1e-6  # Å, below this two beads have no direction between them


class Graph(NamedTuple):
    """One structure or a batch, the same type.

    Attributes
    ----------
    positions : (n_total, 3) [Å], each system about its own centroid
    bead_type : (n_total,) int64, counted from 1
    system_index : (n_total,) int64, which system of the batch a bead belongs to
    edges : (2, n_edges) int64, receiving and sending bead, both directions, sorted by the receiving
        bead and then by the sending one; no bead is its own neighbour
    n_systems : number of systems in the batch
    """

    positions: torch.Tensor
    bead_type: torch.Tensor
    system_index: torch.Tensor
    edges: torch.Tensor
    n_systems: int


def neighbour_edges(positions: np.ndarray, cutoff: float) -> np.ndarray:
    """Every ordered pair of different beads closer than `cutoff`, in free space.

    Parameters
    ----------
    positions : (n_beads, 3) [Å]
    cutoff : [Å]

    Returns
    -------
    (2, n_edges) int64, receiving and sending bead, sorted by the receiving bead and then by the sending one

    Raises
    ------
    InputError
        if a position is not finite, or two beads coincide
    """
    positions = np.asarray(positions, dtype=np.float64)
    if not np.isfinite(positions).all():
        bead = int(np.argwhere(~np.isfinite(positions))[0, 0])
        raise InputError(f"bead {bead} has a position that is not finite: repair or leave out this frame")
    pairs = cKDTree(positions).query_pairs(cutoff, output_type="ndarray").astype(np.int64)
    distance = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    if len(distance) and distance.min() < COINCIDENT:
        first, second = pairs[distance.argmin()]
        raise InputError(f"beads {first} and {second} coincide ({distance.min():.1e} Å apart): move one")
    pairs = pairs[distance < cutoff]
    edges = np.concatenate([pairs, pairs[:, ::-1]])
    return edges[np.lexsort(edges.T[::-1])].T


def build_graph(
    positions: np.ndarray, bead_type: np.ndarray, cutoff: float, dtype: torch.dtype = torch.float32
) -> Graph:
    """The graph of several replicas of one system.

    Centring happens in float64, so that a float32 network sees no rounding of far-off coordinates.

    Parameters
    ----------
    positions : (n_systems, n_beads, 3) [Å]
    bead_type : (n_beads,) int, counted from 1
    cutoff : [Å]
    dtype : floating-point type of Graph.positions

    Raises
    ------
    InputError
        as `neighbour_edges`, or if the shapes do not match
    """
    positions = np.asarray(positions, dtype=np.float64)
    n_systems, n_beads = positions.shape[:2]
    if positions.shape != (n_systems, len(bead_type), 3):
        raise InputError(f"positions of shape {positions.shape} do not fit {len(bead_type)} bead types")
    edges = [neighbour_edges(frame, cutoff) + n_beads * k for k, frame in enumerate(positions)]
    centred = positions - positions.mean(axis=1, keepdims=True)
    types = np.tile(np.asarray(bead_type, dtype=np.int64), n_systems)
    return Graph(
        positions=torch.as_tensor(centred.reshape(-1, 3), dtype=dtype),
        bead_type=torch.from_numpy(types),
        system_index=torch.arange(n_systems).repeat_interleave(n_beads),
        edges=torch.from_numpy(np.concatenate(edges, axis=1)),
        n_systems=n_systems,
    )


def join_graphs(graphs: Sequence[Graph]) -> Graph:
    """One batch of the systems of several graphs, in their order."""
    beads_before = np.cumsum([0] + [len(graph.positions) for graph in graphs]).tolist()
    systems_before = np.cumsum([0] + [graph.n_systems for graph in graphs]).tolist()
    return Graph(
        positions=torch.cat([graph.positions for graph in graphs]),
        bead_type=torch.cat([graph.bead_type for graph in graphs]),
        system_index=torch.cat([g.system_index + n for g, n in zip(graphs, systems_before, strict=False)]),
        edges=torch.cat([g.edges + n for g, n in zip(graphs, beads_before, strict=False)], dim=1),
        n_systems=systems_before[-1],
    )


def undirected_pairs(edges: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Each pair of neighbours once, and the pair of every edge.

    Parameters
    ----------
    edges : (2, n_edges) int64, sorted, both directions, as in `Graph`

    Returns
    -------
    pairs : (2, n_pairs) int64, the edges whose receiving bead has the smaller number
    pair_of_edge : (n_edges,) int64

    Raises
    ------
    InputError
        if an edge lacks its reverse
    """
    receiver, sender = edges
    n_beads = int(edges.max()) + 1 if edges.numel() else 0
    reverse = torch.argsort(sender * n_beads + receiver)
    if not torch.equal(edges[:, reverse], edges.flip(0)):
        raise InputError("the edges lack a reverse or are not sorted: take them from neighbour_edges")
    forward = receiver < sender
    number = torch.cumsum(forward, 0) - 1
    return edges[:, forward], torch.where(forward, number, number[reverse])
