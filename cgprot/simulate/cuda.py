"""The fused step on a GPU: step.cu by way of CuPy."""

from pathlib import Path
from typing import Any

import numpy as np

from cgprot.engine.device import compiled, import_cupy
from cgprot.errors import InputError
from cgprot.simulate.crossing import shared
from cgprot.simulate.schemes import Coefficients
from cgprot.units import ENERGY_TO_MASS_VELOCITY_SQUARED

SOURCE = Path(__file__).with_name("step.cu")
_FORCE_TYPES = {"float32": "float", "float64": "double"}
_THREADS = 128


def compile_options(force: str) -> tuple[str, ...]:
    """What step.cu is told when it is compiled; `force` is the C type of the forces."""
    return (f"-DENERGY_TO_MASS_VELOCITY_SQUARED={ENERGY_TO_MASS_VELOCITY_SQUARED!r}", f"-DFORCE={force}")


class CudaStep:
    """One kernel launch a step, on arrays of cupy or torch that stay where they are.

    Everything that the kernel reads lies at an address of its own for good, the number of steps done
    included, which the kernel advances itself: so a launch can be captured in a CUDA graph and
    replayed, and `load` and `set_step` reach the replays too.

    Parameters
    ----------
    mass : (n_beads,) [Da]
    seed, replicas : (n_replicas,) uint64

    Raises
    ------
    UsageError
        if there is no GPU, or no CuPy
    """

    def __init__(self, mass: np.ndarray, seed: np.ndarray, replicas: np.ndarray) -> None:
        self._cupy = cupy = import_cupy()
        self._shape = (np.uint64(len(replicas)), np.uint64(len(mass)))
        self._blocks = -(-len(replicas) * len(mass) // _THREADS)
        self._mass, self._seed, self._replicas = (cupy.asarray(array) for array in (mass, seed, replicas))
        self._coefficients = cupy.zeros((3, len(replicas)))
        self._step = cupy.zeros(1, dtype=np.uint64)
        self._blocks_done = cupy.zeros(1, dtype=np.uint32)
        self._kernels: dict[str, Any] = {}

    def load(self, scheme: Coefficients) -> None:
        """Take over the numbers of a scheme, (n_replicas,) each."""
        self._coefficients[...] = self._cupy.asarray(np.stack(scheme))

    def set_step(self, step: int) -> None:
        """The number of steps done, with which `advance` goes on."""
        self._step.fill(step)

    def __call__(self, positions: Any, velocities: Any, forces: Any, step: int) -> tuple[Any, Any]:
        """New arrays, of numpy for numpy's, else of cupy; the arguments, torch's too, stay as they are."""
        self.set_step(step)
        on_host = isinstance(positions, np.ndarray)
        if on_host:
            given = (np.ascontiguousarray(array) for array in (positions, velocities, forces))
            positions, velocities, forces = map(self._cupy.asarray, given)
        positions, velocities = (self._crossed(array) for array in (positions, velocities))
        new = self._cupy.empty_like(positions), self._cupy.empty_like(velocities)
        self._launch(positions, velocities, forces, *new)
        return tuple(map(self._cupy.asnumpy, new)) if on_host else new

    def advance(self, positions: Any, velocities: Any, forces: Any) -> None:
        """In place, and without a word from the host: what a graph captures."""
        positions, velocities = (self._crossed(array) for array in (positions, velocities))
        self._launch(positions, velocities, forces, positions, velocities)

    def _launch(
        self, positions: Any, velocities: Any, forces: Any, new_positions: Any, new_velocities: Any
    ) -> None:
        forces = self._shared(forces)
        kernel = self.kernel(str(forces.dtype))
        arrays = (positions, velocities, forces, new_positions, new_velocities, self._mass)
        address = (self._seed, self._replicas, self._step, self._blocks_done)
        kernel((self._blocks,), (_THREADS,), (*self._shape, *arrays, *self._coefficients, *address))

    def _crossed(self, array: Any) -> Any:
        array = self._shared(array)
        if array.dtype != np.float64:
            raise InputError(f"positions and velocities are {array.dtype}: the state is kept in float64")
        return array

    def _shared(self, array: Any) -> Any:
        own = isinstance(array, self._cupy.ndarray)
        return shared(array, (lambda same: same) if own else self._cupy.from_dlpack)

    def kernel(self, dtype: str) -> Any:
        """The kernel for forces of a type, compiled at the first call."""
        if dtype not in self._kernels:
            if dtype not in _FORCE_TYPES:
                raise InputError(f"forces are {dtype}: give {' or '.join(_FORCE_TYPES)}")
            options = compile_options(_FORCE_TYPES[dtype])
            module = compiled(self._cupy, SOURCE.read_text(), options)
            self._kernels[dtype] = module.get_function("advance")
        return self._kernels[dtype]
