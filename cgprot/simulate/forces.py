"""A network as the integrator sees it: a function of positions."""

from collections.abc import Callable

import numpy as np
import torch

from cgprot.model.graph import build_graph
from cgprot.model.potential import Potential

Forces = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def forces_from(potential: Potential, bead_type: np.ndarray, cutoff: float | None = None) -> Forces:
    """The energies and forces of replicas by the reference network.

    Parameters
    ----------
    potential : evaluated in the floating-point type of its own weights
    bead_type : (n_beads,) int
    cutoff : [Å], that of the potential if None

    Returns
    -------
    function of positions (n_replicas, n_beads, 3) [Å] that gives energies (n_replicas,) [kcal/mol]
    and forces (n_replicas, n_beads, 3) [kcal/mol/Å], all float64
    """
    cutoff = potential.config.cutoff if cutoff is None else cutoff
    weights = next(potential.parameters())
    device = weights.device

    def forces(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        graph = build_graph(positions, bead_type, cutoff, weights.dtype)
        graph = graph._replace(
            positions=graph.positions.to(device),
            bead_type=graph.bead_type.to(device),
            system_index=graph.system_index.to(device),
            edges=graph.edges.to(device),
        )
        energy, force = potential.energy_and_forces(graph)
        return _float64(energy), _float64(force).reshape(positions.shape)

    return forces


def _float64(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float64)
