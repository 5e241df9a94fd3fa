"""What a simulation is asked to do."""

from pydantic import BaseModel, ConfigDict, Field, model_validator

from cgprot.units import FS_PER_PS

# Steps between frames and frames in a trajectory are 32-bit integers in a DCD, and every step must be
# a whole number in double precision.
_LARGEST_STEPS = {"time_ps": 2**53, "output_every_ps": 2**31, "checkpoint_every_ps": 2**53}
_MOST_FRAMES = 2**31


class SimulateConfig(BaseModel):
    """Langevin dynamics of replicas that differ in their noise alone.

    Equal seeds give equal noise: an independent repetition needs another seed.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    temperature: float = Field(default=300.0, ge=0)  # K
    time_ps: float = Field(default=100.0, gt=0)
    timestep_fs: float = Field(default=2.0, gt=0, le=20)
    friction_per_ps: float = Field(default=1.0, ge=0)
    replicas: int = Field(default=1, ge=1, le=100_000)  # a trajectory file each
    seed: int = Field(default=1, ge=0, lt=2**64)
    output_every_ps: float = Field(default=1.0, gt=0)
    checkpoint_every_ps: float = Field(default=10.0, gt=0)
    guard_every_steps: int = Field(default=10, ge=1)

    @model_validator(mode="after")
    def _whole_steps(self) -> "SimulateConfig":
        for name, largest in _LARGEST_STEPS.items():
            steps = getattr(self, name) * FS_PER_PS / self.timestep_fs
            if not steps < largest:
                raise ValueError(
                    f"{name} {getattr(self, name):g} is {steps:.3g} steps of {self.timestep_fs:g} fs: "
                    f"choose fewer than {largest:.3g}"
                )
            if round(steps) < 1 or abs(steps - round(steps)) > 1e-6 * steps:
                raise ValueError(
                    f"{name} {getattr(self, name):g} is {steps:.6g} steps of {self.timestep_fs:g} fs: "
                    f"choose a whole number of steps"
                )
        if self.output_every_ps > self.time_ps:
            raise ValueError(
                f"output_every_ps {self.output_every_ps:g} exceeds time_ps {self.time_ps:g}: "
                f"no frame would be written"
            )
        if self.n_steps // self.output_steps >= _MOST_FRAMES - 1:
            raise ValueError(
                f"output_every_ps {self.output_every_ps:g} gives more than {_MOST_FRAMES:.3g} frames in "
                f"{self.time_ps:g} ps: choose a longer one"
            )
        return self

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
