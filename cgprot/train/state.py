"""All that a training run must remember to go on as if it had never stopped."""

import copy
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from cgprot.errors import InputError
from cgprot.files.folder import write_whole
from cgprot.model.checkpoint import load_tensors, save_tensors
from cgprot.model.potential import Potential
from cgprot.train.config import RunConfig
from cgprot.train.loss import ForceErrors

CHECKPOINT_FILE = "checkpoint.safetensors"
_MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # as torch.optim.Adam calls them


class TrainingState:
    """Weights, their average, Adam's moments and the running numbers.

    Attributes
    ----------
    potential, average : the weights, and their exponential moving average
    optimiser : Adam over the weights
    step : optimiser steps done
    best : lowest validation error so far [kcal/mol/Å]
    errors : training errors since the last line of the log
    seconds : spent so far, all sittings together
    """

    def __init__(self, config: RunConfig, energy_scale: float) -> None:
        torch.manual_seed(config.train.seed)
        self.config = config
        self.potential = Potential(config.model)
        self.potential.energy_scale.fill_(energy_scale)
        self.average = copy.deepcopy(self.potential).requires_grad_(False)
        self.optimiser = torch.optim.Adam(self.potential.parameters(), lr=config.train.learning_rate)
        self.step = 0
        self.best = float("inf")
        self.errors = ForceErrors()
        self.seconds = 0.0

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
            "best": self.best,
            "errors": asdict(self.errors),
            "seconds": self.seconds,
        }
        tensors = self._tensors()
        write_whole(folder / CHECKPOINT_FILE, lambda path: save_tensors(path, tensors, metadata))

    @classmethod
    def load(cls, folder: Path) -> "TrainingState":
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
        state = cls(RunConfig(**metadata["config"]), energy_scale=1.0)
        state.potential.load_state_dict(_under("potential.", tensors))
        state.average.load_state_dict(_under("average.", tensors))
        state._load_moments(tensors)
        state.step, state.best, state.seconds = metadata["step"], metadata["best"], metadata["seconds"]
        state.errors = ForceErrors(**metadata["errors"])
        return state

    def _tensors(self) -> dict[str, Tensor]:
        tensors = {f"potential.{name}": tensor for name, tensor in self.potential.state_dict().items()}
        tensors |= {f"average.{name}": tensor for name, tensor in self.average.state_dict().items()}
        for name, weight in self.potential.named_parameters():
            for moment, tensor in self.optimiser.state.get(weight, {}).items():
                tensors[f"adam.{moment}.{name}"] = tensor
        return tensors

    def _load_moments(self, tensors: dict[str, Tensor]) -> None:
        for name, weight in self.potential.named_parameters():
            if f"adam.step.{name}" in tensors:
                self.optimiser.state[weight] = {m: tensors[f"adam.{m}.{name}"] for m in _MOMENTS}


def _under(prefix: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
