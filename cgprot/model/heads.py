"""From the invariants of every bead to the numbers one wants."""

import torch
from torch import Tensor, nn


class EnergyHead(nn.Module):
    """E = Σ_i MLP(x_i), the sum over the beads of each system; MLP: C -> C/2 -> 1 with SiLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        first, second = nn.Linear(channels, channels // 2), nn.Linear(channels // 2, 1)
        self.network = nn.Sequential(first, nn.SiLU(), second)
        for layer in (first, second):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, invariants: Tensor, system_index: Tensor, n_systems: int) -> Tensor:
        """(n_total, C), (n_total,) -> (n_systems,)."""
        bead_energy = self.network(invariants).squeeze(-1)  # (n_total,)
        return torch.zeros(n_systems).to(bead_energy).index_add(0, system_index, bead_energy)
