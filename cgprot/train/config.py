"""The configuration of a training run: a TOML file, with changes from the command line."""

import tomllib
from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cgprot.errors import StorageError, UsageError
from cgprot.files.folder import RUN_FILE, read_run
from cgprot.model.potential import ModelConfig


class DataConfig(BaseModel):
    """Datasets by path; split by protein, not by frame."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    train: tuple[Path, ...] = Field(min_length=1)
    validation: tuple[Path, ...] = Field(min_length=1)


class OptimiserConfig(BaseModel):
    """How the weights are found.

    Attributes
    ----------
    steps, batch_frames : optimiser steps, and frames in each
    learning_rate, warmup_steps, final_learning_rate : the peak, the steps of the linear rise to it, and the
        fraction of it that is left at the end of the cosine
    gradient_clip : largest norm of the gradient of the loss in units of the labels' mean square
    ema_decay : of the average of the weights, which is what is validated and saved
    validate_every, checkpoint_every : steps
    validation_frames : at most so many frames, spread evenly over the validation data
    threads : of the CPU; null leaves it to torch
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    steps: int = Field(default=10_000, ge=1)
    batch_frames: int = Field(default=8, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    warmup_steps: int = Field(default=100, ge=0)
    final_learning_rate: float = Field(default=0.01, ge=0, le=1)
    gradient_clip: float = Field(default=10.0, gt=0)
    ema_decay: float = Field(default=0.999, ge=0, lt=1)
    seed: int = Field(default=0, ge=0, lt=2**63)  # torch and numpy both take it
    validate_every: int = Field(default=500, ge=1)
    checkpoint_every: int = Field(default=500, ge=1)
    validation_frames: int = Field(default=256, ge=1)
    threads: int | None = Field(default=None, ge=1)


class RunConfig(BaseModel):
    """Everything that a training run depends on."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    data: DataConfig
    model: ModelConfig = ModelConfig()
    train: OptimiserConfig = OptimiserConfig()


def load_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """Read a TOML file and apply "section.key=value" changes to it.

    Paths in the file are relative to the file, those in `overrides` to the working directory.

    Raises
    ------
    UsageError
        if the file cannot be read, or a key is unknown or has an unusable value
    """
    path = Path(path)
    try:
        content = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be read as TOML ({error}): mend the file")
    if isinstance(content.get("data"), dict):
        content["data"] |= _beside(path, content["data"])
    for override in overrides:
        _override(content, override)
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


def _beside(path: Path, data: dict) -> dict:
    """The lists of paths in `data`, relative to the folder of `path`; what is no path stays to be refused."""
    return {
        key: [str((path.parent / entry).resolve()) if isinstance(entry, str) else entry for entry in entries]
        for key, entries in data.items()
        if isinstance(entries, list)
    }


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
        reason = "unknown key" if first["type"] == "extra_forbidden" else first["msg"]
        raise UsageError(f"{path}: {key}: {reason}: mend that key")
