"""Six beads on springs: a small system whose exact forces are known."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.files.dataset import write_dataset
from cgprot.model.graph import Graph
from cgprot.train.config import RunConfig

REST = np.array([[0.0, 0, 0], [1.5, 0, 0], [2.0, 1.4, 0], [3.4, 1.6, 0.5], [0.2, 1.4, 0.8], [1.2, 0.2, 1.9]])
TYPE_NAMES = np.array(["CH0", "CH1", "CH2", "CH1", "NH1", "OH0"])
CHARGES = np.array([1.0, -1.0, 0.5, -0.5, 0.0, 0.3])
TYPES = np.array([1, 2, 3, 2, 6, 9])


def system(mapping_hash: str = "abc", n: int = 6) -> BeadSystem:
    text = np.full(n, "A")
    return BeadSystem(
        bead_type=TYPES[:n].copy(),
        type_name=TYPE_NAMES[:n],
        mass=np.full(n, 12.0),
        charge=np.zeros(n),
        bonds=np.empty((0, 2), dtype=int),
        bead_of_atom=np.arange(n),
        bead_name=text,
        residue_name=text,
        residue_id=np.ones(n, dtype=int),
        chain=text,
        mapping="heavy",
        mapping_hash=mapping_hash,
    )


def spring_forces(positions: np.ndarray) -> np.ndarray:
    """F = -∂/∂r Σ_pairs ½ k (r - r0)², k = 20 kcal/mol/Å², r0 from REST; (n_frames, n_beads, 3)."""
    vector, distance, rest = _distances(positions)
    pull = 20.0 * (distance - rest) / distance
    return -(pull[..., None] * vector).sum(2)


def spring_energy(positions: np.ndarray) -> np.ndarray:
    """Σ_pairs ½ k (r - r0)², (n_frames,)."""
    _, distance, rest = _distances(positions)
    return 0.25 * 20.0 * ((distance - rest) ** 2).sum((1, 2))


def spring_dipole(positions: np.ndarray) -> np.ndarray:
    """Σ_i q_i r_i with charges that add up to zero, (n_frames, 3) [e Å]."""
    charge = CHARGES[: positions.shape[1]] - CHARGES[: positions.shape[1]].mean()
    return (charge[:, None] * positions).sum(1)


def _distances(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    n = positions.shape[1]
    vector = positions[:, :, None] - positions[:, None]
    distance = np.linalg.norm(vector, axis=-1) + np.eye(n)
    return vector, distance, np.linalg.norm(REST[:n, None] - REST[None, :n], axis=-1) + np.eye(n)


def spring_frames(
    n_frames: int, seed: int, noise: float = 0.0, mapping_hash: str = "abc", n_beads: int = 6
) -> BeadFrames:
    """Frames around REST; labels with `noise` [kcal/mol/Å] added, which is also their stated error."""
    rng = np.random.default_rng(seed)
    positions = REST[:n_beads] + rng.normal(scale=0.15, size=(n_frames, n_beads, 3))
    forces = spring_forces(positions)
    return BeadFrames(
        system=system(mapping_hash, n_beads),
        positions=positions,
        forces=forces + noise * rng.normal(size=forces.shape),
        force_noise=np.full(forces.shape, noise) if noise else None,
        properties={"energy": spring_energy(positions), "dipole": spring_dipole(positions)},
    )


def graph_of(*systems: torch.Tensor) -> Graph:
    """Positions of some systems as one graph without edges."""
    sizes = torch.tensor([len(positions) for positions in systems])
    index = torch.arange(len(systems)).repeat_interleave(sizes)
    return Graph(torch.cat(systems), torch.ones_like(index), index, index.new_zeros(2, 0), len(systems))


def write_springs(folder: Path) -> None:
    """train.h5 with 8 frames and validation.h5 with 6, with noisy labels."""
    write_dataset(
        folder / "train.h5", {"springs/300/0": spring_frames(5, 0), "springs/300/1": spring_frames(3, 1)}
    )
    write_dataset(folder / "validation.h5", {"springs/300/0": spring_frames(6, 2, noise=0.5)})


def run_config(
    folder: Path, *, loss: dict[str, float] | None = None, outputs: Sequence[str] = (), **train
) -> RunConfig:
    """A run over `write_springs`' data that takes a second."""
    settings = {"steps": 12, "batch_frames": 3, "validate_every": 4, "checkpoint_every": 5, "threads": 1}
    if "batch_edges" in train:
        del settings["batch_frames"]
    return RunConfig.model_validate(
        {
            "data": {"train": [folder / "train.h5"], "validation": [folder / "validation.h5"]},
            "model": {"channels": 16, "rbf": 16, "outputs": list(outputs)},
            "train": settings | train,
            "loss": loss or {},
        }
    )
