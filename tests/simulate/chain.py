"""A short chain of beads on springs: all that a run needs, in microseconds."""

import numpy as np

from cgprot.beads import BeadFrames, BeadSystem

N_BEADS = 6
LENGTH = 1.5  # Å
STIFFNESS = 60.0  # kcal/mol/Å²
TETHER = 0.5  # kcal/mol/Å²


def chain_system() -> BeadSystem:
    order = np.arange(N_BEADS)
    return BeadSystem(
        bead_type=np.array([6, 2, 1, 9, 6, 2]),
        type_name=np.array(["NH1", "CH1", "CH0", "OH0", "NH1", "CH1"]),
        mass=np.array([15.0147, 13.0186, 12.0107, 15.9994, 15.0147, 13.0186]) + 1e-8,
        charge=np.zeros(N_BEADS),
        bonds=np.stack([order[:-1], order[1:]], axis=1),
        bead_of_atom=order,
        bead_name=np.array(["N", "CA", "C", "O", "N", "CA"]),
        residue_name=np.array(["GLY"] * 4 + ["ALA"] * 2),
        residue_id=np.array([1] * 4 + [2] * 2),
        chain=np.array(["A"] * N_BEADS),
        mapping="heavy",
        mapping_hash="0" * 64,
    )


def chain_start(n_frames: int = 1) -> BeadFrames:
    # Not representable in float32, so that a detour through it would show.
    steps = np.array([1.5, 0.1, 0.0]) * np.arange(N_BEADS)[:, None] + 1.0 / 3.0
    positions = np.stack([steps + 0.01 * k for k in range(n_frames)])
    return BeadFrames(chain_system(), positions)


def chain_forces(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    bond = positions[:, 1:] - positions[:, :-1]
    length = np.sqrt((bond**2).sum(axis=-1, keepdims=True))
    stretch = length - LENGTH
    tension = STIFFNESS * stretch * bond / length
    forces = -TETHER * positions
    forces[:, :-1] += tension
    forces[:, 1:] -= tension
    energy = 0.5 * STIFFNESS * (stretch**2).sum(axis=(1, 2)) + 0.5 * TETHER * (positions**2).sum(axis=(1, 2))
    return energy, forces
