"""The run folder of a training: its record, its models, and what must not change in it."""

import copy
from pathlib import Path

import torch

from cgprot.errors import InputError, StorageError, UsageError
from cgprot.files.folder import RUN_FILE, read_run, sha256_of, write_run, write_text, write_whole
from cgprot.model.checkpoint import save_model
from cgprot.train.config import RunConfig
from cgprot.train.data import TrainingData
from cgprot.train.evaluate import force_errors
from cgprot.train.start import start_record
from cgprot.train.state import TrainingState
from cgprot.train.table import ERRORS_FILE, as_csv
from cgprot.train.world import World

BEST_FILE = "model_best.safetensors"


def write_record(config: RunConfig, data: TrainingData, output: Path, world: World) -> None:
    """Write run.json."""
    write_run(
        output,
        "train",
        config.model_dump(mode="json"),
        config.data.paths,
        device=str(world.device),
        processes=world.size,
        threads=torch.get_num_threads(),
        proteins_in_training_and_validation=data.shared,
        start=start_record(config.train),
    )


def check_unchanged(config: RunConfig, output: Path) -> None:
    """Refuse to resume with another configuration or other data than the run began with."""
    record = read_run(output, "train")
    if not {"config", "inputs"} <= record.keys() or not isinstance(record["inputs"], dict):
        raise StorageError(f"{output}: its {RUN_FILE} lacks config or inputs: restore it from a copy")
    try:
        begun = RunConfig.model_validate(record["config"])
    except ValueError:
        begun = None
    if begun != config:
        raise UsageError(f"{output}: begun with another configuration: resume with its own, or begin anew")
    for path, expected in record["inputs"].items():
        if sha256_of(Path(path)) != expected:
            raise InputError(f"{path}: has changed since {output} was begun: restore it, or begin a new run")


def write_model(state: TrainingState, data: TrainingData, path: Path) -> None:
    """Write the averaged weights with the mapping and the bead types that they were trained on."""
    systems = [frames.system for frames in data.training.values()]
    type_names = {
        str(name): int(number)
        for system in systems
        for name, number in zip(system.type_name, system.bead_type, strict=True)
    }
    ordered = dict(sorted(type_names.items(), key=lambda item: item[1]))
    extra: dict[str, object] = {
        "step": state.step,
        "best_validation_score_kcal_mol_A": state.progress.best,
        "learned": dict(data.objective.weights),
    }
    settings = state.config.train
    if settings.member is not None:
        extra["committee"] = {"member": settings.member, "size": settings.committee}
    mapping, mapping_hash = systems[0].mapping, systems[0].mapping_hash
    write_whole(
        path, lambda temporary: save_model(temporary, state.average, mapping, mapping_hash, ordered, extra)
    )


def write_errors(state: TrainingState, data: TrainingData, output: Path) -> None:
    """Write errors.csv: what `cgprot evaluate` tells of the averaged weights on all validation data."""
    potential = copy.deepcopy(state.average).cpu().eval()
    write_text(output / ERRORS_FILE, as_csv(force_errors(potential, data.validation)))
