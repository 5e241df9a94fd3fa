"""The compressed potential on a GPU: energies and forces of many replicas of one system, by way of CuPy.

The kernels lie beside this file as CUDA C. Every sum runs in a fixed order: a replica's result is the same to
the last bit alone or among others. Nothing is allocated in a step and the host waits for nothing, so a step
can be captured in a CUDA graph and replayed.
"""

from pathlib import Path
from typing import Any

import numpy as np

from cgprot.engine.cells import cells_of
from cgprot.engine.device import compiled, import_cupy, memory_for
from cgprot.engine.grid import SOFT
from cgprot.engine.inputs import check_shape, coincident, not_finite, product_factors, type_numbers
from cgprot.engine.launches import MOST_THREADS, Launch, Launches
from cgprot.engine.network import Network, lay_out
from cgprot.engine.tables import CompressedPotential
from cgprot.errors import InputError
from cgprot.model.potential import ModelConfig

SOURCES = [
    Path(__file__).with_name(f"{name}.cu")
    for name in ("algebra", "neighbours", "products", "forward", "backward", "edges")
]
ROOM = 64  # edges of a bead at first: 5 Å around a heavy atom hold 20 to 35 others
_NEEDED, _COINCIDENT, _NOT_FINITE = range(3)  # as in neighbours.cu
_NONE = np.iinfo(np.uint64).max
_NO_PROBLEM = np.array([0, _NONE, _NONE], dtype=np.uint64)
_EDGE_NUMBERS = ("found_sender", "sender", "interval")
_EDGE_VECTORS = ("direction", "gradient")
_EDGE_REALS = ("fraction", "inverse_distance", *_EDGE_VECTORS)
_C_TYPES = {np.dtype(np.float32): "float", np.dtype(np.float64): "double"}


def source() -> str:
    """All kernels."""
    return "\n".join(path.read_text() for path in SOURCES)


def compile_options(dtype: type) -> tuple[str, ...]:
    """What the kernels are told when they are compiled."""
    return (f"-DREAL={_C_TYPES[np.dtype(dtype)]}", f"-DSOFT={SOFT}")


class CudaEngine:
    """Energies and forces of replicas of one system.

    Neighbours are found anew at every step. If a bead has more of them than there is room for, the step is
    not silently wrong: `settle` makes room and says so.

    Parameters
    ----------
    compressed, bead_type, n_replicas, dtype, box, charge : as for `cgprot.engine.cpu.CpuEngine`
    room : edges that a bead has room for at first

    Raises
    ------
    UsageError
        if there is no GPU, or no CuPy
    InputError
        as `CpuEngine`, or if the network is too wide for the kernels
    """

    def __init__(
        self,
        compressed: CompressedPotential,
        bead_type: np.ndarray,
        n_replicas: int,
        dtype: type = np.float32,
        box: np.ndarray | None = None,
        charge: np.ndarray | None = None,
        room: int = ROOM,
    ) -> None:
        self.config, self.n_replicas, self.n_beads = compressed.config, n_replicas, len(bead_type)
        if self.config.channels > MOST_THREADS:
            raise InputError(
                f"{self.config.channels} channels: the kernels take {MOST_THREADS} at most, use the cpu"
            )
        type_number = type_numbers(self.config, bead_type)
        factor = product_factors(self.config, self.n_beads, charge)
        self.cells = cells_of(self.n_beads, self.config.cutoff, box)
        self.cupy = import_cupy()
        self._function = compiled(self.cupy, source(), compile_options(dtype)).get_function
        self._dtype = dtype
        net = lay_out(compressed.weights, self.config.cutoff, dtype)
        with memory_for(self.cupy, f"{n_replicas} replicas of {self.n_beads} beads"):
            self._net = Network(*map(self.cupy.asarray, net))
            self._arrays = {
                **self._new(feature_shapes(self.config, net, n_replicas * self.n_beads), dtype),
                **self._bead_arrays(type_number.astype(np.int32), factor.astype(dtype)),
            }
            self._make_room(room)

    def __call__(self, positions: Any) -> tuple[Any, Any]:
        """(n_replicas, n_beads, 3) [Å] -> energies (n_replicas,) [kcal/mol], forces [kcal/mol/Å], float64.

        Positions of numpy give new arrays of numpy. Those of cupy give arrays of cupy that the next call
        writes over.

        Raises
        ------
        InputError
            if the shape does not fit, a position is not finite, or two beads coincide
        """
        result = self.launch(positions)
        while not self.settle():
            result = self.launch(positions)
        if isinstance(positions, self.cupy.ndarray):
            return result
        return self.cupy.asnumpy(result[0]), self.cupy.asnumpy(result[1])

    def launch(self, positions: Any) -> tuple[Any, Any]:
        """As a call, but without waiting for it or looking at it: `settle` tells whether it went well.

        Positions that lie in `array("positions")` already are not copied.

        Returns
        -------
        arrays of the device, the same ones every time
        """
        check_shape(positions.shape, self.n_replicas, self.n_beads)
        target = self._arrays["positions"]
        if positions is not target:
            on_device = isinstance(positions, self.cupy.ndarray)
            target[...] = positions if on_device else self.cupy.asarray(positions)
        for function, launch in self._steps:
            function(launch.blocks, launch.threads, launch.arguments)
        return self._arrays["energy"], self._arrays["forces"]

    def settle(self) -> bool:
        """Wait, and see whether all launches since the last look went well.

        Returns
        -------
        whether they did; if not, there is more room now, and they are to be done again (a captured graph to
        be captured again)

        Raises
        ------
        InputError
            if a position was not finite, two beads coincided, or there is no memory for more room, which is
            then as it was
        """
        problem = self.cupy.asnumpy(self._arrays["problem"])
        if (problem == _NO_PROBLEM).all():
            return True
        self._arrays["problem"][...] = self.cupy.asarray(_NO_PROBLEM)
        if problem[_NOT_FINITE] != _NONE:
            raise not_finite(*divmod(int(problem[_NOT_FINITE]), self.n_beads))
        if problem[_COINCIDENT] != _NONE:
            first, second = divmod(int(problem[_COINCIDENT]), 2**32)
            raise coincident(first // self.n_beads, first % self.n_beads, second % self.n_beads)
        self._grow(int(problem[_NEEDED]))
        return False

    def _grow(self, room: int) -> None:
        before = self._room
        try:
            with memory_for(self.cupy, f"a bead with {room} neighbours"):
                self._make_room(room)
        except InputError:
            self._make_room(before)
            raise

    @property
    def room(self) -> int:
        """Edges that a bead has room for."""
        return self._room

    def array(self, name: str) -> Any:
        """What the stages handed on at the last call, an array of the device; see `launches`."""
        return self._arrays[name]

    @property
    def launches(self) -> list[Launch]:
        """Of a step, in their order."""
        return [launch for _, launch in self._steps]

    def _bead_arrays(self, type_number: np.ndarray, factor: np.ndarray) -> dict[str, Any]:
        R, N, cells = self.n_replicas, self.n_beads, self.cells
        given = {"type": type_number, "factor": factor, "problem": _NO_PROBLEM, **cells._asdict()}
        n_heads = R * int(np.prod(cells.n_cells))
        return {
            **{name: self.cupy.asarray(np.ascontiguousarray(array)) for name, array in given.items()},
            **self._new({"positions": (R, N, 3), "forces": (R, N, 3), "energy": (R,)}, np.float64),
            **self._new({"bead_energy": (R * N,), "image": (R * N, 3)}, np.float64),
            **self._new(
                {"cell": (R * N, 3), "next": (R * N,), "count": (R * N,), "head": (n_heads,)}, np.int32
            ),
        }

    def _make_room(self, room: int) -> None:
        """For so many edges of a bead, in multiples of 16."""
        self._room = room = -(-room // 16) * 16
        n = self.n_replicas * self.n_beads * room
        # The launches hold the old arrays, which need not fit beside the new.
        self._steps: list[tuple[Any, Launch]] = []
        for name in (*_EDGE_NUMBERS, *_EDGE_REALS, "found_vector"):
            self._arrays.pop(name, None)
        self._arrays |= {
            **self._new(dict.fromkeys(_EDGE_NUMBERS, (n,)), np.int32),
            **self._new(
                {name: (n, 3) if name in _EDGE_VECTORS else (n,) for name in _EDGE_REALS}, self._dtype
            ),
            **self._new({"found_vector": (n, 3)}, np.float64),
        }
        launches = Launches(self.config, self._net, self._arrays, self.cells, self.n_replicas, room)
        self._steps = [(self._loaded(launch), launch) for launch in launches.all]

    def _loaded(self, launch: Launch) -> Any:
        function, n_threads = self._function(launch.kernel), int(np.prod(launch.threads))
        if n_threads > function.max_threads_per_block:  # for want of registers
            raise InputError(
                f"{self.config.channels} channels: {launch.kernel} takes {function.max_threads_per_block} at "
                f"most on this GPU, use the cpu"
            )
        return function

    def _new(self, shapes: dict[str, tuple[int, ...]], dtype: type) -> dict[str, Any]:
        return {name: self.cupy.empty(shape, dtype) for name, shape in shapes.items()}


def feature_shapes(config: ModelConfig, net: Network, n_total: int) -> dict[str, tuple[int, ...]]:
    """What the stages hand on, for so many beads of all replicas."""
    P, H, L = net.own.shape[1], len(net.head_2), config.layers
    wide = (n_total, 9 * P)
    return {
        **dict.fromkeys(["sums", "mapped", "rows", "other_rows", "to_X"], wide),
        **dict.fromkeys(["Y", "M", "dX"], (L, *wide)),
        "X": (max(L - 1, 0), *wide),
        **dict.fromkeys(["gate", "gate_slope", "read_standard", "wide"], (n_total, 3 * P)),
        **dict.fromkeys(["middle", "gate_1_slope"], (n_total, 2 * P)),
        **dict.fromkeys(["narrow", "standard", "read_slope"], (n_total, P)),
        **dict.fromkeys(["hidden", "hidden_slope"], (n_total, H)),
        **dict.fromkeys(["inverse_std", "read_inverse"], (n_total,)),
    }
