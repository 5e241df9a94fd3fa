"""The forces that a cutoff hides, against the slope of their energy, and their share between residues."""

from pathlib import Path

import beyond_cutoff
import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

ROOT = Path(__file__).parents[2]

RNG = np.random.default_rng(3)
POSITIONS = RNG.uniform(0, 12, size=(14, 3))
SIGMA, EPSILON = RNG.uniform(3.0, 3.6, 14), RNG.uniform(0.05, 0.2, 14)
CUTOFF = 5.0


def energy(positions):
    """Of the pairs that are beyond the cutoff in POSITIONS, by the textbook."""
    first, second = np.nonzero(np.triu(squareform(pdist(POSITIONS)) >= CUTOFF, 1))
    r = np.linalg.norm(positions[first] - positions[second], axis=1)
    ratio = (SIGMA[first] + SIGMA[second]) / 2 / r
    return (4 * np.sqrt(EPSILON[first] * EPSILON[second]) * (ratio**12 - ratio**6)).sum()


def test_hidden_forces_are_the_slope_of_the_energy():
    forces = beyond_cutoff.hidden_forces(POSITIONS, SIGMA, EPSILON, CUTOFF)
    step = 1e-5
    for bead, axis in ((0, 0), (3, 1), (9, 2), (13, 0)):
        moved = np.zeros_like(POSITIONS)
        moved[bead, axis] = step
        slope = (energy(POSITIONS + moved) - energy(POSITIONS - moved)) / (2 * step)
        np.testing.assert_allclose(forces[bead, axis], -slope, rtol=1e-6)
    near = beyond_cutoff.hidden_forces(POSITIONS, SIGMA, EPSILON, 6.0)
    assert not np.allclose(near, forces, rtol=1e-2)


def test_parameters_are_those_of_the_heavy_atoms():
    structure = ROOT / "analysis" / "validation" / "structures" / "chignolin.pdb"
    names = [line[12:16].strip() for line in structure.read_text().splitlines() if line.startswith("ATOM")]
    names = [name for name in names if not name.lstrip("123").startswith("H")]
    sigma, epsilon = beyond_cutoff.lennard_jones(structure, names)
    assert len(sigma) == len(epsilon) == 93
    np.testing.assert_allclose([sigma[1], epsilon[1]], [3.39967, 0.1094], rtol=1e-4)  # CT of parm10
    with pytest.raises(SystemExit, match="not the beads"):
        beyond_cutoff.lennard_jones(structure, names[::-1])


def test_a_pull_between_two_residues_is_found_there():
    residue = np.array([0, 0, 1, 1, 2, 2, 3])
    positions = RNG.normal(size=(5, 7, 3)) + 4 * residue[:, None]
    first, last = positions[:, :2].mean(1), positions[:, 6]
    line = (last - first) / np.linalg.norm(last - first, axis=1, keepdims=True)
    forces = np.zeros_like(positions)
    forces[:, 1], forces[:, 6] = 1.5 * line, -1.5 * line
    found = beyond_cutoff.between_residues(positions, forces, residue)
    assert beyond_cutoff.pairs(4) == [(0, 2), (0, 3), (1, 3)]
    np.testing.assert_allclose(found[:, 1], -1.5)  # together


def test_expansion_is_the_work_of_moving_residues_apart():
    """Of the hidden energy, by central differences; residues keep their shape."""
    residue = np.repeat([0, 1, 2, 3], [4, 3, 5, 2])
    forces = beyond_cutoff.hidden_forces(POSITIONS, SIGMA, EPSILON, CUTOFF)
    centres = np.array([POSITIONS[residue == number].mean(0) for number in residue]) - POSITIONS.mean(0)
    step = 1e-6
    slope = (energy(POSITIONS + step * centres) - energy(POSITIONS - step * centres)) / (2 * step)
    found = beyond_cutoff.expansion(POSITIONS[None], forces[None], residue)
    np.testing.assert_allclose(found, [-0.01 * slope], rtol=1e-6)


def test_a_few_frames_tell_nothing(monkeypatch):
    labels, structure = ROOT / "examples" / "chignolin_300K.h5", ROOT / "examples" / "chignolin.pdb"
    arguments = ["beyond_cutoff.py", "heavy-demo", str(labels), str(structure), "--kelvin", "299"]
    monkeypatch.setattr("sys.argv", arguments)
    with pytest.raises(SystemExit, match=r"chignolin_300K\.h5: fewer than 10 frames up to 299 K"):
        beyond_cutoff.main()
