"""Steps of many replicas at once, each with its own temperature, friction and seed."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from cgprot.errors import InputError, UsageError
from cgprot.simulate.langevin import maxwell_boltzmann, middle_step
from cgprot.simulate.noise import normal_noise
from cgprot.simulate.schemes import Coefficients, Scheme, coefficients

Backend = Literal["numpy", "numba"]
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
    backend : "numba", compiled, in one pass; or "numpy", the law as it is written
    n_threads : replicas are dealt out to as many threads

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
        self.temperature = temperature
        self._refuse_long_strides()
        self._advance = _backend(backend, n_threads)

    @property
    def temperature(self) -> np.ndarray:
        """(n_replicas,) [K]; may be set between steps, to a number or one a replica.

        Velocities stay as they are: whoever exchanges replicas scales them.
        """
        return self._temperature

    @temperature.setter
    def temperature(self, temperature: Any) -> None:
        self._temperature = self._each(temperature, np.float64)
        self._coefficients = coefficients(
            self.scheme, self.timestep_ps, self.friction_per_ps, self._temperature
        )

    def starting_velocities(self) -> np.ndarray:
        """(n_replicas, n_beads, 3) [Å/ps], drawn at the temperature of every replica."""
        return maxwell_boltzmann(self.seed, self.replicas, self.mass, self._temperature)

    def step(
        self, positions: np.ndarray, velocities: np.ndarray, forces: np.ndarray, step: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Positions [Å] and velocities [Å/ps] after step number `step`, which addresses the noise.

        Parameters
        ----------
        positions, velocities, forces : (n_replicas, n_beads, 3) [Å], [Å/ps], [kcal/mol/Å]; the forces are
            those at `positions`
        step : the number of steps done before this one

        Returns
        -------
        new arrays of float64; the arguments stay as they are

        Raises
        ------
        InputError
            if a shape does not fit
        """
        expected = (len(self.replicas), len(self.mass), 3)
        arrays = [np.ascontiguousarray(array, dtype=np.float64) for array in (positions, velocities, forces)]
        for name, array in zip(("positions", "velocities", "forces"), arrays, strict=True):
            if array.shape != expected:
                raise InputError(f"{name} of shape {array.shape}: expected {expected}")
        return self._advance(*arrays, self.mass, self._coefficients, self.seed, self.replicas, step)

    def _each(self, value: Any, dtype: type) -> np.ndarray:
        return np.ascontiguousarray(np.broadcast_to(np.asarray(value, dtype=dtype), self.replicas.shape))

    def _refuse_long_strides(self) -> None:
        longest = self._coefficients.stride.max(initial=0.0)
        if self.scheme == "brownian" and longest > _LONGEST_STRIDE_PS:
            needed = 2.0 * self.timestep_ps / _LONGEST_STRIDE_PS**2
            raise UsageError(
                f"scheme brownian: friction {self.friction_per_ps.min():g}/ps is too weak for a step of "
                f"{self.timestep_ps:g} ps: give at least {needed:.3g}/ps or shorten the step"
            )


def _backend(backend: Backend, n_threads: int) -> Callable:
    if backend == "numpy":
        return _by_law
    if backend == "numba":
        return _Fused(n_threads)
    raise UsageError(f"backend {backend!r} is unknown: choose numba or numpy")


def _by_law(
    positions: np.ndarray,
    velocities: np.ndarray,
    forces: np.ndarray,
    mass: np.ndarray,
    scheme: Coefficients,
    seed: np.ndarray,
    replicas: np.ndarray,
    step: int,
) -> tuple[np.ndarray, np.ndarray]:
    noise = normal_noise(seed, replicas, step, len(mass))
    return middle_step(positions, velocities, forces, noise, mass, scheme)


class _Fused:
    """`_by_law` compiled, replicas dealt out to threads."""

    def __init__(self, n_threads: int) -> None:
        from cgprot.simulate.fused import advance  # Numba: half a second to import

        self._kernel = advance
        self._n_threads = n_threads
        self._pool = ThreadPoolExecutor(n_threads) if n_threads > 1 else None

    def __call__(
        self,
        positions: np.ndarray,
        velocities: np.ndarray,
        forces: np.ndarray,
        mass: np.ndarray,
        scheme: Coefficients,
        seed: np.ndarray,
        replicas: np.ndarray,
        step: int,
    ) -> tuple[np.ndarray, np.ndarray]:
        new = np.empty_like(positions), np.empty_like(velocities)
        rest = (positions, velocities, forces, *new, mass, *scheme, seed, replicas, np.uint64(step))

        def some(first: int, last: int) -> None:
            self._kernel((first, last), *rest)

        shares = self._shares(len(positions))
        others = [self._pool.submit(some, *share) for share in shares[1:]] if self._pool else []
        some(*shares[0])
        for other in others:
            other.result()
        return new

    def _shares(self, n_replicas: int) -> list[tuple[int, int]]:
        bounds = np.rint(np.linspace(0, n_replicas, self._n_threads + 1)).astype(int).tolist()
        return list(pairwise(bounds))
