"""Energies are defined up to a constant of each composition.

A reference state or a force field's own zero may be added to all energies of the same beads, and no force
changes. Labels therefore lose their mean over the frames of the same composition before anything else, and
what the network's own energies have on average is followed here and taken off: the loss sees differences
within a composition alone. The constants are no part of the model.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_MEMORY = 10.0  # frames; beside so many, those of a new batch count


class EnergyConstants:
    """Running mean of predicted energy minus label for each composition.

    Attributes
    ----------
    value : (n_compositions,) float64 [kcal/mol], NaN where no frame has been seen
    """

    def __init__(self, n_compositions: int) -> None:
        self.value = torch.full((n_compositions,), torch.nan, dtype=torch.float64)

    def residual(self, energy: Tensor, label: Tensor, composition: Tensor) -> Tensor:
        """(n_systems,) [kcal/mol], zero where the constant is not known yet."""
        constant = self.value.to(energy.device)[composition]
        return torch.where(constant.isnan(), 0.0, energy - label - constant.nan_to_num().to(energy.dtype))

    def sums(self, energy: Tensor, label: Tensor, composition: Tensor) -> list[float]:
        """Sum of energy minus label, and number of frames, of each composition."""
        difference = (energy - label).detach().double().cpu()
        total = torch.zeros_like(self.value).index_add(0, composition.cpu(), difference)
        number = torch.zeros_like(self.value).index_add(0, composition.cpu(), torch.ones_like(difference))
        return [*total.tolist(), *number.tolist()]

    def update(self, sums: Sequence[float]) -> None:
        """Follow the mean of a batch, from `sums` over all processes."""
        if not sums:
            return
        total, number = torch.tensor(sums, dtype=torch.float64).view(2, -1)
        mean, weight = total / number, number / (number + _MEMORY)
        followed = torch.where(self.value.isnan(), mean, self.value + weight * (mean - self.value))
        self.value = torch.where(number > 0, followed, self.value)
