"""Steps of many replicas at once, each with its own temperature, friction and seed."""

from typing import Any, Literal, get_args

import numpy as np

from cgprot.errors import InputError, UsageError
from cgprot.simulate.langevin import maxwell_boltzmann, middle_step
from cgprot.simulate.noise import normal_noise
from cgprot.simulate.schemes import REST, Coefficients, Scheme, coefficients

Backend = Literal["numpy", "numba", "cuda"]
_LONGEST_STRIDE_PS = 0.02  # as the longest time step of a configuration


class Integrator:
    """A scheme for given beads and replicas.

    Holds no state but the temperature: a step is a function of its arguments, so a restart needs the
    step's number alone, and a replica takes the same steps, to the last bit, in any company.

    Parameters
    ----------
    scheme : "langevin", "verlet" or "brownian"; see `cgprot.simulate.schemes.coefficients`
    mass : (n_beads,) [Da]
    timestep_ps : [ps]
    friction_per_ps, temperature, seed : [1/ps], [K], below 2**64; each a number, or one a replica
    replicas : (n_replicas,) the numbers of the replicas, which address their noise
    backend : "numba", compiled, in one pass; "cuda", the same on a GPU, for arrays of numpy, or of cupy
        or torch that are on it; or "numpy", the law as it is written
    n_threads : replicas are dealt out to as many threads of the processor

    Raises
    ------
    UsageError
        if the scheme or the backend is unknown, or brownian steps would be longer than 20 fs of the middle
        scheme with the same step in space
    """

    def __init__(
        self,
        scheme: Scheme,
        mass: np.ndarray,
        timestep_ps: float,
        friction_per_ps: Any,
        temperature: Any,
        seed: Any,
        replicas: Any,
        backend: Backend = "numba",
        n_threads: int = 1,
    ) -> None:
        self.scheme, self.timestep_ps = scheme, timestep_ps
        self.mass = np.ascontiguousarray(mass, dtype=np.float64)
        self.replicas = np.array(replicas, dtype=np.uint64)
        self.friction_per_ps = self._each(friction_per_ps, np.float64)
        self.seed = self._each(seed, np.uint64)
        self.backend = _backend(backend, (self.mass, self.seed, self.replicas), n_threads)
        self._resting = np.zeros(len(self.replicas), dtype=bool)
        self.temperature = temperature

    @property
    def temperature(self) -> np.ndarray:
        """(n_replicas,) [K]; may be set between steps, to a number or one a replica.

        Velocities stay as they are: whoever exchanges replicas scales them.
        """
        return self._temperature

    @temperature.setter
    def temperature(self, temperature: Any) -> None:
        self._temperature = self._each(temperature, np.float64)
        scheme = coefficients(self.scheme, self.timestep_ps, self.friction_per_ps, self._temperature)
        self._refuse_long_stride(scheme.stride)
        self.backend.load(Coefficients(*map(self._unless_resting, scheme, REST)))

    def prepare(self, temperature: np.ndarray, resting: np.ndarray) -> None:
        """For the steps to come, by replica: the temperature [K], and who keeps its place and velocity."""
        if np.array_equal(temperature, self._temperature) and np.array_equal(resting, self._resting):
            return
        self._resting, self.temperature = resting, temperature

    def _unless_resting(self, number: np.ndarray, at_rest: float) -> np.ndarray:
        return np.where(self._resting, at_rest, number)

    def starting_velocities(self) -> np.ndarray:
        """(n_replicas, n_beads, 3) [Å/ps], drawn at the temperature of every replica."""
        return maxwell_boltzmann(self.seed, self.replicas, self.mass, self._temperature)

    def step(self, positions: Any, velocities: Any, forces: Any, step: int) -> tuple[Any, Any]:
        """Positions [Å] and velocities [Å/ps] after step number `step`, which addresses the noise.

        Parameters
        ----------
        positions, velocities, forces : (n_replicas, n_beads, 3) [Å], [Å/ps], [kcal/mol/Å]; the forces are
            those at `positions`
        step : the number of steps done before this one

        Returns
        -------
        new arrays of float64, of cupy where a GPU got such or torch's; the arguments stay as they are

        Raises
        ------
        InputError
            if a shape does not fit
        """
        expected = (len(self.replicas), len(self.mass), 3)
        arrays = {"positions": positions, "velocities": velocities, "forces": forces}
        for name, array in arrays.items():
            if tuple(array.shape) != expected:
                raise InputError(f"{name} of shape {tuple(array.shape)}: expected {expected}")
        return self.backend(positions, velocities, forces, step)

    def _each(self, value: Any, dtype: type) -> np.ndarray:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=dtype), self.replicas.shape))

    def _refuse_long_stride(self, stride: np.ndarray) -> None:
        if self.scheme == "brownian" and stride.max(initial=0.0) > _LONGEST_STRIDE_PS:
            needed = 2.0 * self.timestep_ps / _LONGEST_STRIDE_PS**2
            raise UsageError(
                f"scheme brownian: friction {self.friction_per_ps.min():g}/ps is too weak for a step of "
                f"{self.timestep_ps:g} ps: give at least {needed:.3g}/ps, bonds of a protein want "
                f"{10 * needed:.3g}/ps"
            )


def _backend(backend: Backend, beads: tuple[np.ndarray, np.ndarray, np.ndarray], n_threads: int) -> Any:
    # Numba takes half a second to import, CuPy is an extra.
    if backend == "numpy":
        return _LawStep(*beads)
    if backend == "numba":
        from cgprot.simulate.fused import FusedStep

        return FusedStep(*beads, n_threads)
    if backend == "cuda":
        from cgprot.simulate.cuda import CudaStep

        return CudaStep(*beads)
    raise UsageError(f"backend {backend!r} is unknown: choose one of {', '.join(get_args(Backend))}")


class _LawStep:
    """The step as it is written."""

    def __init__(self, mass: np.ndarray, seed: np.ndarray, replicas: np.ndarray) -> None:
        self._mass, self._seed, self._replicas = mass, seed, replicas

    def load(self, scheme: Coefficients) -> None:
        self._scheme = scheme

    def __call__(
        self, positions: np.ndarray, velocities: np.ndarray, forces: np.ndarray, step: int
    ) -> tuple[np.ndarray, np.ndarray]:
        noise = normal_noise(self._seed, self._replicas, step, len(self._mass))
        return middle_step(positions, velocities, forces, noise, self._mass, self._scheme)
