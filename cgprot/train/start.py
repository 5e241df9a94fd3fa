"""Training that begins from the weights of an earlier one."""

from pathlib import Path

from cgprot.errors import UsageError
from cgprot.files.folder import sha256_of
from cgprot.model.checkpoint import check_mapping, load_model, model_path
from cgprot.model.committee import committee_paths
from cgprot.model.potential import Potential
from cgprot.train.config import OptimiserConfig, RunConfig
from cgprot.train.data import TrainingData
from cgprot.train.widen import widened


def check_start(config: RunConfig, data: TrainingData) -> None:
    """Refuse train.start if its weights cannot be gone on with.

    Raises
    ------
    UsageError
        if there is no such model, or it is another architecture, or one network for a whole committee
    InputError
        if a file is damaged, or its bead types are others than those of the data
    """
    for path in _files(config.train):
        potential, metadata = load_model(path)
        for name, value in config.model:
            widens = name == "channels" and _copies(potential, config) > 0
            if getattr(potential.config, name) != value and not widens:
                raise UsageError(
                    f"train.start={path}: has model.{name} {getattr(potential.config, name)}, the "
                    f"configuration {value}: set it to the former, or begin from random weights"
                )
        for frames in data.training.values():
            check_mapping(metadata, frames.system)


def starting_potential(config: RunConfig) -> Potential | None:
    """The first weights of a network, or None where they are random."""
    files = _files(config.train)
    if not files:
        return None
    potential = load_model(files[0])[0]
    copies = _copies(potential, config)
    return potential if copies == 1 else widened(potential, copies, config.train.own_seed)


def _copies(potential: Potential, config: RunConfig) -> int:
    """How often each channel comes in the network to be trained; 0 where it cannot be had by copies."""
    copies, left = divmod(config.model.channels, potential.config.channels)
    return 0 if left or (copies > 1 and config.model.outputs) else copies


def start_record(settings: OptimiserConfig) -> dict[str, str]:
    """SHA-256 of the files that a run begins from; a resumed run needs them no more."""
    return {str(path): sha256_of(model_path(path)) for path in _files(settings)}


def _files(settings: OptimiserConfig) -> list[Path]:
    """That of train.start: of a committee one for each member to be trained."""
    start = settings.start
    if start is None:
        return []
    if settings.committee == 1:
        return [start]
    members = committee_paths(start)
    if len(members) != settings.committee:
        raise UsageError(
            f"train.start={start}: {len(members) or 'no'} members for a committee of {settings.committee}, "
            "which tells nothing if its members begin alike: give the folder of such a committee"
        )
    return members if settings.member is None else [members[settings.member]]
