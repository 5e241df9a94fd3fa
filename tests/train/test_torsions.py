"""Forces along torsions: derivatives of rotations, in frames and in batches, and as a part of the loss."""

import csv
import dataclasses

import numpy as np
import pytest
import springs
import torch
from scipy.spatial.transform import Rotation

from cgprot.errors import InputError
from cgprot.files.dataset import write_dataset
from cgprot.train.batches import join_frames, prepare_frames
from cgprot.train.loop import train
from cgprot.train.measure import compared
from cgprot.train.torsions import Torsions, join_torsions, torsions_of

# A chain of six beads with a branch at bead 2 and a ring behind bead 5.
BONDS = np.array([[0, 1], [1, 2], [2, 3], [2, 4], [4, 5], [5, 6], [6, 7], [7, 5]])
N_BEADS = 8


@pytest.fixture
def positions():
    return torch.tensor(np.random.default_rng(3).normal(scale=2.0, size=(N_BEADS, 3)))


def rotated(positions, torsions, number, angle):
    """The beads that a rotation moves, turned by an angle."""
    first, second = positions[torsions.axis[number]].numpy()
    moved = positions.numpy().copy()
    own = torsions.bead[torsions.row == number].numpy()
    turn = Rotation.from_rotvec(angle * (second - first) / np.linalg.norm(second - first))
    moved[own] = turn.apply(moved[own] - second) + second
    return torch.tensor(moved)


def test_bonds_that_turn_something():
    found = torsions_of(BONDS, N_BEADS)
    # Not 0-1 and 2-3, which end there, nor those of the ring.
    assert {tuple(sorted(axis)) for axis in found.axis.tolist()} == {(1, 2), (2, 4), (4, 5)}
    moved = {tuple(a): found.bead[found.row == k].tolist() for k, a in enumerate(found.axis.tolist())}
    assert moved == {(2, 1): [0], (2, 4): [5, 6, 7], (4, 5): [6, 7]}
    ring = np.array([[0, 1], [1, 2], [2, 3], [3, 0]])
    assert len(torsions_of(ring, 4).axis) == 0
    assert len(torsions_of(np.zeros((0, 2), dtype=int), 3).axis) == 0


def test_directions_are_those_in_which_a_rotation_moves(positions):
    torsions, step = torsions_of(BONDS, N_BEADS), 1e-5
    directions = torsions.directions(positions)
    for number in range(len(torsions.axis)):
        own = torsions.row == number
        ahead, behind = (rotated(positions, torsions, number, sign * step) for sign in (1, -1))
        moved = ((ahead - behind) / (2 * step))[torsions.bead[own]]
        torch.testing.assert_close(directions[own], moved / moved.norm(), rtol=1e-6, atol=1e-8)


def test_projected_forces_are_derivatives_of_the_energy(positions):
    """-dU/dθ = norm · g for U = Σ sin(w · x)."""
    torsions, step = torsions_of(BONDS, N_BEADS), 1e-5
    w = torch.tensor(np.random.default_rng(4).normal(size=(N_BEADS, 3)))
    forces = -w * torch.cos((w * positions).sum(1, keepdim=True))

    def energy(x):
        return torch.sin((w * x).sum(1)).sum()

    for number, found in enumerate(torsions.project(springs.graph_of(positions), forces)):
        ahead, behind = (rotated(positions, torsions, number, sign * step) for sign in (1, -1))
        moved = ((ahead - behind) / (2 * step)).norm()
        expected = -(energy(ahead) - energy(behind)) / (2 * step)
        assert found * moved == pytest.approx(expected.item(), rel=1e-6)


def test_the_bonds_own_force_has_no_part_in_it(positions):
    torsions = torsions_of(BONDS, N_BEADS)
    stretch = positions[torsions.axis[0, 1]] - positions[torsions.axis[0, 0]]
    forces = torch.zeros(N_BEADS, 3, dtype=torch.float64)
    forces[torsions.axis[0, 1]], forces[torsions.axis[0, 0]] = stretch, -stretch  # a bond's own force
    assert torsions.project(springs.graph_of(positions), forces)[0].abs() < 1e-12


def test_beads_on_the_axis_have_no_such_force():
    line = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0]])
    torsions = torsions_of(np.array([[0, 1], [1, 2], [2, 3]]), 4)
    assert torsions.project(springs.graph_of(line), torch.ones(4, 3)).tolist() == [0.0]


def test_a_batch_is_its_systems(positions):
    one, other = torsions_of(BONDS, N_BEADS), torsions_of(BONDS[:4], 5)
    joined = join_torsions([one, other, one], [N_BEADS, 5, N_BEADS])
    places = [positions, positions[:5] + 1, positions * 1.1]
    forces = [torch.randn_like(place) for place in places]
    expected = [
        t.project(springs.graph_of(x), f) for t, x, f in zip([one, other, one], places, forces, strict=True)
    ]
    torch.testing.assert_close(
        joined.project(springs.graph_of(*places), torch.cat(forces)), torch.cat(expected)
    )


def chained(frames):
    """Springs whose beads are bonded to a chain."""
    bonds = np.array([[k, k + 1] for k in range(frames.system.n_beads - 1)])
    return dataclasses.replace(frames, system=dataclasses.replace(frames.system, bonds=bonds))


def test_labels_are_projected_as_predictions_are():
    prepared = prepare_frames({"a/300/0": chained(springs.spring_frames(3, 0))}, 5.0, ["torsions"])
    batch = join_frames(prepared[:3])
    _, label, _ = compared({"forces": batch.forces}, batch, ["forces", "torsions"])["torsions"]
    predicted, _, _ = compared({"forces": 2 * batch.forces}, batch, ["forces", "torsions"])["torsions"]
    torch.testing.assert_close(predicted, 2 * label)
    assert len(label) == 3 * len(prepared[0].projections["torsions"].axis) > 0
    assert isinstance(batch.to(torch.device("cpu")).projections["torsions"], Torsions)


def test_torsions_are_learned_beside_forces(tmp_path):
    for name, seed in (("train", 0), ("validation", 1)):
        write_dataset(tmp_path / f"{name}.h5", {"a/300/0": chained(springs.spring_frames(6, seed))})
    config = springs.run_config(tmp_path, steps=60, loss={"torsions": 0.5})
    run = train(config, tmp_path / "run")
    with open(run / "metrics.csv", newline="") as stream:
        rows = list(csv.DictReader(stream))
    first, last = (float(row["validation_torsions_rmse"]) for row in (rows[0], rows[-1]))
    assert last < first
    frames = prepare_frames({"a/300/0": chained(springs.spring_frames(6, 1))}, 5.0, ["torsions"])
    signal = torch.cat([frame.targets["torsions"] for frame in frames]).square().mean().sqrt()
    assert float(rows[0]["validation_torsions_signal"]) == pytest.approx(signal.item(), rel=1e-4)


def test_data_without_a_torsion_are_refused(tmp_path):
    springs.write_springs(tmp_path)
    with pytest.raises(InputError, match="torsions"):
        train(springs.run_config(tmp_path, loss={"torsions": 0.5}), tmp_path / "run")
