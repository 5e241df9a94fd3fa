"""Training that goes on from a run, on its data and the frames of a round."""

import csv
import shutil
from collections.abc import Sequence
from pathlib import Path

from cgprot.errors import UsageError
from cgprot.files.dataset import count_frames
from cgprot.files.folder import RUN_FILE, read_run
from cgprot.model.checkpoint import MODEL_FILE, load_model
from cgprot.model.committee import committee_paths
from cgprot.refine.config import RefineConfig
from cgprot.train.batches import read_datasets
from cgprot.train.config import RunConfig, recorded_config
from cgprot.train.evaluate import force_errors
from cgprot.train.loop import train
from cgprot.train.table import ERRORS_FILE

_RATE = 1 / 3  # of the peak that the weights were trained with: they are good already


def trained_run(folder: Path) -> Path:
    """The folder of the training behind a run: itself, or what a refinement ended with.

    Raises
    ------
    UsageError
        if the folder is of another verb, or not finished
    StorageError
        if it is no run folder
    """
    record = read_run(folder)
    if record.get("verb") == "refine":
        if not isinstance(record.get("trained"), str):
            raise UsageError(f"{folder}: not finished: finish it with cgprot refine --resume {folder}")
        return Path(folder) / record["trained"]
    read_run(folder, "train")
    model = model_of(folder)
    if not model.is_file():
        raise UsageError(f"{model}: not trained yet: finish it with cgprot train --resume {folder}")
    return Path(folder)


def with_rate(config: RefineConfig, run: Path) -> RefineConfig:
    """The configuration with the learning rate of all rounds, which is found once: a share of a share decays.

    Parameters
    ----------
    run : what is refined; of a refinement its own rate is kept
    """
    if config.learning_rate is not None:
        return config
    record = read_run(run)
    if record.get("verb") == "refine":
        rate = with_rate(RefineConfig(**record["config"]), Path(record["run"])).learning_rate
    else:
        rate = _RATE * recorded_config(run).train.learning_rate
    return config.model_copy(update={"learning_rate": rate})


def model_of(run: Path) -> Path:
    """The weights that simulate: those of a committee's first member, or the only ones."""
    return next(iter(committee_paths(run)), Path(run) / MODEL_FILE)


def validation_error(run: Path) -> float:
    """RMSE of the forces on the validation data, of the model that simulates [kcal/mol/Å]."""
    path = model_of(run).with_name(ERRORS_FILE)
    if path.is_file():
        with open(path, newline="") as stream:
            return float(next(csv.DictReader(stream))["rmse_kcal_mol_A"])
    entries = read_datasets(recorded_config(run).data.validation)
    return force_errors(load_model(model_of(run))[0], entries)[0].rmse


def retrain(run: Path, datasets: Sequence[Path], output: Path, config: RefineConfig) -> None:
    """Train on from `run`; a training that was begun in `output` is resumed.

    A finished one ends at once: there is no step left.
    """
    if (output / RUN_FILE).exists():
        train(recorded_config(output), output, resume=True)
        return
    if output.exists():  # ended before its first step
        shutil.rmtree(output)
    train(next_config(run, datasets, config), output)


def next_config(run: Path, datasets: Sequence[Path], config: RefineConfig) -> RunConfig:
    """The run's own configuration with new frames, the run's weights and a schedule of its own.

    Parameters
    ----------
    config : with a learning rate, see `with_rate`
    """
    old = recorded_config(run)
    extra = [*old.data.extra, *(path.resolve() for path in datasets)]
    n_old, n_new = sum(map(count_frames, old.data.train)), sum(map(count_frames, extra))
    repeats = max(1, round(config.share / (1 - config.share) * n_old / n_new))
    settings = old.train.model_dump() | {
        "start": Path(run).resolve(),
        "steps": config.steps,
        "learning_rate": config.learning_rate,
        "warmup_steps": min(old.train.warmup_steps, config.steps // 10),
        "seed": old.train.seed + old.train.committee,  # other batches, and other members' than before
    }
    if old.train.member is not None:  # one of a committee, by itself from now on
        settings |= {"member": None, "committee": 1}
    content = old.model_dump() | {"train": settings}
    content["data"] |= {"extra": extra, "extra_repeats": repeats}
    return RunConfig.model_validate(content)
