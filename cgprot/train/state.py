"""All that a training run must remember to go on as if it had never stopped."""

import copy
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from cgprot.errors import InputError
from cgprot.files.folder import write_whole
from cgprot.model.checkpoint import load_tensors, save_tensors
from cgprot.model.potential import Potential
from cgprot.train.config import RunConfig
from cgprot.train.constants import EnergyConstants
from cgprot.train.loss import ForceErrors
from cgprot.train.optimiser import build_optimiser, memory, remember
from cgprot.train.schedule import Progress

CHECKPOINT_FILE = "checkpoint.safetensors"
_CPU = torch.device("cpu")


class TrainingState:
    """Weights, their average, the optimiser's moments and the running numbers.

    Parameters
    ----------
    signals : root mean square of the training labels by name, from which the scales of the outputs follow
    n_compositions : different sets of bead types in the training data

    Attributes
    ----------
    potential, average : the weights, and their exponential moving average
    optimiser : over the weights, see `cgprot.train.optimiser`
    constants : of the energies of each composition; none if no energies are learned
    step : optimiser steps done
    progress : what the validations so far say
    errors : training errors since the last line of the log
    seconds : spent so far, all sittings together
    """

    def __init__(
        self,
        config: RunConfig,
        signals: Mapping[str, float],
        n_compositions: int = 0,
        device: torch.device = _CPU,
    ) -> None:
        torch.manual_seed(config.train.own_seed)
        self.config = config
        self.potential = _potential(config, signals).to(device)
        self.average = copy.deepcopy(self.potential).requires_grad_(False)
        self.optimiser = build_optimiser(config.train.optimiser, self.potential, config.train.learning_rate)
        self.constants = EnergyConstants(n_compositions if "energy" in config.weights else 0)
        self.step = 0
        self.progress = Progress()
        self.errors = ForceErrors()
        self.seconds = 0.0

    def begin_from(self, potential: Potential | None) -> None:
        """Take the weights of a trained model, its scales included, in place of random ones."""
        if potential is not None:
            self.potential.load_state_dict(potential.state_dict())
            self.average.load_state_dict(potential.state_dict())

    def update_average(self) -> None:
        """Average of the weights, over fewer steps at the beginning so that it forgets the random start."""
        decay = min(self.config.train.ema_decay, (1 + self.step) / (10 + self.step))
        weights = zip(self.average.parameters(), self.potential.parameters(), strict=True)
        for mean, weight in weights:
            mean.lerp_(weight.detach(), 1 - decay)

    def save(self, folder: Path) -> None:
        """Write the checkpoint of a run folder, whole or not at all."""
        metadata = {
            "config": self.config.model_dump(mode="json"),
            "step": self.step,
            "progress": asdict(self.progress),
            "errors": asdict(self.errors),
            "seconds": self.seconds,
        }
        tensors = self._tensors()
        write_whole(folder / CHECKPOINT_FILE, lambda path: save_tensors(path, tensors, metadata))

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or the patience is at its end."""
        return self.step >= self.config.train.steps or self.progress.stopped(self.config.train)

    @classmethod
    def load(cls, folder: Path, device: torch.device = _CPU) -> "TrainingState":
        """Read the checkpoint of a run folder.

        Raises
        ------
        InputError
            if there is none, or it is damaged
        """
        path = folder / CHECKPOINT_FILE
        if not path.is_file():
            raise InputError(f"{folder}: no {CHECKPOINT_FILE} to resume from: begin a new run")
        tensors, metadata = load_tensors(path)
        state = cls(RunConfig(**metadata["config"]), signals={}, device=device)
        state.potential.load_state_dict(_under("potential.", tensors))
        state.average.load_state_dict(_under("average.", tensors))
        remember(state.optimiser, state.potential, tensors)
        state.constants.value = tensors.get("energy_constants", state.constants.value)
        state.step, state.seconds = metadata["step"], metadata["seconds"]
        # Runs begun before there were schedules by validation have the best error alone.
        state.progress = Progress(**metadata.get("progress", {"best": metadata.get("best")}))
        state.errors = ForceErrors(**metadata["errors"])
        return state

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"potential.{name}": tensor for name, tensor in self.potential.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        tensors |= memory(self.optimiser, self.potential)
        if len(self.constants.value):
            tensors["energy_constants"] = self.constants.value
        return tensors


def _potential(config: RunConfig, signals: Mapping[str, float]) -> Potential:
    """New weights; the scale of each output makes the network's own numbers of the order of one.

    That of the energy is the root mean square force times 1 Å.
    """
    potential = Potential(config.model)
    potential.energy_scale.fill_(signals.get("forces", 1.0))
    for name, head in potential.outputs.items():
        head.get_buffer("scale").fill_(signals.get(name, 1.0))
    return potential


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
