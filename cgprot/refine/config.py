"""What a refinement is asked to do."""

from typing import Annotated

import numpy as np
from pydantic import Field, ValidationError, model_validator

from cgprot.reference.forcefield import OpenmmConfig
from cgprot.reference.label import LabelConfig
from cgprot.simulate.config import SimulateConfig

LABEL_SEEDS = 2**20
_LARGEST_FORCE = 10.0  # kcal/mol/Å, where minimisation ends: contacts are gone, and a poor model arrives too


class RefineConfig(OpenmmConfig):
    """How to close the loop.

    Attributes
    ----------
    rounds : most rounds; one in which every replica reached its end is the last
    temperature, time_ps, timestep_fs, replicas : of the simulations of each protein [K, ps, fs]
    every_ps : between the frames that may be picked [ps]
    frames_per_round : most frames to label
    largest_force : on a bead of a frame to learn from [kcal/mol/Å]; the loss counts squares, and a few
        frames in which atoms nearly overlap would spoil the fit to all others
    label_temperature : of the labels [K]; None: that of each frame's simulation. A mean force depends on it,
        and a network that learns from several learns something in between
    samples : of each label, see `cgprot.reference.label`
    steps, learning_rate : of the training that ends a round; the rate, if None, is a third of that of the
        run that the refinement begins from, or that of the refinement that it goes on from
    share : of every pass over the data that the picked frames of all rounds make, about
    """

    rounds: int = Field(default=3, ge=1, le=1000)
    temperature: tuple[Annotated[float, Field(gt=0)], ...] = Field(default=(300.0,), min_length=1)
    time_ps: float = Field(default=20.0, gt=0)
    timestep_fs: float = Field(default=2.0, gt=0, le=20)
    replicas: int = Field(default=4, ge=1, le=1000)
    every_ps: float = Field(default=0.1, gt=0)
    frames_per_round: int = Field(default=60, ge=1, le=10**6)
    largest_force: float = Field(default=300.0, gt=0, le=2000)
    label_temperature: float | None = Field(default=None, gt=0)
    samples: int = Field(default=20, ge=8)
    steps: int = Field(default=2000, ge=1, le=10**9)
    learning_rate: float | None = Field(default=None, gt=0, le=1e6)
    share: float = Field(default=0.25, gt=0, lt=1)

    @model_validator(mode="after")
    def _check_simulations(self) -> "RefineConfig":
        names = [f"{kelvin:g}" for kelvin in self.temperature]
        if len(set(names)) < len(names):
            raise ValueError(f"--temperature {' '.join(names)}: name each once")
        try:
            self.simulation(self.temperature[0], ())
        except ValidationError as error:
            said = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
            raise ValueError(said.replace("output_every_ps", "every_ps"))
        return self

    def simulation(self, temperature: float, keys: tuple[int, ...]) -> SimulateConfig:
        """The configuration of one simulation; its random numbers follow from the seed and the keys."""
        return SimulateConfig(
            temperature=temperature,
            time_ps=self.time_ps,
            timestep_fs=self.timestep_fs,
            replicas=self.replicas,
            output_every_ps=self.every_ps,
            checkpoint_every_ps=self.time_ps,
            seed=int(np.random.SeedSequence((self.seed, *keys)).generate_state(1, np.uint64)[0]),
            minimise=True,
            minimise_force=_LARGEST_FORCE,
        )

    def labelling(self, keys: tuple[int, ...]) -> LabelConfig:
        """The configuration of labels; their random numbers follow from the seed and the keys."""
        state = np.random.SeedSequence((self.seed, *keys)).generate_state(1)
        return LabelConfig(
            implicit=self.implicit,
            platform=self.platform,
            workers=self.workers,
            samples=self.samples,
            seed=int(state[0]) % LABEL_SEEDS,
        )
