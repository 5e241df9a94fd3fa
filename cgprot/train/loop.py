"""Force matching: one plain loop, read from top to bottom.

A run folder holds run.json, metrics.csv, checkpoint.safetensors (to resume), model_best.safetensors (the
averaged weights at the lowest validation error), and at the end model.safetensors (the averaged weights of
the last step), errors.csv (of the validation data, by protein, residue and bead type) and curves.png. That of
a committee holds one such folder for each member: see `cgprot.model.committee`.
"""

import math
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import torch
from tqdm import tqdm

from cgprot.errors import UnstableError, UsageError
from cgprot.files.folder import RUN_FILE, check_new, create_folder
from cgprot.files.lock import locked
from cgprot.files.stop import Interrupted, StopSignal
from cgprot.model.checkpoint import MODEL_FILE
from cgprot.model.committee import member_folder
from cgprot.train.batches import join_frames
from cgprot.train.config import RunConfig
from cgprot.train.data import TrainingData, prepare_data
from cgprot.train.loss import ForceErrors
from cgprot.train.measure import compared, held_out_errors
from cgprot.train.metrics import Metrics, append_metrics, begin_metrics, cut_metrics, draw_curves
from cgprot.train.order import share
from cgprot.train.record import BEST_FILE, check_unchanged, write_errors, write_model, write_record
from cgprot.train.schedule import learning_rate
from cgprot.train.start import check_start, starting_potential
from cgprot.train.state import TrainingState
from cgprot.train.tensorboard import TensorboardLog, check_tensorboard
from cgprot.train.world import World, joined

_CALMER = "lower train.learning_rate or train.gradient_clip and begin anew"


def train(config: RunConfig, output: Path, resume: bool = False) -> Path:
    """Fit a potential, or a committee, to the labels of datasets.

    Parameters
    ----------
    output : a new run folder, or with `resume` the folder to go on in; resumed, a run on a CPU with the
        same numbers of threads and processes ends with the very bits it would have had without the stop

    Raises
    ------
    UsageError
        if `output` exists (without `resume`), or was begun with another configuration (with it), or there
        is no such device
    InputError
        if the data cannot be used, or have changed since the run began
    UnstableError
        if the loss is no longer finite
    StorageError
        if another process runs in `output`
    Interrupted
        after SIGINT or SIGTERM; the checkpoint is written
    """
    output, settings = Path(output), config.train
    with joined(settings.device) as world, ExitStack() as stack:
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        if settings.tensorboard:
            world.together(check_tensorboard)
        world.together(lambda: check_unchanged(config, output) if resume else check_new(output))
        data = world.together(lambda: prepare_data(config))
        config = world.together(lambda: data.complete(config))
        world.together(lambda: data.try_out(config))
        world.together(lambda: None if resume else check_start(config, data))
        world.first(lambda: None if resume else create_folder(output))
        world.first(lambda: stack.enter_context(locked(output)))
        if world.writes and data.shared:
            print(
                f"cgprot train: proteins in both training and validation data ({', '.join(data.shared)}): "
                "the validation error is that of other frames, not of other proteins",
                file=sys.stderr,
            )
        if settings.committee == 1 or settings.member is not None:
            train_one(config, data, output, world, resume)
        else:
            train_members(config, data, output, world, resume)
    return output


def train_members(config: RunConfig, data: TrainingData, output: Path, world: World, resume: bool) -> None:
    """One member after the other, each in its folder; those that are done stay as they are."""
    if world.writes and not resume:
        write_record(config, data, output, world)
    for number in range(config.train.committee):
        folder = member_folder(output, number)
        own = config.model_copy(update={"train": config.train.model_copy(update={"member": number})})
        done, begun = (folder / MODEL_FILE).is_file(), (folder / RUN_FILE).is_file()
        if not world.largest(done):
            world.first(lambda folder=folder: folder.mkdir(exist_ok=True))  # type: ignore[misc]
            train_one(own, data, folder, world, resume=bool(world.largest(begun)), run=output)


def train_one(
    config: RunConfig, data: TrainingData, output: Path, world: World, resume: bool, run: Path | None = None
) -> None:
    """Train one network in its folder; `run` is the folder to resume, if another."""
    if not resume:
        state = TrainingState(config, data.objective.signals, data.n_compositions, world.device)
        state.begin_from(world.together(lambda: starting_potential(config)))
        world.first(lambda: begin(state, data, output, world))
    else:
        state = world.together(lambda: TrainingState.load(output, world.device))
        if state.config != config:
            world.leave(
                UsageError(f"{output}: {RUN_FILE} has another configuration than its checkpoint: mend it")
            )
        world.first(lambda: cut_metrics(output, state.step))
    run_to_end(state, data, output, world, run or output)
    if world.writes:
        write_errors(state, data, output)
        draw_curves(output)
        write_model(state, data, output / MODEL_FILE)  # the last of them: with it a network is done
        say_if_early(state, output)


def say_if_early(state: TrainingState, output: Path) -> None:
    """Tell on stderr that the patience ended the run, and where the best weights are."""
    settings = state.config.train
    if state.step < settings.steps:
        print(
            f"cgprot train: {output}: ended at step {state.step} of {settings.steps}, since "
            f"{settings.patience} validations brought nothing better; the best weights are in {BEST_FILE}, "
            f"not in {MODEL_FILE}",
            file=sys.stderr,
        )


def begin(state: TrainingState, data: TrainingData, output: Path, world: World) -> None:
    """Fill the new run folder: an empty log, the checkpoint of step 0 and run.json."""
    begin_metrics(output, _other_columns(data))
    state.save(output)
    write_record(state.config, data, output, world)


def run_to_end(state: TrainingState, data: TrainingData, output: Path, world: World, run: Path) -> None:
    """Take the steps that are left, or those until a signal comes."""
    settings, batches = state.config.train, data.batches(state.config)
    begun = time.monotonic() - state.seconds
    quiet = not (world.writes and sys.stderr.isatty())
    bar = tqdm(initial=state.step, total=settings.steps, desc=output.name, disable=quiet)
    board = TensorboardLog(output, state.step) if settings.tensorboard and world.writes else None
    with StopSignal() as stop, bar:
        while not state.finished:
            loss = take_step(state, data, batches.numbers(state.step), world)
            bar.update()
            bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
            state.seconds = time.monotonic() - begun
            if state.step % settings.validate_every == 0 or state.step == settings.steps:
                validate(state, data, output, world, board)
            # Every process must leave at the same step, whichever the signal reached.
            stop.number = world.largest(stop.number or 0) or None
            if world.writes and (
                state.step % settings.checkpoint_every == 0 or state.finished or stop.number
            ):
                state.save(output)
            if stop.number and not state.finished:
                message = (
                    f"{output}: stopped by {stop.name} at step {state.step} of {settings.steps}, checkpoint "
                    f"written: go on with cgprot train --resume {run}"
                )
                world.leave(Interrupted(message, stop.number))
    if board:
        board.close()


def take_step(state: TrainingState, data: TrainingData, numbers: Sequence[int], world: World) -> float:
    """One step of the optimiser on one batch, each process computing its share of it; returns the loss."""
    settings = state.config.train
    state.optimiser.zero_grad()
    loss, *sums = world.sum(own_share(state, data, numbers, world))
    if not math.isfinite(loss):
        world.leave(UnstableError(f"training step {state.step}: the loss is {loss}: {_CALMER}"))
    world.sum_gradients(state.potential.parameters())
    torch.nn.utils.clip_grad_norm_(state.potential.parameters(), settings.gradient_clip)
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(state.step, settings, state.progress.fall)
    state.optimiser.step()
    state.step += 1
    state.update_average()
    state.errors.add_sums(*sums[:5])
    state.constants.update(sums[5:])
    return loss


def own_share(state: TrainingState, data: TrainingData, numbers: Sequence[int], world: World) -> list[float]:
    """What this process adds to the gradient; returns what it adds to the loss and to the running sums."""
    mine = share(numbers, data.edges, world.rank, world.size)
    errors, constants = ForceErrors(), [0.0] * (2 * len(state.constants.value))
    if not mine:
        return [0.0, *errors.sums, *constants]
    batch = join_frames([data.labelled[k] for k in mine]).to(world.device)
    with state.potential.network.tabulated(table_intervals(state.config, world)):
        values = state.potential.predict(batch.graph, create_graph=True)
    pairs = compared(values, batch, list(data.objective.weights))
    residuals = {name: predicted - label for name, (predicted, label, _) in pairs.items()}
    if "energy" in pairs:
        energies = values["energy"], batch.targets["energy"], batch.composition
        residuals["energy"] = state.constants.residual(*energies)
        constants = state.constants.sums(*energies)
    loss = data.objective.loss(residuals, batch.force_noise, data.components(numbers))
    loss.backward(inputs=list(state.potential.parameters()))  # and nothing for the positions
    errors.add(*pairs["forces"])
    return [loss.item(), *errors.sums, *constants]


def table_intervals(config: RunConfig, world: World) -> int | None:
    """Of the tables of the edge networks; None on a GPU, where the networks themselves are fast."""
    given = config.train.table_intervals
    return given * config.model.rbf if given and world.device.type == "cpu" else None


def validate(
    state: TrainingState, data: TrainingData, output: Path, world: World, board: TensorboardLog | None
) -> None:
    """Add a line to the log; keep the averaged weights if they are the best so far."""
    names, settings = list(data.objective.weights), state.config.train
    found = held_out_errors(state.average, data.held_out, names, world, settings.batch_edges)
    forces = found["forces"]
    others = [
        number for name in found if name != "forces" for number in (found[name].rmse, found[name].signal)
    ]
    metrics = Metrics(
        state.step,
        learning_rate(state.step - 1, settings, state.progress.fall),
        state.errors.rmse,
        forces.rmse,
        forces.mae,
        forces.noise_floor,
        forces.signal,
        round(state.seconds, 1),
        dict(zip(_other_columns(data), others, strict=True)),
    )
    state.errors = ForceErrors()
    score = data.objective.score({name: errors.rmse for name, errors in found.items()})
    if not math.isfinite(score):
        world.leave(UnstableError(f"training step {state.step}: the validation error is {score}: {_CALMER}"))
    best = state.progress.update(score, settings)
    if world.writes:
        append_metrics(output, metrics)
        if board:
            board.write(metrics)
        if best:
            write_model(state, data, output / BEST_FILE)


def _other_columns(data: TrainingData) -> list[str]:
    names = [name for name in data.objective.weights if name != "forces"]
    return [f"validation_{name}_{what}" for name in names for what in ("rmse", "signal")]
