"""Force matching: one plain loop, read from top to bottom.

A run folder holds run.json, metrics.csv, checkpoint.safetensors (to resume), model_best.safetensors (the
averaged weights at the lowest validation error), and at the end model.safetensors (the averaged weights of
the last step) and curves.png.
"""

import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm import tqdm

from cgprot.beads import BeadFrames
from cgprot.errors import InputError, StorageError, UnstableError, UsageError
from cgprot.files.folder import (
    RUN_FILE,
    check_new,
    create_folder,
    read_run,
    sha256_of,
    write_run,
    write_whole,
)
from cgprot.files.lock import locked
from cgprot.files.stop import Interrupted, StopSignal
from cgprot.model.checkpoint import MODEL_FILE, save_model
from cgprot.model.potential import check_types
from cgprot.train.batches import (
    Batch,
    Frame,
    batch_numbers,
    check_one_mapping,
    join_frames,
    prepare_frames,
    read_datasets,
    spread_evenly,
)
from cgprot.train.config import OptimiserConfig, RunConfig
from cgprot.train.evaluate import sum_errors
from cgprot.train.loss import ForceErrors, force_loss
from cgprot.train.metrics import Metrics, append_metrics, cut_metrics, draw_curves
from cgprot.train.state import TrainingState

BEST_FILE = "model_best.safetensors"


def train(config: RunConfig, output: Path, resume: bool = False) -> Path:
    """Fit a potential to the forces of a dataset.

    The energy scale of the potential is the root mean square of the training labels times 1 Å, so that the
    network's own numbers are of the order of one.

    Parameters
    ----------
    output : a new run folder, or with `resume` the folder to go on in; resumed, a run on a CPU with the
        same number of threads ends with the very bits it would have had without the stop

    Raises
    ------
    UsageError
        if `output` exists (without `resume`), or was begun with another configuration (with it)
    InputError
        if the data cannot be used, or have changed since the run began
    UnstableError
        if the loss is no longer finite
    StorageError
        if another process runs in `output`
    Interrupted
        after SIGINT or SIGTERM; the checkpoint is written
    """
    output = Path(output)
    if config.train.threads is not None:
        torch.set_num_threads(config.train.threads)
    if resume:
        check_unchanged(config, output)
        with locked(output):
            data = prepare_data(config)
            state = TrainingState.load(output)
            cut_metrics(output, state.step)
            return run_to_end(state, data, output)
    check_new(output)
    data = prepare_data(config)
    create_folder(output)
    with locked(output):
        return run_to_end(begin(config, output, data.signal), data, output)


class TrainingData(NamedTuple):
    """What a run learns from and is measured by."""

    training: Mapping[str, BeadFrames]
    labelled: list[Frame]  # all of `training`
    held_out: list[Frame]  # some of the validation data
    signal: float  # [kcal/mol/Å], root mean square of the training labels


def prepare_data(config: RunConfig) -> TrainingData:
    """Read the datasets, check them against the model and find the neighbours."""
    training, validation = read_datasets(config.data.train), read_datasets(config.data.validation)
    check_one_mapping({**training, **{f"validation {key}": frames for key, frames in validation.items()}})
    for frames in (*training.values(), *validation.values()):
        check_types(frames.system.bead_type, config.model)
    labelled = prepare_frames(training, config.model.reach)
    prepared = prepare_frames(validation, config.model.reach)
    held_out = spread_evenly(prepared, config.train.validation_frames)
    return TrainingData(training, labelled, held_out, label_signal(labelled))


def run_to_end(state: TrainingState, data: TrainingData, output: Path) -> Path:
    """Take the steps that are left, or those until a signal comes, and write the model."""
    settings = state.config.train
    begun = time.monotonic() - state.seconds
    steps = range(state.step, settings.steps)
    bar = tqdm(steps, initial=state.step, total=settings.steps, disable=not sys.stderr.isatty())
    with StopSignal() as stop, bar:
        for step in bar:
            numbers = batch_numbers(step, settings.batch_frames, len(data.labelled), settings.seed)
            loss = take_step(state, join_frames([data.labelled[k] for k in numbers]), data.signal)
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            state.seconds = time.monotonic() - begun
            last = state.step == settings.steps
            if state.step % settings.validate_every == 0 or last:
                validate(state, data.held_out, data.training, output)
            if state.step % settings.checkpoint_every == 0 or last or stop.number:
                state.save(output)
            if stop.number and not last:
                raise Interrupted(
                    f"{output}: stopped by {stop.name} at step {state.step} of {settings.steps}, checkpoint "
                    f"written: go on with cgprot train --resume {output}",
                    stop.number,
                )
    write_model(state, data.training, output / MODEL_FILE)
    draw_curves(output)
    return output


def begin(config: RunConfig, output: Path, signal: float) -> TrainingState:
    """Fill the new run folder: run.json, an empty log and the checkpoint of step 0."""
    state = TrainingState(config, energy_scale=signal)
    record, inputs = config.model_dump(mode="json"), [*config.data.train, *config.data.validation]
    write_run(output, "train", record, inputs, device="cpu", threads=torch.get_num_threads())
    cut_metrics(output, last_step=-1)
    state.save(output)
    return state


def take_step(state: TrainingState, batch: Batch, signal: float) -> float:
    """One step of Adam on one batch; returns the loss."""
    settings = state.config.train
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(state.step, settings)
    _, forces = state.potential.energy_and_forces(batch.graph, create_graph=True)
    loss = force_loss(forces, batch.forces, signal)
    if not math.isfinite(loss.item()):
        raise UnstableError(
            f"training step {state.step}: the loss is {loss.item()}: lower train.learning_rate or "
            "train.gradient_clip and begin anew"
        )
    state.optimiser.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.potential.parameters(), settings.gradient_clip)
    state.optimiser.step()
    state.step += 1
    state.update_average()
    state.errors.add(forces, batch.forces, batch.force_noise)
    return loss.item()


def learning_rate(step: int, settings: OptimiserConfig) -> float:
    """Linear rise over the first steps, then half a cosine down to a fraction of the peak."""
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    low = settings.final_learning_rate
    return settings.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress)))


def validate(
    state: TrainingState, held_out: list[Frame], training: Mapping[str, BeadFrames], output: Path
) -> None:
    """Add a line to the log; keep the averaged weights if they are the best so far."""
    errors = sum_errors(state.average, held_out)["all", ""]
    rate = learning_rate(state.step - 1, state.config.train)
    append_metrics(
        output,
        Metrics(
            state.step,
            rate,
            state.errors.rmse,
            errors.rmse,
            errors.mae,
            errors.noise_floor,
            errors.signal,
            round(state.seconds, 1),
        ),
    )
    state.errors = ForceErrors()
    if errors.rmse < state.best:
        state.best = errors.rmse
        write_model(state, training, output / BEST_FILE)


def write_model(state: TrainingState, training: Mapping[str, BeadFrames], path: Path) -> None:
    """Write the averaged weights with the mapping and the bead types that they were trained on."""
    systems = [frames.system for frames in training.values()]
    type_names = {
        str(name): int(number)
        for system in systems
        for name, number in zip(system.type_name, system.bead_type, strict=True)
    }
    ordered = dict(sorted(type_names.items(), key=lambda item: item[1]))
    extra = {"step": state.step, "best_validation_force_rmse_kcal_mol_A": state.best}
    mapping, mapping_hash = systems[0].mapping, systems[0].mapping_hash
    write_whole(
        path, lambda temporary: save_model(temporary, state.average, mapping, mapping_hash, ordered, extra)
    )


def label_signal(frames: list[Frame]) -> float:
    """Root mean square of all labels [kcal/mol/Å]."""
    forces = torch.cat([frame.forces for frame in frames]).double()
    signal = forces.square().mean().sqrt().item()
    if signal == 0:
        raise InputError("all training forces are zero: make labels with `cgprot label`")
    return signal


def check_unchanged(config: RunConfig, output: Path) -> None:
    """Refuse to resume with another configuration or other data than the run began with."""
    record = read_run(output, "train")
    if not {"config", "inputs"} <= record.keys() or not isinstance(record["inputs"], dict):
        raise StorageError(f"{output}: its {RUN_FILE} lacks config or inputs: restore it from a copy")
    if record["config"] != config.model_dump(mode="json"):
        raise UsageError(f"{output}: begun with another configuration: resume with its own, or begin anew")
    for path, expected in record["inputs"].items():
        if sha256_of(Path(path)) != expected:
            raise InputError(f"{path}: has changed since {output} was begun: restore it, or begin a new run")
