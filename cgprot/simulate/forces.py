"""A network as the integrator sees it: a function of positions."""

import os
import sys
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from cgprot.beads import Forces
from cgprot.engine.compress import check_compressible, compress, compress_to_single
from cgprot.engine.cpu import CpuEngine
from cgprot.engine.cuda import CudaEngine
from cgprot.engine.device import gpu_record, use_own_gpu
from cgprot.engine.grid import SOFT
from cgprot.engine.tables import (
    CompressedPotential,
    holds_compressed,
    load_compressed,
    save_compressed,
    tabulate,
)
from cgprot.errors import InputError, UsageError
from cgprot.model.checkpoint import load_model, model_path
from cgprot.model.graph import build_graph
from cgprot.model.potential import Potential
from cgprot.simulate.integrator import Backend

Engine = Literal["compressed", "network"]
Device = Literal["cpu", "cuda"]
Model = Potential | CompressedPotential

_ENGINES: dict[Device, type[CpuEngine] | type[CudaEngine]] = {"cpu": CpuEngine, "cuda": CudaEngine}
TABLE_INTERVALS = 1024
# Besides the start the compression is measured on as many shaken copies of it; 0.05 Å is thermal motion.
_SHAKEN_COPIES = 4
_SHAKE = 0.05  # Å


def load(name: str) -> tuple[Model, dict]:
    """A model by the name of a shipped one or by path, or an engine's file; and its metadata.

    Raises
    ------
    UsageError
        if there is none
    InputError
        if the file is damaged or something else
    """
    path = model_path(name)
    return load_compressed(path) if holds_compressed(path) else load_model(name)


def export_engine(
    model: str, frames: np.ndarray, bead_type: np.ndarray, charge: np.ndarray, path: Path
) -> dict:
    """Write the compressed form of a model, its error measured on frames and on shaken copies of the first.

    Parameters
    ----------
    frames : (n_frames, n_beads, 3) [Å]
    bead_type : (n_beads,) int
    charge : (n_beads,) [e], formal
    path : new file

    Returns
    -------
    the largest errors, as of `cgprot.engine.compress`

    Raises
    ------
    UsageError
        if there is no such model
    InputError
        if its file is damaged, the error is beyond the tolerance, or the model cannot be compressed
    OSError
        if the disk refuses
    """
    potential, metadata = load_model(model)
    compressed = compress(potential, _tried(frames), bead_type, charge=_as_recorded(charge))
    save_compressed(path, compressed, metadata)
    return compressed.errors


def check_device(engine: Engine, device: Device) -> None:
    """Take this process's own GPU, where one is asked for; UsageError if there is none for the engine."""
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if device == "cuda" and engine == "compressed":
        use_own_gpu(local_rank)
    elif device == "cuda":
        n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if local_rank >= n_gpus:
            raise UsageError(
                f"device cuda: torch sees no GPU for process {local_rank}, {n_gpus} in all: look at cgprot "
                f"doctor, or use the cpu"
            )
        torch.cuda.set_device(local_rank)
        # Sums in a fixed order: a resumed run goes on to the same bits. cuBLAS wants the variable for it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)


def backend_of(engine: Engine, device: Device) -> Backend:
    """The integrator that goes with an engine."""
    return "cuda" if (engine, device) == ("compressed", "cuda") else "numba"


def choose_forces(
    engine: Engine,
    model: Model,
    bead_type: np.ndarray,
    charge: np.ndarray,
    start: np.ndarray,
    replicas: int,
    bonds: np.ndarray | None = None,
    box: np.ndarray | None = None,
    device: Device = "cpu",
) -> tuple[Forces, dict]:
    """The forces of a model by the chosen engine, and what run.json says of it.

    Parameters
    ----------
    engine : "compressed", tables and compiled loops, its error measured at the start; or "network",
        the readable network itself
    model : a compressed one brings the error that was measured when it was made
    bead_type : (n_beads,) int
    charge : (n_beads,) [e], formal
    start : (n_frames, n_beads, 3) [Å]
    replicas : how many the forces are asked for at once, by the compressed engine
    bonds : (n_bonds, 2) int, for a model with priors that need them
    box : (3, 3) [Å], rows are the box vectors, of all replicas; None in free space
    device : "cpu", or "cuda", this process's own GPU

    Raises
    ------
    InputError
        if the compressed form misses its tolerance, or there is none
    UsageError
        if there is no such device
    """
    check_device(engine, device)
    record: dict = {"name": engine, "device": device}
    if engine == "compressed":
        compressed = _compressed(model, bead_type, charge, start, box, device)
        record |= {"intervals": compressed.intervals, "soft": SOFT, "largest_errors": compressed.errors}
        if device == "cuda":
            record["gpu"] = gpu_record()
        if model.config.outputs:
            record["left_out"] = list(model.config.outputs)
        if model is compressed:
            record["model_sha256"] = compressed.model_sha256
    return recorded_forces(record, model, bead_type, charge, replicas, bonds, box), record


def _compressed(
    model: Model,
    bead_type: np.ndarray,
    charge: np.ndarray,
    start: np.ndarray,
    box: np.ndarray | None,
    device: Device,
) -> CompressedPotential:
    if isinstance(model, CompressedPotential):
        return model
    check_compressible(model)
    charge, kind = _as_recorded(charge), _ENGINES[device]
    try:
        return compress_to_single(model, _tried(start[:1]), bead_type, TABLE_INTERVALS, box, charge, kind)
    except InputError as error:
        raise InputError(f"{error}; or run the network itself with --engine network")


def _tried(frames: np.ndarray) -> np.ndarray:
    shake = np.random.default_rng(0).normal(scale=_SHAKE, size=(_SHAKEN_COPIES, *frames.shape[1:]))
    return np.concatenate([frames, frames[:1] + shake])


def recorded_forces(
    record: dict,
    model: Model,
    bead_type: np.ndarray,
    charge: np.ndarray,
    replicas: int,
    bonds: np.ndarray | None = None,
    box: np.ndarray | None = None,
) -> Forces:
    """The forces of the engine that `choose_forces` recorded, the same to the last bit on its device.

    Where tables of another version or another GPU were recorded, this is told to standard error.
    """
    device: Device = record.get("device", "cpu")
    check_device(record["name"], device)
    if record["name"] == "network":
        if isinstance(model, CompressedPotential):
            raise InputError("an engine's file holds no network: give the model that it came from")
        return forces_from(model.to(device), bead_type, charge, bonds, box)
    if record.get("soft") != SOFT:
        told = "the tables are of another version than at the start, from here on forces differ a little"
        print(f"cgprot simulate: {told}", file=sys.stderr)
    if "gpu" in record and record["gpu"] != (here := gpu_record()):
        told = f"begun on {_gpu(record['gpu'])}, goes on on {_gpu(here)}"
        print(f"cgprot simulate: {told}: from here on forces may differ in their last bits", file=sys.stderr)
    compressed = model if isinstance(model, CompressedPotential) else tabulate(model, record["intervals"])
    return _ENGINES[device](compressed, bead_type, replicas, box=box, charge=_as_recorded(charge))


def _gpu(record: dict[str, str]) -> str:
    return f"{record['name']} (CuPy {record['cupy']}, NVRTC {record['nvrtc']})"


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
