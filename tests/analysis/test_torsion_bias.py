"""The torque about φ and ψ, against the slope of an energy that depends on the angle alone."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torsion_bias

from cgprot.beads import BeadFrames
from cgprot.files.dataset import write_dataset
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.model.checkpoint import load_model
from cgprot.reference.structure import structure_from_sequence, topology_of
from cgprot.train.evaluate import compared

ROOT = Path(__file__).parents[2]


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
    beads = torsion_bias.four_beads("", system, torsion)
    forces, step = np.zeros_like(positions), 2e-3  # positions become single precision in the angle
    for bead in beads:
        for axis in range(3):
            moved = np.zeros_like(positions)
            moved[:, bead, axis] = step
            up, down = (torsion_bias.angles(positions + sign * moved, beads) for sign in (1, -1))
            forces[:, bead, axis] = -3 * (np.cos(np.radians(up)) - np.cos(np.radians(down))) / (2 * step)
    expected = 3 * np.sin(np.radians(torsion_bias.angles(positions, beads)))
    found = torsion_bias.torques("", system, positions, forces, beads)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_a_constant_torque_sums_up_in_proportion(capsys):
    angle = np.linspace(-179.9, 179.9, 1000)
    torsion_bias.report(angle, np.full(1000, -0.5))
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.endswith("torque, model - labels    minus its sum")
    assert len(rows) == 12
    assert rows[0].split()[:4] == ["-180", "to", "-150", "84"]
    assert "+0.26 ± 0.00" in rows[0]
    assert "+3.14 ± 0.00" in rows[-1]


def test_a_sum_does_not_reach_over_bins_without_frames(capsys):
    angle = np.repeat([-175.0, 5.0, 180.0], 50)
    torsion_bias.report(angle, np.tile(np.linspace(0, 2, 50), 3))
    rows = capsys.readouterr().out.splitlines()[1:]
    assert rows[5].split() == ["-30", "to", "0", "0", "too", "few"]
    assert rows[6].split() == ["0", "to", "30", "50", "+1.00", "±", "0.08", "-0.52", "±", "0.04"]
    assert rows[0].split()[3] == "100"  # 180 is -180


def test_longer_peptides_are_refused():
    system, _ = beads_of("ACE-ALA-GLY-NME")
    with pytest.raises(SystemExit, match="ACE-X-NME"):
        torsion_bias.four_beads("", system, "psi")


def test_a_ring_is_refused():
    system, positions = beads_of("ACE-PRO-NME")
    beads = torsion_bias.four_beads("p/300/0", system, "phi")
    with pytest.raises(SystemExit, match="p/300/0: this bond is in a ring"):
        torsion_bias.torques("p/300/0", system, positions, positions, beads)


@pytest.mark.parametrize("torsion", ["phi", "psi"])
def test_the_model_is_compared_with_the_labels(tmp_path, monkeypatch, torsion):
    """Labels that are the model's own forces leave nothing; where they lack half, that half."""
    system, positions = beads_of("ACE-ALA-NME")
    potential, _ = load_model("heavy-demo")
    rest = {"system": system, "positions": positions, "time": np.arange(4.0)}
    bare = BeadFrames(**rest, forces=np.zeros_like(positions), temperature=300.0)
    forces = np.concatenate([part.forces for part in compared([potential], {"a/300/0": bare})])
    files = [str(tmp_path / "300.h5"), str(tmp_path / "350.h5")]
    for file, kelvin, share in zip(files, (300.0, 350.0), (0.0, 0.5), strict=True):
        frames = BeadFrames(**rest, forces=(1 - share) * forces, temperature=kelvin)
        write_dataset(Path(file), {f"a/{kelvin:g}/0": frames})
    reported = []
    monkeypatch.setattr(torsion_bias, "report", lambda *found: reported.append(found))
    monkeypatch.setattr(sys, "argv", ["torsion_bias.py", "heavy-demo", *files, "--torsion", torsion])
    torsion_bias.main()
    phi = torsion_bias.angles(positions, torsion_bias.four_beads("", system, "phi"))
    kept = phi < 0 if torsion == "psi" else np.full(4, True)
    beads = torsion_bias.four_beads("", system, torsion)
    expected = torsion_bias.torques("", system, positions, forces, beads)[kept]
    (_, same), (angle, half) = reported
    np.testing.assert_allclose(same, 0, atol=1e-3)
    np.testing.assert_allclose(half, 0.5 * expected, atol=1e-3)
    np.testing.assert_allclose(angle, torsion_bias.angles(positions, beads)[kept])
    assert np.abs(expected).min() > 0.1
