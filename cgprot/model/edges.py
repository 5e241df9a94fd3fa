"""Who is within reach of whom, in free space and in a periodic box."""

import numpy as np
import torch
from scipy.spatial import cKDTree

from cgprot.errors import InputError

COINCIDENT = 1e-6  # Å, below this two beads have no direction between them
_MARGIN = 1e-6  # Å, the search goes this much too far; what is an edge is decided on exact differences
_THIN = 0.1  # Å, a box thinner than this holds no bead


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
    positions = _finite(positions)
    pairs = cKDTree(positions).query_pairs(cutoff + _MARGIN, output_type="ndarray").astype(np.int64)
    distance = np.linalg.norm(positions[pairs[:, 0]] - positions[pairs[:, 1]], axis=1)
    _refuse_coincident(pairs, distance)
    pairs = pairs[distance < cutoff]
    edges = np.concatenate([pairs, pairs[:, ::-1]])
    return edges[np.lexsort(edges.T[::-1])].T


def periodic_edges(positions: np.ndarray, cutoff: float, box: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every bead and image of a bead closer than `cutoff`, in a triclinic box of any size.

    Several images of a bead can be neighbours, and so can a bead's own images. Positions may lie outside
    the box.

    Parameters
    ----------
    positions : (n_beads, 3) [Å]
    cutoff : [Å]
    box : (3, 3) [Å], rows are the box vectors

    Returns
    -------
    edges : (2, n_edges) int64, receiving and sending bead, sorted by the receiving bead, then by the sending
        one, then by its image
    image : (n_edges, 3) int64; the neighbour is at the sender's position + image · box

    Raises
    ------
    InputError
        if a position is not finite, two beads coincide, or the box is flat
    """
    positions, box = _finite(positions), np.asarray(box, dtype=np.float64)
    height = _box_heights(box)
    fractional = positions @ np.linalg.inv(box)
    cell = np.floor(fractional).astype(np.int64)  # (n_beads, 3) which box a bead is in
    home = positions - cell @ box
    sender, image = _images_in_reach(fractional - cell, (cutoff + _MARGIN) / height)
    tree, images = cKDTree(home), cKDTree(home[sender] + image @ box)
    found = tree.sparse_distance_matrix(images, cutoff + _MARGIN, output_type="ndarray")
    i, j, image = found["i"], sender[found["j"]], image[found["j"]]
    image = image - cell[j] + cell[i]
    itself = (i == j) & ~image.any(axis=1)
    i, j, image = i[~itself], j[~itself], image[~itself]
    edges = np.stack([i, j]).astype(np.int64)
    distance = np.linalg.norm(positions[i] - positions[j] - image @ box, axis=1)
    _refuse_coincident(edges.T, distance)
    edges, image = edges[:, distance < cutoff], image[distance < cutoff]
    order = np.lexsort((*image.T[::-1], *edges[::-1]))
    return edges[:, order], image[order]


def _finite(positions: np.ndarray) -> np.ndarray:
    positions = np.asarray(positions, dtype=np.float64)
    if not np.isfinite(positions).all():
        bead = int(np.argwhere(~np.isfinite(positions))[0, 0])
        raise InputError(f"bead {bead} has a position that is not finite: repair or leave out this frame")
    return positions


def _refuse_coincident(pairs: np.ndarray, distance: np.ndarray) -> None:
    if len(distance) and distance.min() < COINCIDENT:
        first, second = pairs[distance.argmin()]
        raise InputError(f"beads {first} and {second} coincide ({distance.min():.1e} Å apart): move one")


def _box_heights(box: np.ndarray) -> np.ndarray:
    """The distance between opposite faces of the box; (3,) [Å]."""
    if box.shape != (3, 3) or not np.isfinite(box).all():
        raise InputError(
            f"box of shape {box.shape} is no 3 x 3 matrix of finite numbers: give three box vectors"
        )
    area = np.linalg.norm(np.cross(box[[1, 2, 0]], box[[2, 0, 1]]), axis=1)
    height = abs(np.linalg.det(box)) / np.maximum(area, np.finfo(float).tiny)
    if height.min() < _THIN:
        raise InputError(
            f"the box is only {height.min():.1e} Å thick: give three box vectors [Å], not in a plane"
        )
    return height


def _images_in_reach(fractional: np.ndarray, reach: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The beads and images, by number and box, that come within `reach` of the unit box."""
    ranges = [np.arange(-n, n + 1) for n in np.floor(reach).astype(int) + 1]
    shifts = np.stack(np.meshgrid(*ranges, indexing="ij"), axis=-1).reshape(-1, 3)
    shifted = fractional[:, None] + shifts  # (n_beads, n_shifts, 3)
    bead, shift = np.nonzero(((shifted >= -reach) & (shifted <= 1 + reach)).all(axis=-1))
    return bead, shifts[shift]


def undirected_pairs(
    edges: torch.Tensor, offset: torch.Tensor | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Each pair of neighbours once, and the pair of every edge.

    Parameters
    ----------
    edges, offset : (2, n_edges) int64 and (n_edges, 3) [Å], sorted, both directions, as in `Graph`

    Returns
    -------
    forward : (n_edges,) bool, one edge of each pair: that whose receiving bead has the smaller number, or
        of a bead and its own image, that with the earlier image
    pair_of_edge : (n_edges,) int64, counted as the forward edges are

    Raises
    ------
    InputError
        if an edge lacks its reverse
    """
    receiver, sender = edges
    n_beads = int(edges.max()) + 1 if edges.numel() else 0
    if offset is None:
        reverse = torch.argsort(sender * n_beads + receiver)
    else:
        reverse = _reverse_of_images(receiver * n_beads + sender, sender * n_beads + receiver)
        if not torch.equal(offset[reverse], -offset):
            raise InputError("the offsets lack a reverse or are not sorted: take them from periodic_edges")
    if not torch.equal(edges[:, reverse], edges.flip(0)):
        raise InputError("the edges lack a reverse or are not sorted: take them from neighbour_edges")
    number = torch.arange(len(receiver), device=edges.device)
    forward = number < reverse
    pair = torch.cumsum(forward, 0) - 1
    return forward, torch.where(forward, pair, pair[reverse])


def _reverse_of_images(key: torch.Tensor, reverse_key: torch.Tensor) -> torch.Tensor:
    """The edges j -> i, last image first, are the reverse of the edges i -> j, first image first."""
    number = torch.arange(len(key), device=key.device)
    place = number - torch.searchsorted(key, key)  # among the images of one pair
    last = torch.searchsorted(key, reverse_key, right=True) - 1
    return (last - place).clamp(0, max(0, len(key) - 1))
