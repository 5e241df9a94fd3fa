"""Pairs of beads within reach of each other, and what is known of them."""

import torch
from torch import Tensor

from cgprot.model.graph import Graph


def edge_vectors(graph: Graph) -> Tensor:
    """From the neighbour to the bead, through the box if there is one; (n_edges, 3) [Å]."""
    receiver, sender = graph.edges
    vector = graph.positions[receiver] - graph.positions[sender]
    return vector if graph.offset is None else vector - graph.offset


def within(graph: Graph, cutoff: float) -> Graph:
    """The same graph without the edges beyond `cutoff` [Å]."""
    near = torch.linalg.vector_norm(edge_vectors(graph).detach(), dim=1) < cutoff
    offset = None if graph.offset is None else graph.offset[near]
    return graph._replace(edges=graph.edges[:, near], offset=offset)


def pair_distances(graph: Graph, cutoff: float, excluded: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """The edges shorter than `cutoff` and their lengths; every pair comes twice.

    Parameters
    ----------
    cutoff : [Å]
    excluded : (n_edges,) bool, edges to leave out, or None

    Returns
    -------
    (2, n_near) int64, (n_near,) [Å]
    """
    distance = torch.linalg.vector_norm(edge_vectors(graph), dim=1)
    near = distance < cutoff
    if excluded is not None:
        near = near & ~excluded
    return graph.edges[:, near], distance[near]


def sum_pairs(energy: Tensor, bead: Tensor, graph: Graph) -> Tensor:
    """The sum of each system, each term told by one of its beads; (n,), (n,) -> (n_systems,)."""
    return energy.new_zeros(graph.n_systems).index_add(0, graph.system_index[bead], energy)


def bonded(edges: Tensor, bonds: Tensor, at_most: int, n_beads: int) -> Tensor:
    """Which edges join beads at most so many bonds apart, their images included; (n_edges,) bool.

    Parameters
    ----------
    edges : (2, n_edges) int64
    bonds : (2, n_bonds) int64
    at_most : bonds, 1 or more
    """
    both = torch.cat([bonds, bonds.flip(0)], dim=1)
    both = both[:, both[0].argsort()]
    degree = torch.bincount(both[0], minlength=n_beads)
    start = degree.cumsum(0) - degree  # of the bonds of each bead in `both`
    walks = [both]
    for _ in range(at_most - 1):
        first, last = walks[-1]
        ways = degree[last]
        number = torch.arange(int(ways.sum()), device=edges.device)
        way = number - (ways.cumsum(0) - ways).repeat_interleave(ways)
        step = start[last].repeat_interleave(ways) + way
        walks.append(torch.stack([first.repeat_interleave(ways), both[1, step]]))
    first, last = torch.cat(walks, dim=1)
    apart = first != last
    return torch.isin(edges[0] * n_beads + edges[1], (first * n_beads + last)[apart].unique())


def shortest(vector: Tensor, graph: Graph, bead: Tensor) -> Tensor:
    """The vectors between nearest images, for lengths under half the box; (n, 3), (n,) -> (n, 3) [Å].

    Parameters
    ----------
    bead : (n,) one bead of each vector, whose system's box counts; a box of zeros is none
    """
    if graph.box is None:
        return vector
    own = graph.system_index[bead]
    fractional = torch.einsum("nj,njk->nk", vector.detach(), torch.linalg.pinv(graph.box)[own])
    return vector - torch.einsum("nj,njk->nk", fractional.round(), graph.box[own])
