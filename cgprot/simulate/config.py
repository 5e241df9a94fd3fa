"""What a simulation is asked to do."""

from typing import Annotated, Any, TypeVar

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from cgprot.files.dcd import Cell
from cgprot.simulate.box import box_vectors, complete_cell
from cgprot.simulate.minimise import LARGEST_FORCE
from cgprot.simulate.schemes import Scheme
from cgprot.units import FS_PER_PS

# Steps between frames and frames in a trajectory are 32-bit integers in a DCD, and every step must be
# a whole number in double precision.
_LARGEST_STEPS = {
    "time_ps": 2**53,
    "output_every_ps": 2**31,
    "checkpoint_every_ps": 2**53,
    "exchange_every_ps": 2**53,
    "heat_ps": 2**53,
}
_MOST_FRAMES = 2**31
_RELAXATION_TIMES = 20.0  # after which exp(-20) of a difference of temperatures is left


_PER_REPLICA = ("temperature", "friction_per_ps", "seed")

_Value = TypeVar("_Value")


def _alone(value: Any) -> Any:
    """A list of one is that one."""
    return value[0] if isinstance(value, list | tuple) and len(value) == 1 else value


def _cell(numbers: Any) -> Any:
    return complete_cell(tuple(numbers)) if isinstance(numbers, list | tuple) else numbers


_OneOrEach = Annotated[_Value | tuple[_Value, ...], BeforeValidator(_alone)]
_Temperature = Annotated[float, Field(ge=0)]
_Friction = Annotated[float, Field(ge=0)]
_Time = Annotated[float, Field(gt=0)]
_Seed = Annotated[int, Field(ge=0, lt=2**64)]


class SimulateConfig(BaseModel):
    """Dynamics of replicas that differ in their noise, and where asked in temperature, friction and seed.

    What is given as a list holds for one replica each; without `replicas` it tells their number. Noise
    is keyed by the seed and the replica's number: replicas of one seed differ, and an independent
    repetition needs another seed.

    Attributes
    ----------
    scheme : "langevin", "verlet" or "brownian"
    temperature : of the baths [K], one, or one a replica
    time_ps, timestep_fs : from the start to the end [ps]; of a step [fs]
    friction_per_ps : [1/ps], one, or one a replica
    replicas : a trajectory file each
    seed : one, or one a replica
    output_every_ps, checkpoint_every_ps : between frames, and between states to resume from [ps]
    guard_every_steps : between looks at bonds, forces, temperature, stereocentres and peptide bonds
    allow_flips : whether stereocentres and peptide bonds may flip; else a replica that does stops
    velocities, forces : whether they are written to trajectories of their own
    box : edges [Å] and angles [degrees]; free space without it
    minimise, minimise_force : whether the start is minimised first; the largest force at which it has arrived
        [kcal/mol/Å]
    heat_ps, heat_from : how long the baths warm up [ps], and from where [K], to the temperature
    anneal : points (time [ps], temperature [K]) between which the baths go linearly
    exchange_every_ps : between exchanges of baths of neighbouring temperatures [ps]; none without it
    xtc : whether copies for viewers are written when the run has reached its end
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    scheme: Scheme = "langevin"
    temperature: _OneOrEach[_Temperature] = 300.0
    time_ps: float = Field(default=100.0, gt=0)
    timestep_fs: float = Field(default=2.0, gt=0, le=20)
    friction_per_ps: _OneOrEach[_Friction] = 1.0
    replicas: int = Field(default=1, ge=1, le=100_000)
    seed: _OneOrEach[_Seed] = 1
    output_every_ps: float = Field(default=1.0, gt=0)
    checkpoint_every_ps: float = Field(default=10.0, gt=0)
    guard_every_steps: int = Field(default=10, ge=1)
    allow_flips: bool = False
    velocities: bool = False
    forces: bool = False
    box: Annotated[Cell, BeforeValidator(_cell)] | None = None
    minimise: bool = False
    minimise_force: float = Field(default=LARGEST_FORCE, gt=0)
    heat_ps: float = Field(default=0.0, ge=0)
    heat_from: float = Field(default=0.0, ge=0)
    anneal: tuple[tuple[_Time, _Temperature], ...] = ()
    exchange_every_ps: float | None = Field(default=None, gt=0)
    xtc: bool = False

    @model_validator(mode="before")
    @classmethod
    def _as_many_replicas(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        lists = {name: len(given[name]) for name in _PER_REPLICA if isinstance(given.get(name), list | tuple)}
        several = {name: length for name, length in lists.items() if length != 1}
        replicas = given.get("replicas", max(several.values(), default=1))
        for name, length in several.items():
            if length != replicas:
                raise ValueError(f"{name} has {length} values for {replicas} replicas: give one, or one each")
        return given | {"replicas": replicas} if several else given

    @model_validator(mode="after")
    def _whole_steps(self) -> "SimulateConfig":
        for name, largest in _LARGEST_STEPS.items():
            self._refuse_broken_steps(name, largest)
        for name in ("output_every_ps", "exchange_every_ps"):
            if (getattr(self, name) or 0.0) > self.time_ps:
                raise ValueError(
                    f"{name} {getattr(self, name):g} exceeds time_ps {self.time_ps:g}: "
                    f"it would never happen, choose a shorter one"
                )
        if self.n_steps // self.output_steps >= _MOST_FRAMES - 1:
            raise ValueError(
                f"output_every_ps {self.output_every_ps:g} gives more than {_MOST_FRAMES:.3g} frames in "
                f"{self.time_ps:g} ps: choose a longer one"
            )
        return self

    def _refuse_broken_steps(self, name: str, largest: int) -> None:
        time_ps = getattr(self, name)
        if not time_ps:  # not asked for
            return
        steps = time_ps * FS_PER_PS / self.timestep_fs
        if not steps < largest:
            raise ValueError(
                f"{name} {time_ps:g} is {steps:.3g} steps of {self.timestep_fs:g} fs: "
                f"choose fewer than {largest:.3g}"
            )
        if round(steps) < 1 or abs(steps - round(steps)) > 1e-6 * steps:
            raise ValueError(
                f"{name} {time_ps:g} is {steps:.6g} steps of {self.timestep_fs:g} fs: "
                f"choose a whole number of steps"
            )

    @model_validator(mode="after")
    def _one_schedule(self) -> "SimulateConfig":
        given = [name for name in ("heat_ps", "anneal", "exchange_every_ps") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} both set the baths: choose one")
        if given and self.scheme == "verlet":
            raise ValueError(f"{given[0]} sets baths, and verlet has none: choose another scheme")
        if self.heat_from and not self.heat_ps:
            raise ValueError("heat_from without heat_ps heats nothing: say for how long")
        times = [time for time, _ in self.anneal]
        if times != sorted(set(times)):
            raise ValueError(f"anneal has the times {times} ps: let each be later than the one before")
        if self.exchange_every_ps is not None:
            self._check_exchange()
        return self

    def _check_exchange(self) -> None:
        if len(set(self.temperatures)) < max(2, self.replicas) or min(self.temperatures) <= 0:
            raise ValueError(
                "exchange_every_ps needs several temperatures above 0, a different one a replica"
            )

    @property
    def temperatures(self) -> np.ndarray:
        """(n_replicas,) [K]."""
        return np.broadcast_to(np.asarray(self.temperature, dtype=np.float64), self.replicas).copy()

    def bath(self, step: float) -> np.ndarray:
        """(n_replicas,) [K], the temperatures of the step that follows `step` others.

        Heating and annealing are functions of the step alone, so that a resumed run needs no memory of
        them; what exchanges do is left to the state.
        """
        if self.anneal:
            times, goals = zip(*self.anneal, strict=True)
            edges = [0.0, *(time * FS_PER_PS / self.timestep_fs for time in times)]
            return np.array([np.interp(step, edges, [first, *goals]) for first in self.temperatures])
        if step >= self.heat_steps:
            return self.temperatures
        return self.heat_from + (self.temperatures - self.heat_from) * (step / self.heat_steps)

    def warmest_bath(self, step: int) -> np.ndarray:
        """(n_replicas,) [K], the highest that each had within the last 20 relaxation times.

        A molecule follows a bath that cools with a rate of the friction, or slower: nearly 0 K are
        reached long after the bath.
        """
        slowest = min(self.frictions)
        past_ps = _RELAXATION_TIMES * max(1.0, 1.0 / slowest) if slowest else np.inf
        edges = [self.heat_steps, *(time * FS_PER_PS / self.timestep_fs for time, _ in self.anneal)]
        begin = max(0.0, step - past_ps * FS_PER_PS / self.timestep_fs)
        return np.max(
            [self.bath(at) for at in (begin, *(e for e in edges if begin < e < step), step)], axis=0
        )

    @property
    def exchange_steps(self) -> int | None:
        return None if self.exchange_every_ps is None else self.steps(self.exchange_every_ps)

    @property
    def heat_steps(self) -> int:
        return self.steps(self.heat_ps)

    @property
    def box_vectors(self) -> np.ndarray | None:
        """(3, 3) [Å], rows are the box vectors, or None in free space."""
        return None if self.box is None else box_vectors(self.box)

    @property
    def seeds(self) -> list[int]:
        """One a replica."""
        return list(self.seed) if isinstance(self.seed, tuple) else [self.seed] * self.replicas

    @property
    def frictions(self) -> np.ndarray:
        """(n_replicas,) [1/ps]."""
        return np.broadcast_to(np.asarray(self.friction_per_ps, dtype=np.float64), self.replicas).copy()

    @property
    def timestep_ps(self) -> float:
        return self.timestep_fs / FS_PER_PS

    def steps(self, time_ps: float) -> int:
        """The nearest number of steps in a time."""
        return round(time_ps * FS_PER_PS / self.timestep_fs)

    @property
    def n_steps(self) -> int:
        return self.steps(self.time_ps)

    @property
    def output_steps(self) -> int:
        return self.steps(self.output_every_ps)

    @property
    def checkpoint_steps(self) -> int:
        return self.steps(self.checkpoint_every_ps)
