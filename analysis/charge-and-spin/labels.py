"""Energies and forces of two small systems that positions and bead types alone cannot tell apart.

    python labels.py        writes labels.npz beside this file, in about a minute on one core

methylene   CH2, every atom a bead, in the states (Q, S) = (0, 0), (0, 1), (+1, ½), (+1, 3/2)
formic      C, O, O of formic acid and of formate, both oxygens of one bead type: the hydrogens are no
            beads. They are relaxed on every heavy-atom frame, so that the energy is a function of the frame
            and its slope the force on the heavy atoms alone.

Unrestricted Hartree-Fock with PySCF, 6-31G for methylene and STO-3G for formic: labels for a study of
inputs, not of chemistry. Every state is followed from its own density at the reference geometry.
"""

from pathlib import Path

import numpy as np
from pyscf import gto, scf
from scipy.optimize import minimize
from tqdm import tqdm

HARTREE = 627.5094740631  # kcal/mol, CODATA 2018
BOHR = 0.529177210903  # Å, CODATA 2018
N_FRAMES = 36

METHYLENE = {"Q": (0, 0, 1, 1), "S": (0.0, 1.0, 0.5, 1.5)}
FORMIC_HEAVY = np.array([[0.0, 0.0, 0.0], [1.34, 0.0, 0.0], [-0.67, 1.01, 0.0]])  # C, O that binds H, O
FORMIC_HYDROGENS = {
    0: np.array([[-0.55, -0.94, 0.0], [1.64, 0.94, 0.0]]),
    -1: np.array([[-0.55, -0.94, 0.0]]),
}


class State:
    """One electronic state of some atoms, followed from frame to frame."""

    def __init__(self, elements: str, basis: str, charge: int, spin: float) -> None:
        self.elements, self.basis, self.charge, self.spin = elements, basis, charge, spin
        self.density = None

    def __call__(self, positions: np.ndarray) -> tuple[float, np.ndarray]:
        """Energy [kcal/mol] and forces [kcal/mol/Å] at positions [Å]."""
        molecule = gto.M(
            atom=list(zip(self.elements, positions, strict=True)),
            basis=self.basis,
            charge=self.charge,
            spin=round(2 * self.spin),
            verbose=0,
        )
        field = scf.UHF(molecule)
        field.conv_tol = 1e-10
        energy = field.kernel(dm0=self.density)
        if not field.converged:
            raise RuntimeError(f"{self.elements} at {positions.tolist()}: not converged")
        if self.density is None:
            self.density = field.make_rdm1()
        return energy * HARTREE, -field.nuc_grad_method().kernel() * HARTREE / BOHR


def methylene_frames(rng: np.random.Generator) -> np.ndarray:
    """Bond lengths 1.10 ± 0.05 Å and angles 120 ± 12°, the reference first; (N_FRAMES, 3, 3) [Å]."""
    r = 1.10 + rng.normal(scale=0.05, size=(N_FRAMES, 2))
    angle = np.deg2rad(120 + rng.normal(scale=12, size=N_FRAMES))
    r[0], angle[0] = 1.10, np.deg2rad(120)
    frames = np.zeros((N_FRAMES, 3, 3))
    frames[:, 1, 0] = r[:, 0]
    frames[:, 2, :2] = r[:, 1:] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return frames


def formic_frames(rng: np.random.Generator) -> np.ndarray:
    """Displacements of 0.03 Å, the reference first; (N_FRAMES, 3, 3) [Å]."""
    shift = rng.normal(scale=0.03, size=(N_FRAMES, 3, 3))
    shift[0] = 0
    return FORMIC_HEAVY + shift


def relaxed(state: State, heavy: np.ndarray, hydrogens: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy, forces on the heavy atoms, and the hydrogens where no force is left on them."""

    def fall(x: np.ndarray) -> tuple[float, np.ndarray]:
        energy, forces = state(np.concatenate([heavy, x.reshape(-1, 3)]))
        return energy, -forces[len(heavy) :].ravel()

    found = minimize(fall, hydrogens.ravel(), jac=True, method="BFGS", options={"gtol": 0.05})
    energy, forces = state(np.concatenate([heavy, found.x.reshape(-1, 3)]))
    if np.abs(forces[len(heavy) :]).max() > 0.2:
        raise RuntimeError(f"hydrogens not relaxed: {np.abs(forces[len(heavy) :]).max():.2f} kcal/mol/Å left")
    return energy, forces[: len(heavy)], found.x.reshape(-1, 3)


def label_methylene() -> dict[str, np.ndarray]:
    frames = methylene_frames(np.random.default_rng(1))
    energy, forces = np.empty((4, N_FRAMES)), np.empty((4, N_FRAMES, 3, 3))
    for k, (charge, spin) in enumerate(zip(METHYLENE["Q"], METHYLENE["S"], strict=True)):
        state = State("CHH", "6-31g", charge, spin)
        for n, frame in enumerate(tqdm(frames, desc=f"methylene {charge} {spin}")):
            energy[k, n], forces[k, n] = state(frame)
    return {"positions": frames, "energy": energy, "forces": forces}


def label_formic() -> dict[str, np.ndarray]:
    frames = formic_frames(np.random.default_rng(2))
    energy, forces = np.empty((2, N_FRAMES)), np.empty((2, N_FRAMES, 3, 3))
    for k, (charge, hydrogens) in enumerate(FORMIC_HYDROGENS.items()):
        state = State("COO" + "H" * len(hydrogens), "sto-3g", charge, 0.0)
        start = hydrogens
        for n, frame in enumerate(tqdm(frames, desc=f"formic {charge}")):
            energy[k, n], forces[k, n], found = relaxed(state, frame, start)
            start = found if n == 0 else start
    return {"positions": frames, "energy": energy, "forces": forces}


if __name__ == "__main__":
    systems = {"methylene": label_methylene(), "formic": label_formic()}
    arrays = {f"{name}_{key}": array for name, label in systems.items() for key, array in label.items()}
    np.savez_compressed(Path(__file__).with_name("labels.npz"), **arrays)
