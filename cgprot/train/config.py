"""The configuration of a training run: a TOML file, with changes from the command line."""

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cgprot.errors import StorageError, UsageError
from cgprot.files.folder import RUN_FILE, read_run
from cgprot.model.checkpoint import available_models, model_path
from cgprot.model.potential import ModelConfig
from cgprot.train.optimiser import OptimiserName
from cgprot.train.projections import NAMES as MADE_OF_FORCES

MOST = 10**9  # of anything counted; more is a slip of the keyboard


class DataConfig(BaseModel):
    """Datasets by path; split by protein, not by frame.

    Attributes
    ----------
    extra, extra_repeats : more training data, whose frames come so many times in every pass over the data: a
        few frames that matter, as those of `cgprot refine`, would drown among many
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    train: tuple[Path, ...] = Field(min_length=1)
    validation: tuple[Path, ...] = Field(min_length=1)
    extra: tuple[Path, ...] = ()
    extra_repeats: int = Field(default=1, ge=1, le=MOST)

    @property
    def paths(self) -> list[Path]:
        """All datasets."""
        return [*self.train, *self.extra, *self.validation]


class OptimiserConfig(BaseModel):
    """How the weights are found.

    Attributes
    ----------
    steps : optimiser steps
    optimiser : "adam", or "soap", which takes fewer steps at some times the rate; see
        `cgprot.train.optimiser`
    batch_frames : frames in each step, all processes together, 8 if nothing is said
    batch_edges : instead of batch_frames, as many frames as have at most so many edges
    learning_rate, warmup_steps, final_learning_rate : the peak, the steps of the linear rise to it, and the
        fraction of it that is left at last
    schedule : half a "cosine" over all steps, or falls by `plateau_factor` whenever `plateau_patience`
        validations in a row brought nothing better
    patience : stop after so many validations in a row that brought nothing better; null never does
    noise_weighting : s [kcal/mol/Å]; force components weigh 1/(noise² + s²), noise being the label's
        standard error and s about the error the model itself will keep; null weighs all alike
    gradient_clip : largest norm of the gradient of the loss in units of the labels' mean square
    ema_decay : of the average of the weights, which is what is validated and saved
    validate_every, checkpoint_every : steps
    validation_frames : at most so many frames, spread evenly over the validation data
    table_intervals : for each radial function: in steps on a CPU the edge networks are taken from tables of
        so many intervals, see `cgprot.model.edge_factor`; 0 runs them for every pair, as validation does
    start : a model file or a training's run folder, else the name of a shipped model, whose weights are the
        first ones, of the same architecture and bead types, or with channels fewer by a whole factor, see
        `cgprot.train.widen`; random ones without it
    committee, member : networks to train one after the other, member k with seed + k; or only that one
    device : "cpu", "cuda", or "auto": CUDA if there is one, said on stderr
    tensorboard : whether to log for TensorBoard as well
    threads : of the CPU; null leaves it to torch
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(default=10_000, ge=1, le=MOST)
    optimiser: OptimiserName = "adam"
    batch_frames: int | None = Field(default=None, ge=1, le=MOST)
    batch_edges: int | None = Field(default=None, ge=1, le=2**40)
    learning_rate: float = Field(default=1e-3, gt=0, le=1e6)
    warmup_steps: int = Field(default=100, ge=0, le=MOST)
    final_learning_rate: float = Field(default=0.01, ge=0, le=1)
    schedule: Literal["cosine", "plateau"] = "cosine"
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)
    plateau_patience: int = Field(default=5, ge=1, le=MOST)
    patience: int | None = Field(default=None, ge=1, le=MOST)
    noise_weighting: float | None = Field(default=None, ge=1e-6, le=1e6)  # float32 holds 1/s²
    gradient_clip: float = Field(default=10.0, gt=0)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=2**63)  # torch and numpy both take it
    table_intervals: int = Field(default=32, ge=0, le=1024)
    start: Path | None = None
    committee: int = Field(default=1, ge=1, le=100)
    member: int | None = Field(default=None, ge=0)
    validate_every: int = Field(default=500, ge=1, le=MOST)
    checkpoint_every: int = Field(default=500, ge=1, le=MOST)
    validation_frames: int = Field(default=256, ge=1, le=MOST)
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    tensorboard: bool = False
    threads: int | None = Field(default=None, ge=1, le=4096)

    @model_validator(mode="before")
    @classmethod
    def _choose_batches(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("batch_edges") is None and given.get("batch_frames") is None:
            return given | {"batch_frames": 8}
        return given

    @model_validator(mode="after")
    def _check(self) -> "OptimiserConfig":
        if self.batch_edges is not None and self.batch_frames is not None:
            raise ValueError(
                "train.batch_edges and batch_frames are two ways to say one thing: leave out one"
            )
        if self.seed + self.committee > 2**63:
            raise ValueError("train.seed: the seeds of the committee would pass 2^63: choose a smaller seed")
        if self.member is not None and self.member >= self.committee:
            raise ValueError(f"train.member: {self.member} of a committee of {self.committee}: count from 0")
        return self

    @property
    def own_seed(self) -> int:
        """The seed of this member of the committee."""
        return self.seed + (self.member or 0)


class RunConfig(BaseModel):
    """Everything that a training run depends on; `loss` are weights by name, see `cgprot.train.loss`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: DataConfig
    model: ModelConfig = ModelConfig()
    train: OptimiserConfig = OptimiserConfig()
    loss: dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]] = {}

    @property
    def weights(self) -> dict[str, float]:
        """What is learned, and with which weight; forces always are measured, at weight 1 unless told."""
        others = {name: weight for name, weight in sorted(self.loss.items()) if weight > 0}
        return {"forces": self.loss.get("forces", 1.0)} | {n: w for n, w in others.items() if n != "forces"}

    @model_validator(mode="after")
    def _check_loss(self) -> "RunConfig":
        known = {"forces", "energy", *MADE_OF_FORCES, *self.model.outputs}
        for name in self.loss:
            if name not in known:
                raise ValueError(f"loss.{name}: the model has no such output: add it to model.outputs")
        if not sum(self.weights.values()):
            raise ValueError("loss: all weights are zero: give one that is not")
        return self


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a TOML file and apply "section.key=value" changes to it.

    Paths in the file are relative to the file, those in `overrides` to the working directory; all become
    absolute, so that a run may be resumed from anywhere.

    Raises
    ------
    StorageError
        if the file cannot be read
    UsageError
        if it is no TOML, or a key is unknown or has an unusable value
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text())
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}): check the path")
    except ValueError as error:
        raise UsageError(f"{path}: cannot be read as TOML ({error}): mend the file")
    _make_absolute(content, path.parent)
    for override in overrides:
        _override(content, override)
    _make_absolute(content, Path())
    return _checked(content, path)


def recorded_config(folder: Path) -> RunConfig:
    """The configuration of an earlier run, from its run.json.

    Raises
    ------
    UsageError
        if another verb wrote it, or a key has an unusable value
    StorageError
        if `folder` is no run folder
    """
    run = read_run(folder, "train")
    if not isinstance(run.get("config"), dict):
        raise StorageError(f"{folder}: its {RUN_FILE} has no config: restore it from a copy")
    return _checked(run["config"], Path(folder) / RUN_FILE)


def _make_absolute(content: dict, folder: Path) -> None:
    """The paths in `data` and `train.start`, as seen from a folder; what is no path stays as it is."""
    data, settings = content.get("data"), content.get("train")
    for entries in data.values() if isinstance(data, dict) else ():
        if isinstance(entries, list):
            entries[:] = [_absolute(entry, folder) for entry in entries]
    if isinstance(settings, dict) and "start" in settings:
        settings["start"] = _first_weights(settings["start"], folder)


def _first_weights(entry: object, folder: Path) -> object:
    """A path, unless nothing is there and it is the name of a shipped model."""
    if not isinstance(entry, str):
        return entry
    path, name = (folder / entry).resolve(), str(Path(entry))
    return str(model_path(name) if name in available_models() and not path.exists() else path)


def _absolute(entry: object, folder: Path) -> object:
    return str((folder / entry).resolve()) if isinstance(entry, str) else entry


def _override(content: dict, override: str) -> None:
    name, equals, text = override.partition("=")
    section, dot, key = name.partition(".")
    if not (equals and dot and section and key):
        raise UsageError(f"--set {override}: write it as section.key=value")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    table = content.setdefault(section, {})
    if not isinstance(table, dict):
        raise UsageError(f"--set {override}: {section} is no section of the configuration: mend the file")
    table[key] = value


def _checked(content: dict, path: Path) -> RunConfig:
    try:
        return RunConfig.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "value_error":  # a rule over several keys, which names them itself
            raise UsageError(f"{path}: {reason}")
        reason = "unknown key" if first["type"] == "extra_forbidden" else reason
        raise UsageError(f"{path}: {key}: {reason}: mend that key")
