"""The trainer learns what it is shown: one batch to 1e-3 of its signal, a spring to 1 % of its constant."""

import dataclasses

import numpy as np
import springs

from cgprot.beads import BeadFrames
from cgprot.files.dataset import write_dataset
from cgprot.model.checkpoint import load_model
from cgprot.model.graph import build_graph
from cgprot.train import loop
from cgprot.train.metrics import read_metrics

FAST = {"learning_rate": 1e-2, "warmup_steps": 10, "ema_decay": 0.9, "final_learning_rate": 0.0}
K, REST = 20.0, 1.5  # kcal/mol/Å², Å


def trained(folder, frames, steps, **more):
    for name in ("train", "validation"):
        write_dataset(folder / f"{name}.h5", {"springs/300/0": frames})
    settings = FAST | {"batch_frames": len(frames), "validate_every": steps, "checkpoint_every": steps} | more
    return loop.train(springs.run_config(folder, steps=steps, **settings), folder / "run")


def unexplained(folder, frames, steps=400):
    """RMSE of the forces on the very frames that were learned, in units of their signal."""
    row = read_metrics(trained(folder, frames, steps))[-1]
    return row.validation_force_rmse_kcal_mol_A / row.signal_kcal_mol_A


def test_one_batch_is_learned_to_a_thousandth_of_the_signal(tmp_path):
    assert unexplained(tmp_path, springs.spring_frames(2, 0, n_beads=4)) < 1e-3


def test_forces_that_no_energy_has_cannot_be_learned(tmp_path):
    """The planted mistake: a twist of 1 % about an axis, which a trainer of energies must leave over."""
    frames = springs.spring_frames(2, 0, n_beads=4)
    twist = np.cross([0.0, 0.0, 1.0], frames.positions - frames.positions.mean(1, keepdims=True))
    part = 0.01 * np.sqrt(np.mean(frames.forces**2) / np.mean(twist**2))
    twisted = dataclasses.replace(frames, forces=frames.forces + part * twist)
    assert unexplained(tmp_path, twisted, steps=200) > 3e-3


def spring(n_frames, stiffness):
    """Two beads on one spring, at distances from 1.2 to 1.8 Å in random directions."""
    rng = np.random.default_rng(0)
    direction = rng.normal(size=(n_frames, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    distance = np.linspace(1.2, 1.8, n_frames)[:, None]
    positions = np.stack([0 * direction, distance * direction], axis=1)
    pull = -stiffness * (distance - REST) * direction
    return BeadFrames(springs.system(n=2), positions, forces=np.stack([-pull, pull], axis=1))


def learned_constant(folder, frames):
    """-dF/dr of the trained model, fitted over the distances of the data [kcal/mol/Å²]."""
    potential, _ = load_model(trained(folder, frames, 300))
    distance = np.linspace(1.25, 1.75, 21)
    positions = np.zeros((21, 2, 3))
    positions[:, 1, 0] = distance
    graph = build_graph(positions, springs.TYPES[:2], 5.0)
    forces = potential.energy_and_forces(graph)[1].view(21, 2, 3)[:, 1, 0]
    return -np.polyfit(distance, forces.numpy(), 1)[0]


def test_the_constant_of_a_spring_is_recovered_to_one_percent(tmp_path):
    assert abs(learned_constant(tmp_path, spring(12, K)) / K - 1) < 0.01


def test_the_recovery_tells_a_spring_of_two_percent_more(tmp_path):
    """The planted mistake: labels in which 1 kcal were 4.27 kJ, say."""
    assert abs(learned_constant(tmp_path, spring(12, 1.02 * K)) / K - 1) > 0.01
