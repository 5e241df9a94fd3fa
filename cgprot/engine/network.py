"""The arrays that the compiled stages read and write, laid out for a processor."""

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from cgprot.engine.edges import Edges
from cgprot.engine.grid import nodes
from cgprot.model.lanes import LANES

CACHE_LINE = 64  # bytes


class Network(NamedTuple):
    """All weights in one floating-point type, channels padded with zeros from C to P.

    A linear map is stored twice, as x @ map and as upstream @ map_back. Shapes: T bead types, L layers,
    K table intervals, H the padded width of the energy head.
    """

    species: np.ndarray  # (T, 2, P), a and b with Z_ij = a_i + b_j
    own: np.ndarray  # (T, P), what a bead adds to its own I
    embedding_table: np.ndarray  # (K, 12 P)
    embedding_map: np.ndarray  # (3, P, P)
    embedding_map_back: np.ndarray
    gate_scale: np.ndarray  # (P,) of the layer norm
    gate_shift: np.ndarray
    gate_1: np.ndarray  # (P, 2 P)
    gate_1_back: np.ndarray
    gate_1_bias: np.ndarray  # (2 P,)
    gate_2: np.ndarray  # (2 P, 3 P)
    gate_2_back: np.ndarray
    gate_2_bias: np.ndarray  # (3 P,)
    message_table: np.ndarray  # (L, K, 12 P)
    own_message: np.ndarray  # (L, 3 P), f(0)
    map_in: np.ndarray  # (L, 3, P, P)
    map_in_back: np.ndarray
    map_out: np.ndarray  # (L, 3, P, P)
    map_out_back: np.ndarray
    read_scale: np.ndarray  # (3 P,) of the layer norm
    read_shift: np.ndarray
    read: np.ndarray  # (3 P, P)
    read_back: np.ndarray
    read_bias: np.ndarray  # (P,)
    head_1: np.ndarray  # (P, H)
    head_1_back: np.ndarray
    head_1_bias: np.ndarray  # (H,)
    head_2: np.ndarray  # (H,), energy scale included
    head_2_bias: np.ndarray  # (1,), energy scale included


class Workspace(NamedTuple):
    """What the stages hand on from bead to bead; one structure of N beads."""

    energy: np.ndarray  # (N,) float64 [kcal/mol]
    forces: np.ndarray  # (N, 3) float64 [kcal/mol/Å]
    factor: np.ndarray  # (N,), of the matrix products, 1 or by the bead's charge
    sums: np.ndarray  # (N, 9 P), the embedding before its linear map
    mapped: np.ndarray  # (N, 9 P), and after
    standard: np.ndarray  # (N, P), layer norm of ‖sums‖²
    inverse: np.ndarray  # (N,), 1 / its standard deviation
    gate_1_slope: np.ndarray  # (N, 2 P)
    gate: np.ndarray  # (N, 3 P)
    gate_slope: np.ndarray  # (N, 3 P)
    X: np.ndarray  # (L - 1, N, 9 P), X after each layer but the last
    Y: np.ndarray  # (L, N, 9 P)
    M: np.ndarray  # (L - 1, N, 9 P)
    dX: np.ndarray  # (L - 1, N, 9 P)
    to_X: np.ndarray  # (N, 9 P), dE/dX̂ of the layer at hand
    to_Y: np.ndarray  # (N, 9 P), dE/dY
    to_M: np.ndarray  # (2, N, 9 P), dE/dM, of even and of odd layers: one is read while the other is filled


class Scratch(NamedTuple):
    """What a thread needs while it works on one block of beads."""

    X: np.ndarray  # (BLOCK, 9 P)
    M: np.ndarray
    D: np.ndarray
    dX: np.ndarray
    G: np.ndarray
    T: np.ndarray
    wide: np.ndarray  # (BLOCK, 3 P)
    middle: np.ndarray  # (BLOCK, 2 P)
    narrow: np.ndarray  # (BLOCK, P)
    standard: np.ndarray  # (BLOCK, 3 P)
    inverse: np.ndarray  # (BLOCK,)
    read_slope: np.ndarray  # (BLOCK, P)
    hidden: np.ndarray  # (BLOCK, H)
    hidden_slope: np.ndarray  # (BLOCK, H)
    ones: np.ndarray  # (3 P,)


def padded(channels: int) -> int:
    """The next multiple of 16, a vector of float32."""
    return -(-channels // LANES) * LANES


def lay_out(weights: Mapping[str, np.ndarray], cutoff: float, dtype: type) -> Network:
    """The weights of a compressed potential for the compiled stages.

    Parameters
    ----------
    weights : as `CompressedPotential.weights`
    cutoff : where the tables end [Å]
    """
    C = weights["own"].shape[1]
    P, H = padded(C), padded(C // 2)
    one, two, three, head = ((1, P),), ((1, 2 * P),), ((3, P),), ((1, H),)  # parts, width of each
    last_axes = {
        **dict.fromkeys(["species", "own", "gate_scale", "gate_shift", "read_bias"], one),
        **dict.fromkeys(["embedding_map", "map_in", "map_out"], one + one),
        **dict.fromkeys(["gate_2_bias", "own_message", "read_scale", "read_shift"], three),
        "gate_1": one + two,
        "gate_1_bias": two,
        "gate_2": two + three,
        "read": three + one,
        "head_1": one + head,
        "head_1_bias": head,
        "head_2": head,
        "head_2_bias": (),
    }
    arrays = {name: _pad(weights[name], axes) for name, axes in last_axes.items()}
    for name, axes in last_axes.items():
        if len(axes) == 2:
            arrays[f"{name}_back"] = np.swapaxes(arrays[name], -1, -2)
    for name in ("embedding_table", "message_table"):
        cubic = _pad(cubics(weights[name], cutoff), one)  # (..., K, 4, 3, P)
        arrays[name] = cubic.reshape(*cubic.shape[:-3], 12 * P)
    return Network(**{name: aligned(array.astype(dtype)) for name, array in arrays.items()})


def cubics(at_nodes: np.ndarray, cutoff: float) -> np.ndarray:
    """Coefficients in t of the cubic of each interval; (..., K + 1, 2, 3, C) -> (..., K, 4, 3, C)."""
    _, width = nodes(cutoff, at_nodes.shape[-4] - 1)
    value, slope = at_nodes[..., 0, :, :], at_nodes[..., 1, :, :] * width[:, None, None]
    v0, v1 = value[..., :-1, :, :], value[..., 1:, :, :]
    s0, s1 = slope[..., :-1, :, :], slope[..., 1:, :, :]
    return np.stack([v0, s0, 3 * (v1 - v0) - 2 * s0 - s1, 2 * (v0 - v1) + s0 + s1], axis=-3)


def _pad(array: np.ndarray, axes: tuple[tuple[int, int], ...]) -> np.ndarray:
    """Zeros behind each of the `parts` of the last axes, up to `width`."""
    for axis, (parts, width) in enumerate(axes, start=array.ndim - len(axes)):
        before, n, after = array.shape[:axis], array.shape[axis] // parts, array.shape[axis + 1 :]
        split = array.reshape(*before, parts, n, *after)
        widths = [(0, 0)] * split.ndim
        widths[axis + 1] = (0, width - n)
        array = np.pad(split, widths).reshape(*before, parts * width, *after)
    return array


def aligned(array: np.ndarray) -> np.ndarray:
    """The same array, contiguous, beginning at a cache line."""
    copy = zeros(array.shape, array.dtype)
    copy[...] = array
    return copy


def zeros(shape: tuple[int, ...], dtype: np.typing.DTypeLike) -> np.ndarray:
    """Zeros that begin at a cache line."""
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    buffer = np.zeros(n_bytes + CACHE_LINE, dtype=np.uint8)
    offset = -buffer.ctypes.data % CACHE_LINE
    return buffer[offset : offset + n_bytes].view(dtype).reshape(shape)


def new_edges(n_beads: int, capacity: int, dtype: type) -> Edges:
    """Room for the edges of one structure."""
    integers = [np.zeros(n, np.int64) for n in (n_beads + 1, n_beads, capacity, capacity, capacity)]
    shapes = [(capacity,), (capacity,), (capacity, 3), (capacity,), (capacity, 3)]
    return Edges(*integers, *[np.zeros(shape, dtype) for shape in shapes])


def new_workspace(factor: np.ndarray, n_layers: int, channels: int, dtype: type) -> Workspace:
    """Room for one structure; `factor` (N,) as in `Workspace`."""
    N, L, P = len(factor), n_layers, padded(channels)
    inner = max(L - 1, 0)
    shapes = {
        **dict.fromkeys(["sums", "mapped", "to_X", "to_Y"], (N, 9 * P)),
        **dict.fromkeys(["X", "M", "dX"], (inner, N, 9 * P)),
        "Y": (L, N, 9 * P),
        "to_M": (min(L, 2), N, 9 * P),
        "standard": (N, P),
        "inverse": (N,),
        "gate_1_slope": (N, 2 * P),
        **dict.fromkeys(["gate", "gate_slope"], (N, 3 * P)),
    }
    arrays = {name: zeros(shape, dtype) for name, shape in shapes.items()}
    return Workspace(energy=np.zeros(N), forces=np.zeros((N, 3)), factor=factor.astype(dtype), **arrays)


def new_scratch(channels: int, block: int, dtype: type) -> Scratch:
    """Room for one thread."""
    P, H = padded(channels), padded(channels // 2)
    widths = {
        **dict.fromkeys(["X", "M", "D", "dX", "G", "T"], 9 * P),
        "wide": 3 * P,
        "middle": 2 * P,
        "narrow": P,
        "standard": 3 * P,
        "read_slope": P,
        "hidden": H,
        "hidden_slope": H,
    }
    arrays = {name: zeros((block, width), dtype) for name, width in widths.items()}
    ones: np.ndarray = np.ones(3 * P, dtype)
    return Scratch(inverse=zeros((block,), dtype), ones=aligned(ones), **arrays)
