"""The kernels of a step in their order, with all that each takes: made once, launched at every step.

    clear_cells ... find_edges     the edges
    embed ... open_gate            embedding
    interact ... update            one interaction each
    read_out ... energies          the energy, and the turn round
    part_ways ... go_down          the same interactions backwards
    reach_embedding ...            back through the embedding to edges, forces and sums

Between stages go products with the network's matrices. Names of arrays: `cgprot.engine.network`; rows of
features that stand for one thing before a stage and for another behind it are shared where nobody needs the
first any more.
"""

from typing import Any, NamedTuple

import numpy as np

from cgprot.engine.cells import Cells
from cgprot.engine.grid import horizon_of
from cgprot.engine.network import Network
from cgprot.model.potential import ModelConfig

WARP = 32
WARPS = 4  # of a block in which every warp has a bead or an edge of its own
MOST_THREADS = 1024
TALL_TILE, LOW_TILE, COLUMNS, TILE_THREADS = 64, 16, 64, 128  # as in products.cu
WORTH_TALL_TILES = 256  # tall tiles of all rows, from which they fill a GPU
PLAIN, ACTIVATE, SCALE = (np.int64(mode) for mode in range(3))
NOTHING = np.uint64(0)  # a null pointer


class Launch(NamedTuple):
    """One kernel, its grid and its arguments: arrays of the device, or numpy scalars of 8 bytes."""

    kernel: str
    blocks: tuple[int, ...]
    threads: tuple[int, ...]
    arguments: tuple


class Launches:
    """Collects the launches of a step.

    Parameters
    ----------
    net : arrays of the device
    arrays : of the device, by name, as `cgprot.engine.cuda.CudaEngine` makes them
    room : edges that a bead has room for
    """

    def __init__(
        self,
        config: ModelConfig,
        net: Network,
        arrays: dict[str, Any],
        cells: Cells,
        n_replicas: int,
        room: int,
    ) -> None:
        self.config, self.net, self.of, self.cells = config, net, arrays, cells
        self.n_replicas, self.n_total = n_replicas, len(arrays["count"])
        self.n_beads = self.n_total // n_replicas
        self.n_intervals, self.room = net.embedding_table.shape[0], room
        self.horizon = horizon_of(config.cutoff, self.n_intervals)
        self.P, self.H = net.own.shape[1], len(net.head_2)
        self.mirror = config.group == "O(3)"
        self.all: list[Launch] = []
        self._edges()
        self._embedding()
        for layer in range(config.layers):
            self._interaction(layer)
        self._reading()
        for layer in reversed(range(config.layers)):
            self._back_through(layer)
        self._back_through_embedding()
        self._sums()

    def _add(self, kernel: str, blocks: int, threads: tuple[int, ...], *arguments: Any) -> None:
        self.all.append(Launch(kernel, (blocks,), threads, tuple(map(_sized, arguments))))

    def _by_bead(self, kernel: str, *arguments: Any, width: int | None = None) -> None:
        """A block a bead, a thread a channel."""
        threads = -(-(width or self.P) // WARP) * WARP
        self._add(kernel, self.n_total, (threads,), *arguments)

    def _product(
        self,
        left: Any,
        matrix: Any,
        out: Any,
        mode: np.int64 = PLAIN,
        slope: Any = NOTHING,
        bias: Any = NOTHING,
    ) -> None:
        """out = left @ matrix; with three matrices, for I, A and S."""
        depth, columns = matrix.shape[-2:]
        parts = len(matrix) if matrix.ndim == 3 else 1
        rows = self.n_total * (5 if parts == 3 else 1)
        across = -(-columns // COLUMNS)
        tall = -(-rows // TALL_TILE) * across * parts >= WORTH_TALL_TILES
        height, kernel = (TALL_TILE, "multiply_64") if tall else (LOW_TILE, "multiply_16")
        steps = left.shape[-1], out.shape[-1]
        arguments = (self.n_total, depth, columns, left, steps[0], matrix, out, steps[1], mode, bias, slope)
        blocks = (-(-rows // height), across, parts)
        self.all.append(Launch(kernel, blocks, (TILE_THREADS,), tuple(map(_sized, arguments))))

    def _found(self, *names: str) -> tuple:
        """What a kernel that walks over edges wants to know of them."""
        return (self.room, *(self.of[name] for name in ("count", "sender", "interval", "fraction", *names)))

    def _edges(self) -> None:
        of, cells, by_warp = self.of, self.cells, -(-self.n_total // WARPS)
        n_heads = self.n_replicas * int(np.prod(cells.n_cells))
        self._add("clear_cells", -(-n_heads // 256), (256,), n_heads, of["head"])
        self._add(
            "enter_cells", -(-self.n_total // 128), (128,), self.n_total, self.n_beads, of["positions"],
            of["inverse"], of["n_cells"], of["head"], of["next"], of["cell"], of["image"], of["problem"],
        )  # fmt: skip
        self._add(
            "find_edges", by_warp, (WARP, WARPS), self.n_total, self.n_beads, self.room, self.config.cutoff,
            self.horizon, self.n_intervals, of["positions"], of["n_cells"], of["spread"], of["box"],
            of["head"], of["next"], of["cell"], of["image"], of["found_sender"], of["found_vector"],
            of["count"], of["sender"], of["interval"], of["fraction"], of["inverse_distance"],
            of["direction"], of["problem"],
        )  # fmt: skip

    def _embedding(self) -> None:
        of, net, C, P = self.of, self.net, self.config.channels, self.P
        self._by_bead(
            "embed", self.n_beads, C, P, *self._found("direction"), of["type"], net.embedding_table,
            net.species, net.own, net.gate_scale, net.gate_shift, of["sums"], of["standard"],
            of["inverse_std"], of["narrow"],
        )  # fmt: skip
        self._product(of["sums"], net.embedding_map, of["mapped"])
        self._product(of["narrow"], net.gate_1, of["middle"], ACTIVATE, of["gate_1_slope"], net.gate_1_bias)
        self._product(of["middle"], net.gate_2, of["gate"], ACTIVATE, of["gate_slope"], net.gate_2_bias)
        if self.config.layers:
            self._by_bead("open_gate", P, of["mapped"], of["gate"], of["rows"])

    def _below(self, layer: int) -> tuple:
        """X before a layer, as the kernels take it: rows and their gate."""
        return (self.of["mapped"], self.of["gate"]) if layer == 0 else (self.of["X"][layer - 1], NOTHING)

    def _interaction(self, layer: int) -> None:
        of, net, P = self.of, self.net, self.P
        self._product(of["rows"], net.map_in[layer], of["Y"][layer])
        self._by_bead(
            "interact", self.n_beads, P, self.mirror, *self._found(), net.message_table[layer],
            net.own_message[layer], of["factor"], of["Y"][layer], of["M"][layer], of["rows"],
        )  # fmt: skip
        self._product(of["rows"], net.map_out[layer], of["dX"][layer])
        if layer < self.config.layers - 1:
            self._by_bead(
                "update", self.n_beads, P, of["factor"], *self._below(layer), of["dX"][layer], of["X"][layer],
                of["rows"],
            )  # fmt: skip

    def _reading(self) -> None:
        of, net, C, P, last = self.of, self.net, self.config.channels, self.P, self.config.layers - 1
        dX = of["dX"][last] if self.config.layers else NOTHING
        norm = (of["read_standard"], of["read_inverse"], of["wide"])
        self._by_bead(
            "read_out", self.n_beads, C, P, of["factor"], *self._below(max(last, 0)), dX, net.read_scale,
            net.read_shift, of["other_rows"], *norm,
        )  # fmt: skip
        self._product(of["wide"], net.read, of["narrow"], ACTIVATE, of["read_slope"], net.read_bias)
        self._product(of["narrow"], net.head_1, of["hidden"], ACTIVATE, of["hidden_slope"], net.head_1_bias)
        self._by_bead(
            "energies", self.H, net.head_2, net.head_2_bias, of["hidden_slope"], of["hidden"],
            of["bead_energy"], width=self.H,
        )  # fmt: skip
        self._product(of["hidden"], net.head_1_back, of["narrow"], SCALE, of["read_slope"])
        self._product(of["narrow"], net.read_back, of["wide"])
        turned = (of["other_rows"], net.read_scale, *norm)
        if self.config.layers:
            into = (dX, of["rows"], of["to_X"])
            self._by_bead("turn_into_layer", self.n_beads, C, P, of["factor"], *turned, *into)
        else:
            self._by_bead("turn_into_gate", C, P, *turned, *self._gated(), of["wide"], of["rows"])

    def _gated(self) -> tuple:
        return self.of["mapped"], self.of["gate"], self.of["gate_slope"]

    def _back_through(self, layer: int) -> None:
        """`rows` holds dE/d of the layer's last product; M becomes dE/dM and dX dE/dY."""
        of, net, P = self.of, self.net, self.P
        M, to_Y = of["M"][layer], of["dX"][layer]
        self._product(of["rows"], net.map_out_back[layer], of["other_rows"])
        self._by_bead(
            "part_ways", self.n_beads, P, self.mirror, of["factor"], of["Y"][layer], of["other_rows"], M, to_Y
        )
        self._by_bead(
            "hear_back", P, *self._found(), net.message_table[layer], net.own_message[layer], M, to_Y
        )
        self._product(to_Y, net.map_in_back[layer], of["other_rows"])
        if layer:
            into = (of["dX"][layer - 1], of["rows"], of["to_X"])
            below = (of["factor"], of["X"][layer - 1], of["other_rows"])
            self._by_bead("go_down_to_layer", self.n_beads, P, *below, *into)
        else:
            above = (of["to_X"], of["other_rows"])
            self._by_bead("go_down_to_gate", P, *self._gated(), *above, of["wide"], of["rows"])

    def _back_through_embedding(self) -> None:
        of, net, C, P = self.of, self.net, self.config.channels, self.P
        self._product(of["wide"], net.gate_2_back, of["middle"], SCALE, of["gate_1_slope"])
        self._product(of["middle"], net.gate_1_back, of["narrow"])
        self._product(of["rows"], net.embedding_map_back, of["other_rows"])
        norm = (net.gate_scale, of["standard"], of["inverse_std"], of["narrow"])
        self._by_bead("reach_embedding", C, P, *norm, of["sums"], of["other_rows"])
        self._add(
            "differentiate_edges", self.n_total, (WARP, WARPS), self.n_total, self.n_beads, P,
            self.config.layers, self.n_intervals, self.horizon,
            *self._found("inverse_distance", "direction"), of["type"], net.message_table, of["M"], of["Y"],
            net.embedding_table, net.species, of["other_rows"], of["gradient"],
        )  # fmt: skip

    def _sums(self) -> None:
        of, by_warp = self.of, -(-self.n_total // WARPS)
        found = (*self._found("direction"), of["gradient"], of["forces"])
        self._add("sum_forces", by_warp, (WARP, WARPS), self.n_total, *found)
        threads = min(MOST_THREADS, -(-self.n_beads // WARP) * WARP)
        energies = (self.config.energy_shift, of["bead_energy"], of["energy"])
        self._add("sum_energies", self.n_replicas, (threads,), self.n_beads, *energies)


def _sized(argument: Any) -> Any:
    """Numbers as 8 bytes, as the kernels declare them."""
    if isinstance(argument, bool | int):
        return np.int64(argument)
    return np.float64(argument) if isinstance(argument, float) else argument
