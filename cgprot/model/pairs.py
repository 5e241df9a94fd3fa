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


def bonded(graph: Graph, at_most: int) -> Tensor:
    """Which edges join beads at most so many bonds apart; (n_edges,) bool.

    In a box only that image counts which the bonds lead to, each bond to the nearest image.

    Parameters
    ----------
    graph : with bonds
    at_most : bonds, 1 or more
    """
    walks = _walks(graph, at_most)
    rows = torch.cat([graph.edges.T, _images(graph)], dim=1)
    key = _number_rows(torch.cat([rows, walks]))
    return torch.isin(key[: len(rows)], key[len(rows) :])


def _walks(graph: Graph, at_most: int) -> Tensor:
    """First bead, last bead and image of the last of every walk along the bonds; (n_walks, 2 or 5) int64."""
    assert graph.bonds is not None
    forth = torch.cat([graph.bonds.T, _nearest_images(graph)], dim=1)
    back = torch.cat([forth[:, [1, 0]], -forth[:, 2:]], dim=1)
    bonds = torch.cat([forth, back])
    bonds = bonds[bonds[:, 0].argsort()]
    degree = torch.bincount(bonds[:, 0], minlength=len(graph.positions))
    start = degree.cumsum(0) - degree  # of the bonds of each bead
    walks = [bonds]
    for _ in range(at_most - 1):
        ways = degree[walks[-1][:, 1]]
        before = walks[-1].repeat_interleave(ways, dim=0)
        way = torch.arange(len(before), device=ways.device) - (ways.cumsum(0) - ways).repeat_interleave(ways)
        step = bonds[start[before[:, 1]] + way]
        walks.append(torch.cat([before[:, :1], step[:, 1:2], before[:, 2:] + step[:, 2:]], dim=1))
    return torch.cat(walks)


def _images(graph: Graph) -> Tensor:
    """Which image of the sender each edge means; (n_edges, 3) int64, or (n_edges, 0) without a box."""
    if graph.box is None or graph.offset is None:
        return graph.edges.new_empty(graph.edges.shape[1], 0)
    return _lattice(graph.offset, graph, graph.edges[0])


def _nearest_images(graph: Graph) -> Tensor:
    """Which image of the second bead of each bond is nearest to the first; (n_bonds, 3 or 0) int64."""
    assert graph.bonds is not None
    first, second = graph.bonds
    if graph.box is None:
        return graph.bonds.new_empty(len(first), 0)
    return _lattice(graph.positions[first] - graph.positions[second], graph, first)


def _lattice(vector: Tensor, graph: Graph, bead: Tensor) -> Tensor:
    """Vectors in units of the box vectors of a bead's system, rounded; zero where there is no box."""
    assert graph.box is not None
    inverse = torch.linalg.pinv(graph.box)[graph.system_index[bead]]
    return torch.einsum("nj,njk->nk", vector.detach(), inverse).round().long()


def _number_rows(rows: Tensor) -> Tensor:
    """The same number for the same row; (n, m) -> (n,) int64."""
    number = rows.new_zeros(len(rows))
    for column in rows.T if len(rows) else ():
        number = number * (column.max() - column.min() + 1) + column - column.min()
    return number


def bond_vectors(graph: Graph) -> Tensor:
    """From the second to the first bead of each bond, the nearest image, if bonds are under half the box."""
    assert graph.bonds is not None
    first, second = graph.bonds
    vector = graph.positions[first] - graph.positions[second]
    if graph.box is None:
        return vector
    image = _nearest_images(graph).to(vector.dtype)
    return vector - torch.einsum("nj,njk->nk", image, graph.box[graph.system_index[first]])
