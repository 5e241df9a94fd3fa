"""Constant pushes on residues are found in their own axes; noise alone is none."""

import dataclasses
import sys

import numpy as np
import pytest
import residue_forces
from scipy.spatial.transform import Rotation

from cgprot.files.dataset import write_dataset
from cgprot.model.checkpoint import load_model
from cgprot.train.evaluate import compared

PUSH = np.array([0.6, -0.3, 0.2])  # in the residue's axes


def labelled(frames, pushed):
    """The model's own forces as labels, less a push on two beads of one residue; frames turned at random."""
    model, _ = load_model("heavy-demo")
    turns = Rotation.random(len(frames), random_state=1).as_matrix()
    positions = np.einsum("fij,fbj->fbi", turns, frames.positions)
    frames = dataclasses.replace(frames, positions=positions, forces=np.zeros_like(positions))
    forces = np.concatenate([part.forces for part in compared([model], {"a/300/0": frames})])
    beads = residue_forces.residues(frames.system)[pushed]
    axes = residue_forces.own_axes(positions[:, beads[:3]])
    forces[:, beads[[0, 4]]] -= np.einsum("fij,i->fj", axes, PUSH / 2)[:, None]
    return dataclasses.replace(frames, forces=forces, force_noise=np.zeros_like(forces))


def lines(capsys, monkeypatch, *words):
    monkeypatch.setattr(sys, "argv", ["residue_forces.py", *map(str, words)])
    residue_forces.main()
    return {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}


def test_a_push_on_one_residue_is_found_there_alone(chignolin, tmp_path, capsys, monkeypatch):
    pushed = list(residue_forces.residues(chignolin.system))[2]
    write_dataset(tmp_path / "a.h5", {"a/300/0": labelled(chignolin, pushed)})
    found = lines(capsys, monkeypatch, "heavy-demo", tmp_path / "a.h5")
    assert float(found[pushed][0]) == pytest.approx(np.linalg.norm(PUSH), abs=0.01)
    assert all(float(words[0]) < 0.01 for name, words in found.items() if name not in (pushed, "all"))
    expected = np.sqrt((PUSH**2).sum() / 3 / len(residue_forces.residues(chignolin.system)))
    assert float(found["all"][0]) == pytest.approx(expected, abs=0.01)
    assert [
        float(word) for word in (found[pushed][4].strip(","), found[pushed][6].strip(","))
    ] == pytest.approx([np.linalg.norm(PUSH) / 2] * 2, abs=0.01)


def test_axes_turn_with_the_residue_and_not_with_its_distances():
    corner = np.random.default_rng(2).normal(size=(1, 3, 3))
    turn = Rotation.random(random_state=3)
    axes = residue_forces.own_axes(corner)[0]
    np.testing.assert_allclose(axes @ axes.T, np.eye(3), atol=1e-12)
    np.testing.assert_allclose(
        residue_forces.own_axes(turn.apply(corner[0])[None] + 5)[0], turn.apply(axes), atol=1e-12
    )


def test_random_errors_are_taken_off():
    """Of many residues the mean square of what is left is that of the push, without and with one."""
    rng = np.random.default_rng(4)
    for push in (0.0, 0.5):
        vectors = push / np.sqrt(3) + rng.normal(size=(20, 4000, 3))
        square, error = residue_forces.squares(vectors)
        assert square.mean() == pytest.approx(push**2, abs=0.01)
        assert error.mean() == pytest.approx(1 / np.sqrt(20), rel=0.02)


def test_noise_alone_is_no_error_of_all_residues(chignolin, capsys):
    """The mean over residues is taken before what is below zero becomes zero."""
    rng, found = np.random.default_rng(5), []
    positions = np.repeat(chignolin.positions, 3, axis=0)
    for _ in range(40):
        residue_forces.report(chignolin.system, positions, rng.normal(size=positions.shape))
        found.append(float(capsys.readouterr().out.splitlines()[-1].split()[1]))
    assert np.median(found) < 0.15  # the noise of a residue's component is near 0.9


def test_one_frame_has_no_mean(chignolin, tmp_path, capsys, monkeypatch):
    frames = labelled(chignolin, list(residue_forces.residues(chignolin.system))[2])
    one = {name: getattr(frames, name)[:1] for name in ("positions", "forces", "force_noise", "time")}
    write_dataset(tmp_path / "a.h5", {"a/300/0": dataclasses.replace(frames, **one)})
    with pytest.raises(SystemExit, match="fewer than two"):
        lines(capsys, monkeypatch, "heavy-demo", tmp_path / "a.h5")
    with pytest.raises(SystemExit, match="fewer than two"):
        lines(capsys, monkeypatch, "heavy-demo", tmp_path / "a.h5", "--temperature", 350)
