"""Compress a trained potential, measure what that costs, refuse if it is too much."""

import copy
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch

from cgprot.engine.cpu import CpuEngine
from cgprot.engine.cuda import CudaEngine
from cgprot.engine.tables import CompressedPotential, tabulate
from cgprot.errors import InputError
from cgprot.model.graph import build_graph
from cgprot.model.potential import Potential
from cgprot.model.tensornet import TensorNet

FIRST_INTERVALS = 512
LARGE_FORCE = 100.0  # kcal/mol/Å, the size of force that the tolerance of float32 refers to


@dataclass(frozen=True)
class Tolerance:
    """The largest error allowed, of any force component [kcal/mol/Å] and of an energy per bead [kcal/mol].

    `table` is measured in float64; `single` in float32, all together; for frames with forces beyond
    100 kcal/mol/Å it grows in proportion to the largest.
    """

    table_force: float = 1e-4
    table_energy: float = 1e-5
    single: float = 1e-3


def compress(
    potential: Potential,
    positions: np.ndarray,
    bead_type: np.ndarray,
    tolerance: Tolerance | None = None,
    max_intervals: int = 8192,
    charge: np.ndarray | None = None,
) -> CompressedPotential:
    """The compressed form of a potential, with the coarsest tables that meet the tolerance.

    Parameters
    ----------
    potential : a trained TensorNet
    positions : (n_frames, n_beads, 3) [Å], frames of the kind that it will be used for
    bead_type : (n_beads,) int
    tolerance : the defaults of `Tolerance` if None
    max_intervals : table intervals at which to give up
    charge : (n_beads,) [e], formal, for a model with these or their sum as input

    Raises
    ------
    InputError
        if no table is good enough, float32 is not, or the potential is no TensorNet
    """
    check_compressible(potential)
    tolerance = Tolerance() if tolerance is None else tolerance
    exact = _exact(potential, positions, bead_type, None, charge)
    intervals = FIRST_INTERVALS
    while True:
        compressed = tabulate(potential, intervals)
        force, energy = _errors(compressed, positions, bead_type, exact, np.float64, None, charge)
        if force <= tolerance.table_force and energy <= tolerance.table_energy:
            break
        if 2 * intervals > max_intervals:
            raise InputError(
                f"tables of {intervals} intervals miss forces by {force:.1e} kcal/mol/Å and energies by "
                f"{energy:.1e} kcal/mol per bead, {asdict(tolerance)} allowed: raise max_intervals"
            )
        intervals *= 2
    errors = {"table_force": force, "table_energy": energy}
    errors |= _single(compressed, positions, bead_type, exact, tolerance, None, charge)
    return replace(compressed, errors=errors)


def compress_to_single(
    potential: Potential,
    positions: np.ndarray,
    bead_type: np.ndarray,
    intervals: int,
    box: np.ndarray | None = None,
    charge: np.ndarray | None = None,
    engine: type[CpuEngine] | type[CudaEngine] = CpuEngine,
) -> CompressedPotential:
    """Tables of a given fineness, for use in float32 alone.

    As `compress`, but what is measured is the error of the float32 engine as a whole, so that the
    float64 one need not be compiled.

    Parameters
    ----------
    potential, positions, bead_type : as for `compress`
    intervals : table intervals between 0 and the cutoff
    box : (3, 3) [Å] of all frames, rows are the box vectors; None in free space
    charge : as for `compress`
    engine : which is to use them, and is measured

    Raises
    ------
    InputError
        if float32 misses the tolerance, or the potential is no TensorNet
    """
    check_compressible(potential)
    compressed = tabulate(potential, intervals)
    exact = _exact(potential, positions, bead_type, box, charge)
    errors = _single(compressed, positions, bead_type, exact, Tolerance(), box, charge, engine)
    return replace(compressed, errors=errors)


def check_compressible(potential: Potential) -> None:
    """Raise InputError unless energy and forces are TensorNet's alone; other outputs are left out."""
    config = potential.config
    beyond: list[str] = []
    if not isinstance(potential.network, TensorNet):
        beyond.append(type(potential.network).__name__)
    if config.spin:
        beyond.append("a spin as input")
    beyond += [f"the prior {name}" for name in config.priors.chosen]
    if beyond:
        raise InputError(
            f"a model with {', '.join(beyond)} cannot be compressed: run the network itself, in a simulation "
            "with --engine network"
        )


def _single(
    compressed: CompressedPotential,
    positions: np.ndarray,
    bead_type: np.ndarray,
    exact: tuple[np.ndarray, np.ndarray],
    tolerance: Tolerance,
    box: np.ndarray | None,
    charge: np.ndarray | None,
    engine: type[CpuEngine] | type[CudaEngine] = CpuEngine,
) -> dict[str, float]:
    """The error of float32, all together; refused if it is beyond the tolerance."""
    single = max(_errors(compressed, positions, bead_type, exact, np.float32, box, charge, engine))
    allowed = tolerance.single * max(1.0, float(np.abs(exact[1]).max()) / LARGE_FORCE)
    if not single <= allowed:
        raise InputError(
            f"float32 misses forces or energies by {single:.1e}, {allowed:.1e} allowed: use float64"
        )
    return {"single": single}


def _exact(
    potential: Potential,
    positions: np.ndarray,
    bead_type: np.ndarray,
    box: np.ndarray | None,
    charge: np.ndarray | None,
) -> tuple[np.ndarray, np.ndarray]:
    """Energies (n_frames,) and forces of the network itself in float64, frame by frame to spare memory."""
    network = copy.deepcopy(potential).double().cpu()
    energies, forces = [], []
    for frame in positions:
        graph = build_graph(
            frame[None],
            bead_type,
            potential.config.cutoff,
            torch.float64,
            box=box,
            charge=charge,
            total_charge=None if charge is None else np.sum(charge),
        )
        energy, force = network.energy_and_forces(graph)
        energies.append(energy.item())
        forces.append(force.numpy())
    return np.array(energies), np.array(forces)


def _errors(
    compressed: CompressedPotential,
    positions: np.ndarray,
    bead_type: np.ndarray,
    exact: tuple[np.ndarray, np.ndarray],
    dtype: type,
    box: np.ndarray | None,
    charge: np.ndarray | None,
    engine: type[CpuEngine] | type[CudaEngine] = CpuEngine,
) -> tuple[float, float]:
    """The largest error of a force component, and of an energy per bead."""
    energy, forces = engine(compressed, bead_type, len(positions), dtype, box, charge=charge)(positions)
    force_error, energy_error = np.abs(forces - exact[1]).max(), np.abs(energy - exact[0]).max()
    return float(force_error), float(energy_error / len(bead_type))
