"""What a training run learns from and is measured by."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cgprot.beads import BeadFrames
from cgprot.errors import InputError
from cgprot.model.potential import Potential, check_types
from cgprot.train.batches import (
    Frame,
    check_one_mapping,
    join_frames,
    prepare_frames,
    read_datasets,
    shared_proteins,
    spread_evenly,
)
from cgprot.train.config import RunConfig
from cgprot.train.loss import Objective, objective_for
from cgprot.train.order import BatchesOfEdges, BatchesOfFrames


class TrainingData(NamedTuple):
    """Read, checked, and neighbours found.

    Attributes
    ----------
    training, validation : as the datasets have them
    labelled, held_out : all frames of `training`, those of data.extra as often as asked, some of `validation`
    edges : (n_labelled,) number of edges of each frame
    objective : the loss
    n_compositions : different sets of bead types in `training`
    shared : entries of `validation` whose protein is in `training` too
    """

    training: Mapping[str, BeadFrames]
    validation: Mapping[str, BeadFrames]
    labelled: list[Frame]
    held_out: list[Frame]
    edges: np.ndarray
    objective: Objective
    n_compositions: int
    shared: list[str]

    @property
    def type_names(self) -> dict[str, int]:
        """Bead type by name, in the order of the numbers."""
        systems = [frames.system for frames in (*self.training.values(), *self.validation.values())]
        pairs = {
            pair for s in systems for pair in zip(s.type_name.tolist(), s.bead_type.tolist(), strict=True)
        }
        return dict(sorted(pairs, key=lambda pair: pair[::-1]))

    def complete(self, config: RunConfig) -> RunConfig:
        """The configuration with what only the data tell: the elements of the bead types, for zbl."""
        priors = config.model.priors.with_elements(self.type_names, config.model.n_types)
        return config.model_copy(update={"model": config.model.model_copy(update={"priors": priors})})

    def try_out(self, config: RunConfig) -> None:
        """Refuse what a model of this kind cannot take, a spin that is not given say; one frame a protein.

        A small network of the kind is run, since its parts check what they need themselves.
        """
        small = Potential(config.model.model_copy(update={"channels": 2, "rbf": 2})).requires_grad_(False)
        tried = set()
        for frame in (*self.labelled, *self.held_out):
            protein = frame.entry.rsplit("/", 2)[0]
            if protein not in tried:
                tried.add(protein)
                try:
                    small.predict(join_frames([frame]).graph)
                except InputError as error:
                    raise InputError(f"{frame.entry}: {error}")

    def batches(self, config: RunConfig) -> BatchesOfFrames | BatchesOfEdges:
        """Which frames every step sees."""
        settings = config.train
        if settings.batch_edges is not None:
            return BatchesOfEdges(self.edges, settings.batch_edges, settings.own_seed)
        assert settings.batch_frames is not None  # one of the two is set
        return BatchesOfFrames(len(self.labelled), settings.batch_frames, settings.own_seed)

    def components(self, numbers: Sequence[int]) -> dict[str, int]:
        """How many labels of each kind these frames have."""
        frames = [self.labelled[k] for k in numbers]
        others = {
            n: sum(f.targets[n].numel() for f in frames) for n in self.objective.weights if n != "forces"
        }
        return {"forces": sum(frame.forces.numel() for frame in frames)} | others


def prepare_data(config: RunConfig) -> TrainingData:
    """Read the datasets, check them against the model and the configuration, find the neighbours.

    Raises
    ------
    InputError, StorageError
        if they cannot be used
    """
    training, validation = read_datasets(config.data.train), read_datasets(config.data.validation)
    extra = _extra(config, training)
    check_one_mapping({**training, **extra, **{f"validation {key}": f for key, f in validation.items()}})
    for frames in (*training.values(), *extra.values(), *validation.values()):
        check_types(frames.system.bead_type, config.model)
    targets = [name for name in config.weights if name != "forces"]
    training |= extra
    labelled = prepare_frames(training, config.model.reach, targets)
    labelled += [f for f in labelled if f.entry in extra] * (config.data.extra_repeats - 1)
    prepared = prepare_frames(validation, config.model.reach, targets)
    data = TrainingData(
        training=training,
        validation=validation,
        labelled=labelled,
        held_out=spread_evenly(prepared, config.train.validation_frames),
        edges=np.array([frame.graph.edges.shape[1] for frame in labelled]),
        objective=objective_for(labelled, config.weights, config.train.noise_weighting),
        n_compositions=1 + max(frame.composition for frame in labelled),
        shared=shared_proteins(training, validation),
    )
    if not data.edges.any():
        raise InputError(f"no bead has a neighbour within model.cutoff={config.model.cutoff:g} Å: raise it")
    data.batches(config)  # refuses a frame that is too large
    return data


def _extra(config: RunConfig, training: Mapping[str, BeadFrames]) -> dict[str, BeadFrames]:
    """The entries of data.extra, by keys that no other training data have."""
    if not config.data.extra:
        return {}
    known = {path.resolve() for path in config.data.train}
    for path in config.data.extra:
        if path.resolve() in known:
            raise InputError(f"{path}: in data.train and in data.extra: leave out one")
    entries = read_datasets(config.data.extra)
    return {key if key not in training else f"extra:{key}": frames for key, frames in entries.items()}
