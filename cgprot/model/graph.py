"""One structure, its replicas, or a batch of different systems."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from cgprot.errors import InputError
from cgprot.model.edges import neighbour_edges, periodic_edges


class Graph(NamedTuple):
    """One structure or a batch, the same type.

    Attributes
    ----------
    positions : (n_total, 3) [Å], each system about its own centroid
    bead_type : (n_total,) int64, counted from 1
    system_index : (n_total,) int64, which system of the batch a bead belongs to
    edges : (2, n_edges) int64, receiving and sending bead, both directions, sorted by the receiving
        bead and then by the sending one (and then by its image); no bead is its own neighbour, but its
        image in a small box can be
    n_systems : number of systems in the batch
    box : (n_systems, 3, 3) [Å], rows are the box vectors, zero where a system of the batch has none; or None
    offset : (n_edges, 3) [Å], the lattice vector to add to the sender's position, or None
    charge : (n_total,) [e], formal, or None where it is not known
    total_charge : (n_systems,) [e] or None
    spin : (n_systems,) the spin quantum number S (0 singlet, ½ doublet, 1 triplet), or None
    bonds : (2, n_bonds) int64, each bond once, or None where they are not known
    """

    positions: torch.Tensor
    bead_type: torch.Tensor
    system_index: torch.Tensor
    edges: torch.Tensor
    n_systems: int
    box: torch.Tensor | None = None
    offset: torch.Tensor | None = None
    charge: torch.Tensor | None = None
    total_charge: torch.Tensor | None = None
    spin: torch.Tensor | None = None
    bonds: torch.Tensor | None = None

    def to(self, device: torch.device) -> "Graph":
        """The same graph on another device."""
        fields = self._asdict().items()
        tensors: dict[str, Any] = {name: x.to(device) for name, x in fields if isinstance(x, torch.Tensor)}
        return self._replace(**tensors)


def build_graph(
    positions: np.ndarray,
    bead_type: np.ndarray,
    cutoff: float,
    dtype: torch.dtype = torch.float32,
    *,
    box: np.ndarray | None = None,
    charge: np.ndarray | None = None,
    total_charge: np.ndarray | float | None = None,
    spin: np.ndarray | float | None = None,
    bonds: np.ndarray | None = None,
) -> Graph:
    """The graph of several replicas of one system.

    Centring happens in float64, so that a float32 network sees no rounding of far-off coordinates. Nothing
    is wrapped into the box: all that is done to the positions is one translation of each system.

    Parameters
    ----------
    positions : (n_systems, n_beads, 3) [Å]
    bead_type : (n_beads,) int, counted from 1
    cutoff : [Å]
    dtype : floating-point type of Graph.positions and all else that is no index
    box : (3, 3) or (n_systems, 3, 3) [Å], rows are the box vectors; in free space if None
    charge : (n_beads,) [e], formal
    total_charge, spin : one number or (n_systems,), see `Graph`
    bonds : (n_bonds, 2) int, of one system

    Raises
    ------
    InputError
        as `neighbour_edges` and `periodic_edges`, or if the shapes do not match
    """
    positions = np.asarray(positions, dtype=np.float64)
    n_systems, n_beads = positions.shape[:2]
    if positions.shape != (n_systems, len(bead_type), 3):
        raise InputError(f"positions of shape {positions.shape} do not fit {len(bead_type)} bead types")
    if charge is not None and np.shape(charge) != (n_beads,):
        raise InputError(f"charges of shape {np.shape(charge)} do not fit {n_beads} beads: give one per bead")
    boxes = None if box is None else _for_each(box, (n_systems, 3, 3), "box")
    edges, offset = _edges_of_all(positions, cutoff, boxes)
    centred = positions - positions.mean(axis=1, keepdims=True) if n_beads else positions

    def tensor(values: np.ndarray | None) -> torch.Tensor | None:
        return None if values is None else torch.as_tensor(np.array(values)).to(dtype)

    return Graph(
        positions=torch.as_tensor(centred.reshape(-1, 3), dtype=dtype),
        bead_type=torch.from_numpy(np.tile(np.asarray(bead_type, dtype=np.int64), n_systems)),
        system_index=torch.arange(n_systems).repeat_interleave(n_beads),
        edges=torch.from_numpy(edges),
        n_systems=n_systems,
        box=tensor(boxes),
        offset=tensor(offset),
        charge=tensor(None if charge is None else np.tile(charge, n_systems)),
        total_charge=tensor(
            None if total_charge is None else _for_each(total_charge, (n_systems,), "total_charge")
        ),
        spin=tensor(None if spin is None else _for_each(spin, (n_systems,), "spin")),
        bonds=None if bonds is None else torch.from_numpy(_repeat_bonds(bonds, n_beads, n_systems)),
    )


def _repeat_bonds(bonds: np.ndarray, n_beads: int, n_systems: int) -> np.ndarray:
    """The bonds of every system, beads counted through all of them; (n_bonds, 2) -> (2, n)."""
    bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
    if bonds.size and not (0 <= bonds.min() and bonds.max() < n_beads):
        raise InputError(f"a bond names bead {bonds.max()} of {n_beads} beads: count them from 0")
    first = n_beads * np.arange(n_systems)[:, None, None]
    return np.ascontiguousarray((bonds + first).reshape(-1, 2).T)


def _for_each(values: np.ndarray | float, shape: tuple[int, ...], name: str) -> np.ndarray:
    """One value for every system."""
    try:
        return np.broadcast_to(np.asarray(values, dtype=np.float64), shape)
    except ValueError:
        raise InputError(f"{name} of shape {np.shape(values)} does not fit: give one, or an array of {shape}")


def _edges_of_all(
    positions: np.ndarray, cutoff: float, boxes: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """The edges of every system, beads counted through all of them, and offsets if there are boxes."""
    n_beads = positions.shape[1]
    if boxes is None:
        found = [neighbour_edges(frame, cutoff) + n_beads * k for k, frame in enumerate(positions)]
        return np.concatenate(found, axis=1), None
    edges, offsets = [], []
    for k, (frame, box) in enumerate(zip(positions, boxes, strict=True)):
        own, image = periodic_edges(frame, cutoff, box)
        edges.append(own + n_beads * k)
        offsets.append(image @ box)
    return np.concatenate(edges, axis=1), np.concatenate(offsets)


def join_graphs(graphs: Sequence[Graph]) -> Graph:
    """One batch of the systems of several graphs, in their order.

    Raises
    ------
    InputError
        if some have charges, spins or bonds and others not
    """
    beads_before = np.cumsum([0] + [len(graph.positions) for graph in graphs]).tolist()
    systems_before = np.cumsum([0] + [graph.n_systems for graph in graphs]).tolist()
    periodic = any(graph.box is not None for graph in graphs)
    boxed = [_with_box(graph) for graph in graphs] if periodic else graphs
    return Graph(
        positions=torch.cat([graph.positions for graph in graphs]),
        bead_type=torch.cat([graph.bead_type for graph in graphs]),
        system_index=torch.cat([g.system_index + n for g, n in zip(graphs, systems_before, strict=False)]),
        edges=torch.cat([g.edges + n for g, n in zip(graphs, beads_before, strict=False)], dim=1),
        n_systems=systems_before[-1],
        **{name: _joined(boxed, name) for name in ("box", "offset", "charge", "total_charge", "spin")},
        bonds=_joined_bonds(graphs, beads_before),
    )


def _joined_bonds(graphs: Sequence[Graph], beads_before: Sequence[int]) -> torch.Tensor | None:
    given = [
        graph.bonds + n for graph, n in zip(graphs, beads_before, strict=False) if graph.bonds is not None
    ]
    if given and len(given) < len(graphs):
        raise InputError("only some of the graphs to be joined have `bonds`: give them to all or none")
    return torch.cat(given, dim=1) if given else None


def _with_box(graph: Graph) -> Graph:
    """A box of zeros where there is none, to lie in one batch with others."""
    if graph.box is not None:
        return graph
    zeros = graph.positions.new_zeros
    return graph._replace(box=zeros(graph.n_systems, 3, 3), offset=zeros(graph.edges.shape[1], 3))


def _joined(graphs: Sequence[Graph], name: str) -> torch.Tensor | None:
    values = [getattr(graph, name) for graph in graphs]
    given = [value for value in values if value is not None]
    if given and len(given) < len(values):
        raise InputError(f"only some of the graphs to be joined have `{name}`: give it to all or none")
    return torch.cat(given) if given else None
