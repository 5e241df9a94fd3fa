"""Six beads on springs: a small system whose exact forces are known."""

from pathlib import Path

import numpy as np

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.files.dataset import write_dataset
from cgprot.train.config import RunConfig

REST = np.array([[0.0, 0, 0], [1.5, 0, 0], [2.0, 1.4, 0], [3.4, 1.6, 0.5], [0.2, 1.4, 0.8], [1.2, 0.2, 1.9]])
TYPE_NAMES = np.array(["CH0", "CH1", "CH2", "CH1", "NH1", "OH0"])
TYPES = np.array([1, 2, 3, 2, 6, 9])


def system(mapping_hash: str = "abc") -> BeadSystem:
    n = len(REST)
    text = np.full(n, "A")
    return BeadSystem(
        bead_type=TYPES.copy(),
        type_name=TYPE_NAMES,
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
    """F = -∂/∂r Σ_pairs ½ k (r - r0)², k = 20 kcal/mol/Å², r0 from REST; (n_frames, 6, 3)."""
    vector = positions[:, :, None] - positions[:, None]
    distance = np.linalg.norm(vector, axis=-1) + np.eye(6)
    rest = np.linalg.norm(REST[:, None] - REST[None], axis=-1) + np.eye(6)
    pull = 20.0 * (distance - rest) / distance
    return -(pull[..., None] * vector).sum(2)


def spring_frames(n_frames: int, seed: int, noise: float = 0.0, mapping_hash: str = "abc") -> BeadFrames:
    """Frames around REST; labels with `noise` [kcal/mol/Å] added, which is also their stated error."""
    rng = np.random.default_rng(seed)
    positions = REST + rng.normal(scale=0.15, size=(n_frames, 6, 3))
    forces = spring_forces(positions)
    return BeadFrames(
        system=system(mapping_hash),
        positions=positions,
        forces=forces + noise * rng.normal(size=forces.shape),
        force_noise=np.full(forces.shape, noise) if noise else None,
    )


def write_springs(folder: Path) -> None:
    """train.h5 with 8 frames and validation.h5 with 6, with noisy labels."""
    write_dataset(
        folder / "train.h5", {"springs/300/0": spring_frames(5, 0), "springs/300/1": spring_frames(3, 1)}
    )
    write_dataset(folder / "validation.h5", {"springs/300/0": spring_frames(6, 2, noise=0.5)})


def run_config(folder: Path, **train) -> RunConfig:
    """A run over `write_springs`' data that takes a second."""
    settings = {"steps": 12, "batch_frames": 3, "validate_every": 4, "checkpoint_every": 5, "threads": 1}
    return RunConfig.model_validate(
        {
            "data": {"train": [folder / "train.h5"], "validation": [folder / "validation.h5"]},
            "model": {"channels": 16, "rbf": 16},
            "train": settings | train,
        }
    )
