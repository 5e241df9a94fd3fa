"""A network as the integrator sees it: a function of positions."""

from collections.abc import Callable
from typing import Literal

import numpy as np
import torch

from cgprot.engine.compress import check_compressible, compress_to_single
from cgprot.engine.cpu import engine_forces
from cgprot.engine.tables import tabulate
from cgprot.errors import InputError
from cgprot.model.graph import build_graph
from cgprot.model.potential import Potential

Forces = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
Engine = Literal["compressed", "network"]

_TABLE_INTERVALS = 2048
# Besides the start the compression is measured on as many shaken copies of it; 0.05 Å is thermal motion.
_SHAKEN_COPIES = 4
_SHAKE = 0.05  # Å


def choose_forces(
    engine: Engine,
    potential: Potential,
    bead_type: np.ndarray,
    charge: np.ndarray,
    start: np.ndarray,
    replicas: int,
    bonds: np.ndarray | None = None,
    box: np.ndarray | None = None,
) -> tuple[Forces, dict]:
    """The forces of a potential by the chosen engine, and what run.json says of it.

    Parameters
    ----------
    engine : "compressed", tables and compiled loops, its error measured at the start; or "network",
        the readable network itself
    bead_type : (n_beads,) int
    charge : (n_beads,) [e], formal
    start : (n_frames, n_beads, 3) [Å]
    bonds : (n_bonds, 2) int, for a model with priors that need them
    box : (3, 3) [Å], rows are the box vectors, of all replicas; None in free space

    Raises
    ------
    InputError
        if the compressed form misses its tolerance, or there is none
    """
    if engine == "network":
        return forces_from(potential, bead_type, charge, bonds, box), {"name": engine}
    check_compressible(potential)
    charge = _as_recorded(charge)
    shake = np.random.default_rng(0).normal(scale=_SHAKE, size=(_SHAKEN_COPIES, *start.shape[1:]))
    try:
        frames = np.concatenate([start[:1], start[:1] + shake])
        compressed = compress_to_single(potential, frames, bead_type, _TABLE_INTERVALS, box, charge)
    except InputError as error:
        raise InputError(f"{error}; or run the network itself with --engine network")
    record = {"name": engine, "intervals": compressed.intervals, "largest_errors": compressed.errors}
    if potential.config.outputs:
        record["left_out"] = list(potential.config.outputs)
    return engine_forces(compressed, bead_type, replicas, box=box, charge=charge), record


def recorded_forces(
    record: dict,
    potential: Potential,
    bead_type: np.ndarray,
    charge: np.ndarray,
    replicas: int,
    bonds: np.ndarray | None = None,
    box: np.ndarray | None = None,
) -> Forces:
    """The forces of the engine that `choose_forces` recorded, the same to the last bit."""
    if record["name"] == "network":
        return forces_from(potential, bead_type, charge, bonds, box)
    compressed = tabulate(potential, record["intervals"])
    return engine_forces(compressed, bead_type, replicas, box=box, charge=_as_recorded(charge))


def _as_recorded(charge: np.ndarray) -> np.ndarray:
    """As a PSF holds them: a run resumed from one feels the same forces."""
    return np.round(charge, 6)


def forces_from(
    potential: Potential,
    bead_type: np.ndarray,
    charge: np.ndarray | None = None,
    bonds: np.ndarray | None = None,
    box: np.ndarray | None = None,
) -> Forces:
    """The energies and forces of replicas by the network itself.

    Parameters
    ----------
    potential : evaluated in the floating-point type and on the device of its own weights
    bead_type : (n_beads,) int
    charge : (n_beads,) [e], formal, for a model with charge as input
    bonds : (n_bonds, 2) int, for a model with priors that need them
    box : (3, 3) [Å], rows are the box vectors, of all replicas; positions may lie outside it

    Returns
    -------
    function of positions (n_replicas, n_beads, 3) [Å] that gives energies (n_replicas,) [kcal/mol]
    and forces (n_replicas, n_beads, 3) [kcal/mol/Å], all float64
    """
    weights = next(potential.parameters())
    if charge is not None:
        charge = _as_recorded(charge)

    def one(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        graph = build_graph(
            positions,
            bead_type,
            potential.config.reach,
            weights.dtype,
            box=box,
            charge=charge,
            total_charge=None if charge is None else charge.sum(),
            bonds=bonds,
        )
        energy, force = potential.energy_and_forces(graph.to(weights.device))
        return _float64(energy), _float64(force).reshape(positions.shape)

    def forces(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        # One by one: the last bits of a matrix product depend on how many rows it has, and a replica
        # is to be the same alone and among others. The engine for many replicas is the compressed one.
        energy, force = zip(*(one(replica[None]) for replica in positions), strict=True)
        return np.concatenate(energy), np.concatenate(force)

    return forces


def _float64(values: torch.Tensor) -> np.ndarray:
    return values.detach().cpu().numpy().astype(np.float64)
