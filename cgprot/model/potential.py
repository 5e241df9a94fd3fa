"""The learned energy of the beads and the forces that follow from it."""

from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from cgprot.errors import InputError
from cgprot.model.graph import Graph
from cgprot.model.heads import EnergyHead
from cgprot.model.tensornet import TensorNet


class ModelConfig(BaseModel):
    """The shape of a network; it travels with the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    channels: int = Field(default=64, ge=2)
    layers: int = Field(default=1, ge=0)
    rbf: int = Field(default=32, ge=2)
    cutoff: float = Field(default=5.0, gt=0)  # Å
    group: Literal["O(3)", "SO(3)"] = "O(3)"
    n_types: int = Field(default=12, ge=1)


def check_types(bead_type: Tensor | np.ndarray, config: ModelConfig) -> None:
    """Raise InputError if a bead type is not one of 1 ... n_types."""
    outside = (bead_type < 1) | (bead_type > config.n_types)
    if outside.any():
        raise InputError(
            f"bead type {int(bead_type[outside][0])} is unknown to a model of types 1 to {config.n_types}: "
            "map the structure with the model's rules"
        )


class Potential(nn.Module):
    """E = energy_scale Σ_i MLP(x_i), F = -∂E/∂r; no prior energy terms.

    `energy_scale` [kcal/mol] is no parameter: training sets it once, from the size of the forces.
    """

    energy_scale: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.network = TensorNet(
            channels=config.channels,
            n_layers=config.layers,
            n_basis=config.rbf,
            cutoff=config.cutoff,
            n_types=config.n_types,
            group=config.group,
        )
        self.head = EnergyHead(config.channels)
        self.register_buffer("energy_scale", torch.tensor(1.0))

    def energy(self, graph: Graph) -> Tensor:
        """(n_systems,) [kcal/mol], up to a constant of each composition.

        Raises
        ------
        InputError
            if a bead type is not one of 1 ... n_types
        """
        check_types(graph.bead_type, self.config)
        return self.energy_scale * self.head(self.network(graph), graph.system_index, graph.n_systems)

    def energy_and_forces(self, graph: Graph, create_graph: bool = False) -> tuple[Tensor, Tensor]:
        """Energies (n_systems,) [kcal/mol] and forces (n_total, 3) [kcal/mol/Å].

        With `create_graph` both can be differentiated again, as force matching needs.
        """
        with torch.enable_grad():
            positions = graph.positions.detach().requires_grad_()
            energy = self.energy(graph._replace(positions=positions))
            (gradient,) = torch.autograd.grad(energy.sum(), positions, create_graph=create_graph)
        return (energy if create_graph else energy.detach()), -gradient
