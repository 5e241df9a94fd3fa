"""Potentials of random weights for the tests of the engines, and all ways to run them under one interface."""

import copy
import sys
from collections.abc import Callable
from unittest.mock import patch

import numpy as np
import pytest
import torch
from cuda_on_c import cupy_on_c

from cgprot.engine.cpu import CpuEngine
from cgprot.engine.cuda import CudaEngine
from cgprot.engine.tables import tabulate
from cgprot.model.graph import build_graph
from cgprot.model.potential import ModelConfig, Potential

Forces = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
TYPES = np.array([1, 4, 2, 7, 3, 9, 12, 2, 1, 5])
INTERVALS = 2048


def potential_of(scale: float = 1.0, seed: int = 0, **config) -> Potential:
    """12 channels, so that padding to 16 is at work in every test."""
    torch.manual_seed(seed)
    potential = Potential(ModelConfig(**{"channels": 12, "rbf": 8, **config}))
    for parameter in potential.parameters():  # zero biases and unit norms would hide mistakes
        parameter.data += 0.1 * torch.randn_like(parameter)
    potential.energy_scale.fill_(scale)
    return potential


def cluster(seed: int = 0, n_replicas: int = 1) -> np.ndarray:
    """Ten beads at least 1.2 Å apart; (n_replicas, 10, 3) [Å]."""
    rng = np.random.default_rng(seed)
    lattice = np.array([(i, j, k) for i in range(3) for j in range(2) for k in range(2)])[:10] * 2.2
    return lattice + rng.uniform(-0.5, 0.5, size=(n_replicas, 10, 3))


def model_forces(potential: Potential, bead_type: np.ndarray, dtype=torch.float64, charge=None) -> Forces:
    exact = copy.deepcopy(potential).to(dtype)

    def forces(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = None if charge is None else np.sum(charge)
        graph = build_graph(
            positions, bead_type, potential.config.cutoff, dtype, charge=charge, total_charge=total
        )
        energy, force = exact.energy_and_forces(graph)
        return energy.numpy(), force.numpy().reshape(positions.shape)

    return forces


def cuda_on_c(*arguments, source: str | None = None, order: int = 0, **settings) -> CudaEngine:
    """The engine of the GPU with its kernels compiled by the C compiler; see `cupy_on_c`."""
    with patch.dict(sys.modules, cupy=cupy_on_c(source, order)):
        return CudaEngine(*arguments, **settings)


def cuda_on_gpu(*arguments, **settings) -> CudaEngine:
    """The engine of the GPU on one; for tests marked gpu."""
    return CudaEngine(*arguments, **settings)


ON_GPU = pytest.param(cuda_on_gpu, marks=pytest.mark.gpu)
ENGINES = [CpuEngine, cuda_on_c, ON_GPU]
each_engine = pytest.mark.parametrize("engine", ENGINES)


def forces_by(engine: Callable) -> Callable[..., Forces]:
    """What makes the forces of a potential by this engine, for any number of replicas."""

    def make(potential: Potential, bead_type: np.ndarray, dtype=np.float64, charge=None) -> Forces:
        compressed = tabulate(potential, INTERVALS)

        def forces(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return engine(compressed, bead_type, len(positions), dtype, charge=charge)(positions)

        return forces

    return make
