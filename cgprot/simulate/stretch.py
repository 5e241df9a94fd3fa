"""Steps between two looks on a GPU: the host gives the first state and gets the last."""

from collections.abc import Iterator

import numpy as np

from cgprot.engine.cuda import CudaEngine
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.state import Moment, SimulationState


class Stretch:
    """Forces and integration, step after step, by replays of one CUDA graph.

    Nothing crosses to the host and nothing waits for it in a stretch. Neighbours are found at every step;
    where a bead has more of them than there is room for, the whole stretch is done again with more room,
    which leaves no trace: noise is keyed by the number of the step.

    Parameters
    ----------
    engine : of all replicas
    integrator : of the same replicas, its backend "cuda"
    """

    def __init__(self, engine: CudaEngine, integrator: Integrator) -> None:
        self._engine, self._integrator, self._step = engine, integrator, integrator.backend
        self._cupy = cupy = engine.cupy
        self._positions, self._forces = engine.array("positions"), engine.array("forces")
        self._velocities = cupy.empty(self._positions.shape, np.float64)
        self._stream = cupy.cuda.Stream(non_blocking=True)
        self._graph, self._room = None, 0

    def __call__(self, moment: Moment, n_steps: int) -> Moment:
        """The moment so many steps later; replicas that rest in it are to rest in the integrator too.

        Raises
        ------
        InputError
            if on the way a position was not finite, or two beads coincided
        """
        state = moment.state
        self._cupy.cuda.Device().synchronize()  # this stream waits for no other
        try:
            with self._stream:
                positions, velocities, energy, forces = self._gone(moment, n_steps)
        finally:
            self._stream.synchronize()
        resting = ~state.running
        energy[resting], forces[resting] = 0.0, 0.0
        temperature = self._integrator.temperature
        later = SimulationState(positions, velocities, temperature, state.step + n_steps, state.stopped)
        return Moment(later, energy, forces)

    def _gone(self, moment: Moment, n_steps: int) -> Iterator[np.ndarray]:
        self._go(moment, n_steps)
        while not self._engine.settle():
            self._go(moment, n_steps)
        arrays = (self._positions, self._velocities, self._engine.array("energy"), self._forces)
        return map(self._cupy.asnumpy, arrays)

    def _go(self, moment: Moment, n_steps: int) -> None:
        state = moment.state
        given = (state.positions, state.velocities, moment.forces)
        for there, here in zip((self._positions, self._velocities, self._forces), given, strict=True):
            there[...] = self._cupy.asarray(np.ascontiguousarray(here))
        self._step.set_step(state.step)
        for _ in range(n_steps):
            self._one_step()

    def _one_step(self) -> None:
        if self._graph is not None and self._room == self._engine.room:
            self._graph.launch(self._stream)
            return
        self._launch()  # modules are loaded at their first launch, which a capture does not allow
        self._stream.begin_capture()
        self._launch()
        self._graph, self._room = self._stream.end_capture(), self._engine.room

    def _launch(self) -> None:
        self._step.advance(self._positions, self._velocities, self._forces)
        self._engine.launch(self._positions)
