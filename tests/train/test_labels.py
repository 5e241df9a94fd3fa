"""What is learned beside forces, how it is weighed, and what an energy's zero may do."""

import csv
import dataclasses
import math

import numpy as np
import pytest
import springs
import torch

from cgprot.errors import InputError
from cgprot.files.dataset import write_dataset
from cgprot.model.checkpoint import load_model
from cgprot.train import loop
from cgprot.train.batches import join_frames, prepare_frames
from cgprot.train.constants import EnergyConstants
from cgprot.train.data import prepare_data
from cgprot.train.loss import Objective, objective_for
from cgprot.train.measure import in_pieces
from cgprot.train.metrics import read_metrics

OTHERS = {"loss": {"energy": 1.0, "dipole": 1.0}, "outputs": ["dipole"]}


def with_properties(frames, **properties):
    return dataclasses.replace(frames, properties=dict(frames.properties) | properties)


def test_labels_stay_with_their_frames():
    entries = {"a": springs.spring_frames(3, 0), "b": springs.spring_frames(2, 1, n_beads=4)}
    frames = prepare_frames(entries, 5.0, ["energy", "dipole"])
    batch = join_frames([frames[4], frames[0], frames[2]])
    energies = {
        key: entry.properties["energy"] - entry.properties["energy"].mean() for key, entry in entries.items()
    }
    expected = [energies["b"][1], energies["a"][0], energies["a"][2]]
    np.testing.assert_allclose(batch.targets["energy"], expected, rtol=1e-5)
    dipoles = [entries["b"].properties["dipole"][1], *entries["a"].properties["dipole"][[0, 2]]]
    np.testing.assert_allclose(batch.targets["dipole"], dipoles, rtol=1e-5)
    assert batch.composition.tolist() == [1, 0, 0]


def test_an_energy_has_no_zero_of_its_own():
    """Adding a constant to all energies of a composition, in several entries, changes no label."""
    one, two, other = (
        springs.spring_frames(3, 0),
        springs.spring_frames(4, 1),
        springs.spring_frames(3, 2, n_beads=4),
    )
    shifted = [
        with_properties(frames, energy=frames.properties["energy"] + shift)
        for frames, shift in ((one, -1e6), (two, -1e6), (other, 77.0))
    ]
    plain = prepare_frames(dict(zip("abc", (one, two, other), strict=True)), 5.0, ["energy"])
    moved = prepare_frames(dict(zip("abc", shifted, strict=True)), 5.0, ["energy"])
    for before, after in zip(plain, moved, strict=True):
        np.testing.assert_allclose(before.targets["energy"], after.targets["energy"], rtol=1e-5, atol=1e-6)
    apart = prepare_frames({"a": one, "b": shifted[1], "c": other}, 5.0, ["energy"])
    assert abs(apart[0].targets["energy"]) > 1e5  # within a composition a shift is a difference


def test_constants_follow_the_mean_of_each_composition():
    generator, constants = torch.Generator().manual_seed(0), EnergyConstants(2)
    composition = torch.tensor([0, 0, 1, 0])
    offset = torch.tensor([500.0, -30.0])[composition]
    first = offset + torch.randn(4, generator=generator)
    assert constants.residual(first, torch.zeros(4), composition).tolist() == [0] * 4
    for _ in range(200):
        energy = offset + torch.randn(4, generator=generator)
        constants.update(constants.sums(energy, torch.zeros(4), composition))
    np.testing.assert_allclose(constants.value, [500.0, -30.0], atol=0.7)
    constants.update(constants.sums(energy[:2], torch.zeros(2), composition[:2]))
    assert not constants.value.isnan().any()
    np.testing.assert_allclose(constants.residual(offset, torch.zeros(4), composition), np.zeros(4), atol=0.7)


def test_energies_and_dipoles_are_learned(tmp_path):
    """Frames of two compositions: the parts of both signals that stay unexplained become small."""
    entries = {"a/300/0": springs.spring_frames(6, 0), "b/300/0": springs.spring_frames(6, 1, n_beads=4)}
    for name in ("train", "validation"):
        write_dataset(tmp_path / f"{name}.h5", entries)
    fast = {
        "learning_rate": 1e-2,
        "warmup_steps": 10,
        "ema_decay": 0.9,
        "validate_every": 50,
        "batch_frames": 6,
    }
    run = loop.train(springs.run_config(tmp_path, steps=150, **fast, **OTHERS), tmp_path / "run")
    first, *_, last = read_metrics(run)
    for name in ("energy", "dipole"):
        signal = last.others[f"validation_{name}_signal"]
        assert last.others[f"validation_{name}_rmse"] < 0.3 * signal
        assert last.others[f"validation_{name}_rmse"] < first.others[f"validation_{name}_rmse"]
    potential, metadata = load_model(run)
    assert potential.config.outputs == ("dipole",)
    assert metadata["learned"] == {"forces": 1.0, "dipole": 1.0, "energy": 1.0}


@pytest.mark.parametrize(
    ("change", "said"), [("missing", "no dipole among its labels"), ("nan", "energy not")]
)
def test_frames_without_a_label_that_is_learned_are_refused(tmp_path, change, said):
    springs.write_springs(tmp_path)
    frames = springs.spring_frames(3, 0)
    energy = np.array([0.0, np.nan, 1.0])
    bad = (
        with_properties(frames, energy=energy)
        if change == "nan"
        else dataclasses.replace(frames, properties={})
    )
    write_dataset(tmp_path / "train.h5", {"springs/300/0": bad})
    with pytest.raises(InputError, match=said) as caught:
        loop.train(springs.run_config(tmp_path, **OTHERS), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


def test_noise_weights_by_hand():
    noisy = [springs.spring_frames(2, k, noise=noise) for k, noise in enumerate((0.5, 3.0))]
    frames = prepare_frames(dict(zip("ab", noisy, strict=True)), 5.0)
    objective = objective_for(frames, {"forces": 1.0}, noise_weighting=1.0)
    forces = torch.zeros(24, 3, requires_grad=True)
    batch = join_frames(frames)
    loss = objective.loss({"forces": forces - batch.forces}, batch.force_noise, {"forces": 72})
    (gradient,) = torch.autograd.grad(loss, forces)
    weight = (gradient / (forces - batch.forces)).detach().numpy()
    # 8; 1/(noise + s)², the mistake that this is here for, has 7.1 and no weighting 1.
    np.testing.assert_allclose(weight[0, 0] / weight[-1, 0], (3.0**2 + 1) / (0.5**2 + 1), rtol=1e-4)
    plain = 2 / (72 * objective.signals["forces"] ** 2)
    np.testing.assert_allclose(weight.mean(), plain, rtol=1e-4)  # 1 on average


def test_noise_weighting_needs_known_noise(tmp_path):
    springs.write_springs(tmp_path)
    with pytest.raises(InputError, match=r"springs/300/0: the standard error .* not known") as caught:
        loop.train(springs.run_config(tmp_path, noise_weighting=0.5), tmp_path / "run")
    assert "\n" not in str(caught.value)


def test_shares_of_a_batch_add_up_to_its_loss_and_means_of_shares_do_not():
    """Shares of unlike size: weighed by components they are the whole; averaged by process they are not."""
    entries = {"a": springs.spring_frames(2, 0), "b": springs.spring_frames(1, 1, n_beads=4)}
    batch = join_frames(prepare_frames(entries, 5.0))
    objective = Objective({"forces": 1.0}, {"forces": 3.0})
    whole = objective.loss({"forces": batch.forces}, batch.force_noise, {"forces": 48})
    parts = batch.forces.split([12, 4])
    shares = [objective.loss({"forces": part}, part, {"forces": 48}) for part in parts]
    torch.testing.assert_close(sum(shares), whole)
    means = [objective.loss({"forces": part}, part, {"forces": part.numel()}) for part in parts]
    assert abs(sum(means) / 2 - whole) > 0.01 * whole


def test_held_out_frames_come_in_pieces_of_few_edges():
    edges = [5, 5, 30, 5, 5, 5, 5, 1, 1, 1, 1, 1]
    assert list(in_pieces([], edges, 10)) == []
    assert list(in_pieces(range(7), edges, 10)) == [[0, 1], [2], [3, 4], [5, 6]]
    assert list(in_pieces(range(12), edges, None)) == [list(range(8)), [8, 9, 10, 11]]


def test_score_with_forces_alone_is_their_rmse():
    assert math.isclose(Objective({"forces": 1.0}, {"forces": 3.0}).score({"forces": 0.7}), 0.7)
    both = Objective({"forces": 1.0, "energy": 0.25}, {"forces": 3.0, "energy": 10.0})
    assert math.isclose(both.score({"forces": 0.6, "energy": 4.0}), 3 * math.sqrt(0.2**2 + 0.25 * 0.4**2))


def test_shared_proteins_are_told_and_recorded(tmp_path, capsys):
    springs.write_springs(tmp_path)
    same, renamed = springs.spring_frames(3, 4), springs.spring_frames(3, 5)
    names = np.array(["HSE"] * renamed.system.n_beads)
    other = {
        "other/300/0": springs.spring_frames(3, 0, n_beads=4),
        "renamed/300/0": dataclasses.replace(
            renamed, system=dataclasses.replace(renamed.system, residue_name=names)
        ),
        "same/300/0": same,
    }
    write_dataset(tmp_path / "validation.h5", other)
    assert prepare_data(springs.run_config(tmp_path)).shared == ["renamed/300/0", "same/300/0"]
    run = loop.train(springs.run_config(tmp_path, steps=1), tmp_path / "run")
    (line,) = capsys.readouterr().err.splitlines()
    assert "same/300/0" in line
    assert "other/300/0" not in line
    assert '"same/300/0"' in (run / "run.json").read_text()
    table = list(csv.DictReader((run / "errors.csv").open()))
    assert {"all", "bead type"} <= {row["group"] for row in table}
