"""What is minimised, and errors beside their noise floor.

    L = Σ_k w_k <a (p_k - l_k)²> / σ_k²

over all that is learned: forces, the forces along torsions (`cgprot.train.torsions`), the virial of residues
(`cgprot.train.virial`), and energies or other outputs p_k with labels l_k. σ_k is the root mean square of the
training labels, so that each term is the part of the signal that is not explained; the weights w_k are the
configuration's. a is 1, or for forces 1/(noise² + s²), in units of its mean over the training data: a label
counts by its own standard error beside the error s that the model keeps anyway.

Energies are defined up to a constant of each composition: see `cgprot.train.constants`.

A label is the mean force plus noise, hence MSE(label) = MSE(mean force) + Var(noise): no model can come
below the noise floor, and an error is told only beside it. The noise adds a constant to the loss on average
and moves no minimum.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cgprot.errors import InputError
from cgprot.train.batches import Frame


class Objective(NamedTuple):
    """The loss of a training run.

    Attributes
    ----------
    weights, signals : w_k and σ_k by name, "forces" first
    noise_weighting : s [kcal/mol/Å], or None for a = 1
    mean_noise_weight : mean of 1/(noise² + s²) over the training data
    """

    weights: Mapping[str, float]
    signals: Mapping[str, float]
    noise_weighting: float | None = None
    mean_noise_weight: float = 1.0

    def loss(
        self, residuals: Mapping[str, Tensor], force_noise: Tensor, components: Mapping[str, int]
    ) -> Tensor:
        """L, or the share of it that these residuals p - l make.

        Parameters
        ----------
        force_noise : (n_total, 3) [kcal/mol/Å]
        components : numbers of the whole batch by name; the shares of several processes add up to L
        """
        terms = []
        for name, weight in self.weights.items():
            square = residuals[name].square()
            if name == "forces" and self.noise_weighting is not None:
                square = square * (noise_weight(force_noise, self.noise_weighting) / self.mean_noise_weight)
            terms.append(weight * square.sum() / (max(components[name], 1) * self.signals[name] ** 2))
        return torch.stack(terms).sum()

    def score(self, rmse: Mapping[str, float]) -> float:
        """√L of all labels alike, times the forces' signal [kcal/mol/Å]: with forces alone their RMSE."""
        parts = [self.weights[name] * (rmse[name] / self.signals[name]) ** 2 for name in self.weights]
        return self.signals["forces"] * math.sqrt(sum(parts))


def noise_weight(noise: Tensor, s: float) -> Tensor:
    """1/(noise² + s²)."""
    return 1 / (noise**2 + s**2)


def objective_for(
    frames: Sequence[Frame], weights: Mapping[str, float], noise_weighting: float | None = None
) -> Objective:
    """The loss for these training data.

    Raises
    ------
    InputError
        if all labels of a kind are zero, or the noise that shall weigh them is not known
    """
    signals = {"forces": _signal([frame.forces for frame in frames], "forces")}
    for name in weights:
        if name != "forces":
            signals[name] = _signal([frame.targets[name] for frame in frames], name)
    if noise_weighting is None:
        return Objective(weights, signals)
    for frame in frames:
        if not torch.isfinite(frame.force_noise).all():
            raise InputError(
                f"{frame.entry}: the standard error of its labels is not known: leave out "
                "train.noise_weighting, or make labels with `cgprot label`"
            )
    noise = torch.cat([frame.force_noise for frame in frames]).double()
    return Objective(weights, signals, noise_weighting, noise_weight(noise, noise_weighting).mean().item())


def _signal(labels: Sequence[Tensor], name: str) -> float:
    """Root mean square of all labels."""
    signal = torch.cat([label.reshape(-1) for label in labels]).double().square().mean().sqrt().item()
    if not signal > 0:  # of no label at all it is not a number
        raise InputError(f"all training labels of {name} are zero, or there is none: make others")
    return signal


@dataclass
class ForceErrors:
    """Running sums over force components [kcal/mol/Å and its square]."""

    n: int = 0
    square: float = 0.0
    absolute: float = 0.0
    label_square: float = 0.0
    noise_square: float = 0.0

    def add(self, predicted: Tensor, labels: Tensor, noise: Tensor) -> None:
        """Count these components; `noise` is the labels' standard error, NaN where unknown."""
        difference = (predicted - labels).detach().double()
        sums = [difference.square(), difference.abs(), labels.double().square(), noise.double().square()]
        # One transfer from the device, not four.
        self.add_sums(difference.numel(), *torch.stack([part.sum() for part in sums]).tolist())

    def add_sums(
        self, n: float, square: float, absolute: float, label_square: float, noise_square: float
    ) -> None:
        """Count components whose sums are known already."""
        self.n += int(n)
        self.square += square
        self.absolute += absolute
        self.label_square += label_square
        self.noise_square += noise_square

    @property
    def sums(self) -> list[float]:
        """What `add_sums` takes."""
        return [self.n, self.square, self.absolute, self.label_square, self.noise_square]

    @property
    def rmse(self) -> float:
        return self._root_mean(self.square)

    @property
    def mae(self) -> float:
        return self.absolute / self.n if self.n else math.nan

    @property
    def signal(self) -> float:
        """Root mean square of the labels."""
        return self._root_mean(self.label_square)

    @property
    def noise_floor(self) -> float:
        """Root mean square of the labels' standard error, NaN if it is unknown anywhere."""
        return self._root_mean(self.noise_square)

    def _root_mean(self, total: float) -> float:
        return math.sqrt(total / self.n) if self.n else math.nan
