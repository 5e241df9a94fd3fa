"""The virial of residues: slopes of the energy along deformations, in molecules, batches and the loss."""

import csv
import dataclasses

import numpy as np
import pytest
import springs
import torch

from cgprot.files.dataset import write_dataset
from cgprot.train.batches import join_frames, prepare_frames
from cgprot.train.loop import train
from cgprot.train.measure import compared
from cgprot.train.virial import Residues, join_residues, residues_of

RESIDUE = np.array([0, 0, 0, 1, 2, 2, 2, 2])
RNG = np.random.default_rng(5)
POSITIONS = torch.tensor(RNG.normal(scale=3.0, size=(8, 3)))


def arms(positions, residue):
    """From the molecule's centre to that of every bead's residue."""
    centres = np.array([positions[residue == number].mean(0) for number in residue])
    return centres - positions.mean(0)


def test_virial_is_the_slope_of_the_energy_along_deformations():
    """-dU/dε of x + ε (e_a c_b + e_b c_a) / 2 over the root mean square of c, for U = Σ sin(w · x)."""
    w, x, step = RNG.normal(size=(8, 3)), POSITIONS.numpy(), 1e-5
    forces = torch.tensor(-w * np.cos((w * x).sum(1, keepdims=True)))
    found = residues_of(RESIDUE).project(springs.graph_of(POSITIONS), forces)
    assert found.shape == (1, 3, 3)
    c = arms(x, RESIDUE)
    for a in range(3):
        for b in range(3):
            strain = np.zeros((3, 3))
            strain[a, b] += 0.5
            strain[b, a] += 0.5
            up, down = (np.sin((w * (x + sign * step * c @ strain)).sum(1)).sum() for sign in (1, -1))
            expected = -(up - down) / (2 * step) / np.sqrt((c**2).sum() / 8)
            assert found[0, a, b].item() == pytest.approx(expected, rel=1e-6)


def test_forces_inside_a_residue_have_no_part_in_it():
    forces = torch.zeros(8, 3, dtype=torch.float64)
    forces[4], forces[7] = torch.tensor([1.0, 2, 3]), torch.tensor([-1.0, -2, -3])
    assert residues_of(RESIDUE).project(springs.graph_of(POSITIONS), forces).abs().max() < 1e-12
    forces[7], forces[0] = 0, forces[7].clone()
    assert residues_of(RESIDUE).project(springs.graph_of(POSITIONS), forces).abs().max() > 0.1


def test_a_common_pressure_grows_with_the_number_of_beads():
    """Every bead pushed outward alike: trace n, however large the molecule is."""
    for n, scale in ((20, 1.0), (20, 5.0), (80, 5.0)):
        x = RNG.normal(scale=scale, size=(n, 3))
        x -= x.mean(0)
        outward = x / np.sqrt((x**2).sum() / n)
        found = residues_of(np.arange(n)).project(springs.graph_of(torch.tensor(x)), torch.tensor(outward))
        assert torch.einsum("sii->s", found).item() == pytest.approx(n)


def test_one_residue_has_no_virial():
    found = residues_of(np.zeros(8, dtype=int)).project(
        springs.graph_of(POSITIONS), torch.ones(8, 3, dtype=torch.float64)
    )
    assert found.abs().max() == 0


def test_a_batch_is_its_systems():
    one, other = residues_of(RESIDUE), residues_of(RESIDUE[:5])
    places = [POSITIONS, POSITIONS[:5] + 1, POSITIONS * 1.1]
    forces = [torch.randn_like(place) for place in places]
    expected = [
        r.project(springs.graph_of(x), f) for r, x, f in zip([one, other, one], places, forces, strict=True)
    ]
    joined = join_residues([one, other, one])
    torch.testing.assert_close(
        joined.project(springs.graph_of(*places), torch.cat(forces)), torch.cat(expected)
    )


def two_residues(frames):
    """Springs whose beads belong to two residues."""
    numbers = np.arange(frames.system.n_beads) // 2
    return dataclasses.replace(frames, system=dataclasses.replace(frames.system, residue_id=numbers + 1))


def test_labels_are_projected_as_predictions_are():
    prepared = prepare_frames({"a/300/0": two_residues(springs.spring_frames(3, 0))}, 5.0, ["virial"])
    batch = join_frames(prepared[:3])
    _, label, _ = compared({"forces": batch.forces}, batch, ["forces", "virial"])["virial"]
    predicted, _, _ = compared({"forces": 2 * batch.forces}, batch, ["forces", "virial"])["virial"]
    torch.testing.assert_close(predicted, 2 * label)
    assert label.shape == (3, 3, 3)
    assert label.abs().max() > 0
    assert isinstance(batch.to(torch.device("cpu")).projections["virial"], Residues)


def test_the_virial_is_learned_beside_forces(tmp_path):
    for name, seed in (("train", 0), ("validation", 1)):
        write_dataset(tmp_path / f"{name}.h5", {"a/300/0": two_residues(springs.spring_frames(6, seed))})
    run = train(springs.run_config(tmp_path, steps=60, loss={"virial": 0.5}), tmp_path / "run")
    with open(run / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    first, last = (float(row["validation_virial_rmse"]) for row in (rows[0], rows[-1]))
    assert last < first
    frames = prepare_frames({"a/300/0": two_residues(springs.spring_frames(6, 1))}, 5.0, ["virial"])
    signal = torch.cat([frame.targets["virial"] for frame in frames]).square().mean().sqrt()
    assert float(rows[0]["validation_virial_signal"]) == pytest.approx(signal.item(), rel=1e-4)
