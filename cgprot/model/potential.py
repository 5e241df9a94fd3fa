"""The learned energy of the beads and the forces that follow from it."""

from typing import Literal

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor, nn

from cgprot.errors import InputError
from cgprot.model.charge import Charge
from cgprot.model.graph import Graph
from cgprot.model.heads import EnergyHead, Output, OutputHead
from cgprot.model.pairs import within
from cgprot.model.priors import Priors
from cgprot.model.tensornet import Features, TensorNet


class ModelConfig(BaseModel):
    """The shape of a network; it travels with the weights.

    Attributes
    ----------
    channels, layers, rbf, cutoff, group, basis : see `TensorNet`
    n_types : bead types are 1 ... n_types
    charge, spin : the inputs beside positions and bead types, see `cgprot.model.charge`
    energy_shift : [kcal/mol], added once to each system
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    channels: int = Field(default=64, ge=2, le=4096)
    layers: int = Field(default=1, ge=0, le=64)
    rbf: int = Field(default=32, ge=2, le=4096)
    cutoff: float = Field(default=5.0, gt=0)  # Å
    group: Literal["O(3)", "SO(3)"] = "O(3)"
    n_types: int = Field(default=12, ge=1, le=10**6)
    outputs: tuple[Output, ...] = ()  # beside energy and forces
    basis: Literal["expnorm", "gauss"] = "expnorm"
    charge: Charge = "none"
    spin: bool = False
    priors: Priors = Priors()  # energies added to the network's
    energy_shift: float = 0.0

    @property
    def reach(self) -> float:
        """The distance up to which the edges of a graph are needed, priors included [Å]."""
        return max(self.cutoff, self.priors.reach)

    @model_validator(mode="after")
    def _check_inputs(self) -> "ModelConfig":
        if self.layers == 0 and (self.charge != "none" or self.spin):
            raise ValueError("charge and spin act in the interaction layers: set layers to 1 or more")
        if self.charge == "bead" and self.spin:
            raise ValueError('the spin belongs to a whole system: set charge to "total" or "none" with it')
        return self


def check_types(bead_type: Tensor | np.ndarray, config: ModelConfig) -> None:
    """Raise InputError if a bead type is not one of 1 ... n_types."""
    outside = (bead_type < 1) | (bead_type > config.n_types)
    if outside.any():
        raise InputError(
            f"bead type {int(bead_type[outside][0])} is unknown to a model of types 1 to {config.n_types}: "
            "map the structure with the model's rules"
        )


class Potential(nn.Module):
    """E = energy_scale Σ_i MLP(x_i) + energy_shift + priors (none by default); F = -∂E/∂r.

    `energy_scale` [kcal/mol] is no parameter: training sets it once, from the size of the forces. `outputs`
    holds one `OutputHead` for each name in the configuration's outputs.
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
            basis=config.basis,
            charge=config.charge,
            spin=config.spin,
        )
        self.head = EnergyHead(config.channels)
        self.outputs = nn.ModuleDict({name: OutputHead(name, config.channels) for name in config.outputs})
        self.register_buffer("energy_scale", torch.tensor(1.0))

    def energy(self, graph: Graph) -> Tensor:
        """(n_systems,) [kcal/mol], up to a constant of each composition.

        Raises
        ------
        InputError
            if a bead type is not one of 1 ... n_types, or the graph lacks the charge or spin that the
            model needs
        """
        return self.energy_of(self.features(graph), graph)

    def energy_and_forces(self, graph: Graph, create_graph: bool = False) -> tuple[Tensor, Tensor]:
        """Energies (n_systems,) [kcal/mol] and forces (n_total, 3) [kcal/mol/Å].

        With `create_graph` both can be differentiated again, as force matching needs.
        """
        values = self._differentiate(graph, create_graph, {})
        return values["energy"], values["forces"]

    def predict(self, graph: Graph, create_graph: bool = False) -> dict[str, Tensor]:
        """Energies, forces and all other outputs from one pass of the network.

        Parameters
        ----------
        create_graph : whether what is returned can be differentiated again

        Returns
        -------
        "energy" (n_systems,) [kcal/mol], "forces" (n_total, 3) [kcal/mol/Å], and for each name in the
        configuration's outputs n_total or n_systems scalars (), vectors (3,) or symmetric tensors (3, 3)
        """
        return self._differentiate(graph, create_graph, dict(self.outputs.items()))

    def features(self, graph: Graph) -> Features:
        """What the network makes of every bead."""
        check_types(graph.bead_type, self.config)
        longer = self.config.reach > self.config.cutoff
        return self.network(within(graph, self.config.cutoff) if longer else graph)

    def energy_of(self, features: Features, graph: Graph) -> Tensor:
        """(n_systems,) [kcal/mol], from the features of the graph."""
        learned = self.head(features.invariants, graph.system_index, graph.n_systems)
        learned = self.energy_scale * learned + self.config.energy_shift
        return learned + self.config.priors.energy(graph)

    def _differentiate(
        self, graph: Graph, create_graph: bool, heads: dict[str, nn.Module]
    ) -> dict[str, Tensor]:
        with torch.enable_grad():
            positions = graph.positions.detach().requires_grad_()
            graph = graph._replace(positions=positions)
            features = self.features(graph)
            values = {"energy": self.energy_of(features, graph)}
            values |= {name: head(features, graph) for name, head in heads.items()}
            (gradient,) = torch.autograd.grad(values["energy"].sum(), positions, create_graph=create_graph)
            values["forces"] = -gradient
        return values if create_graph else {name: value.detach() for name, value in values.items()}
