import numpy as np
import pytest

from cgprot.beads import BeadFrames

from .peptide import peptide


@pytest.fixture
def valines():
    """Three valines between caps: six centres with three neighbours, four peptide bonds."""
    return peptide([-60.0, -120.0, 57.0], [-45.0, 130.0, 47.0], sidechains=("CB", "CG1", "CG2"))


@pytest.fixture
def rotated():
    """A function that turns and shifts positions rigidly."""

    def turn(positions, seed=0):
        rng = np.random.default_rng(seed)
        rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
        return positions @ (rotation * np.sign(np.linalg.det(rotation))).T + rng.uniform(-20, 20, 3)

    return turn


@pytest.fixture
def wobbling(valines, rotated):
    """A function: frames of the valines that shake by 0.02 Å and tumble."""

    def shake(n_frames=20, seed=0, temperature=300.0):
        system, positions = valines
        noise = 0.02 * np.random.default_rng(seed).standard_normal((n_frames, *positions.shape))
        frames = np.array([rotated(positions + shift, number) for number, shift in enumerate(noise)])
        return BeadFrames(system, frames, time=2.0 * np.arange(n_frames), temperature=temperature)

    return shake
