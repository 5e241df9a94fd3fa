"""The torque about φ and ψ, against the slope of an energy that depends on the angle alone."""

import sys
from pathlib import Path

import numpy as np
import pytest

from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference.structure import structure_from_sequence, topology_of

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "analysis" / "validation"))

import torsion_bias  # noqa: E402


def beads_of(sequence):
    structure = structure_from_sequence(sequence)
    topology = topology_of(structure.topology)
    system = build_system(topology, load_rules("heavy"))
    rng = np.random.default_rng(2)
    positions = structure.positions[topology.element != "H"]
    return system, positions + rng.normal(scale=0.1, size=(4, *positions.shape))


@pytest.mark.parametrize("torsion", ["phi", "psi"])
@pytest.mark.parametrize("sequence", ["ACE-ALA-NME", "ACE-TRP-NME"])
def test_torque_of_an_energy_of_the_angle_is_its_slope(torsion, sequence):
    """E = 3 cos θ, forces by central differences: the torque is 3 sin θ, whichever side turns."""
    system, positions = beads_of(sequence)
    beads = torsion_bias.four_beads(system, torsion)
    forces, step = np.zeros_like(positions), 2e-3  # positions become single precision in the angle
    for bead in beads:
        for axis in range(3):
            moved = np.zeros_like(positions)
            moved[:, bead, axis] = step
            up, down = (torsion_bias.angles(positions + sign * moved, beads) for sign in (1, -1))
            forces[:, bead, axis] = -3 * (np.cos(np.radians(up)) - np.cos(np.radians(down))) / (2 * step)
    expected = 3 * np.sin(np.radians(torsion_bias.angles(positions, beads)))
    found = torsion_bias.torques(system, positions, forces, beads)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_a_constant_torque_tilts_the_free_energy_in_proportion(capsys):
    angle = np.linspace(-179.9, 179.9, 1000)
    torsion_bias.report(angle, np.full(1000, -0.5))
    rows = capsys.readouterr().out.splitlines()[1:]
    assert len(rows) == 12
    assert rows[0].split()[:4] == ["-180", "to", "-150", "84"]
    assert "+0.26 ± 0.00" in rows[0]
    assert "+3.14 ± 0.00" in rows[-1]


def test_bins_without_frames_are_left_empty(capsys):
    torsion_bias.report(np.full(50, 5.0), np.linspace(0, 2, 50))
    rows = capsys.readouterr().out.splitlines()[1:]
    assert rows[5].split() == ["-30", "to", "0", "0"]
    assert "+1.00 ± 0.08" in rows[6]


def test_longer_peptides_are_refused():
    system, _ = beads_of("ACE-ALA-GLY-NME")
    with pytest.raises(SystemExit, match="ACE-X-NME"):
        torsion_bias.four_beads(system, "psi")
