"""What is minimised, and force errors beside their noise floor.

A label is the mean force plus noise, hence MSE(label) = MSE(mean force) + Var(noise): no model can come
below the noise floor, and an error is told only beside it.
"""

import math
from dataclasses import dataclass

from torch import Tensor


def force_loss(predicted: Tensor, labels: Tensor, signal: float) -> Tensor:
    """Mean squared force error in units of the labels' mean square, signal² [(kcal/mol/Å)²].

    The noise in the labels adds a constant on average and moves no minimum.
    """
    return ((predicted - labels) ** 2).mean() / signal**2


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
        self.n += difference.numel()
        self.square += (difference**2).sum().item()
        self.absolute += difference.abs().sum().item()
        self.label_square += (labels.double() ** 2).sum().item()
        self.noise_square += (noise.double() ** 2).sum().item()

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
