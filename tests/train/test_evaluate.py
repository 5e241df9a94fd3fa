"""The signal explained: exact where the error is known, noise taken off, and as sure as it says."""

import csv
import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import springs
import torch

from cgprot.files.dataset import write_dataset
from cgprot.model.checkpoint import save_model
from cgprot.model.potential import ModelConfig, Potential
from cgprot.train.blocks import blocks_of, interval, ratios
from cgprot.train.evaluate import GROUPS, measure
from cgprot.train.table import report


class Springs:
    """The exact forces of the springs, times a factor."""

    config = SimpleNamespace(reach=5.0)

    def __init__(self, factor: float) -> None:
        self.factor = factor

    def energy_and_forces(self, graph):
        forces = springs.spring_forces(graph.positions.numpy().reshape(-1, 6, 3).astype(np.float64))
        return torch.zeros(graph.n_systems), torch.from_numpy(self.factor * forces.reshape(-1, 3))


def row_of(members, entries, group="all"):
    return next(row for row in measure(members, entries).rows if row.group == group)


def test_known_part_of_the_signal_is_found():
    entries = {"a/300/0": springs.spring_frames(30, 0)}
    row = row_of([Springs(0.9)], entries)
    np.testing.assert_allclose(row.rmse, 0.1 * row.signal, rtol=1e-5)
    np.testing.assert_allclose([row.explained, row.explained_low, row.explained_high], 0.99, rtol=1e-6)
    assert math.isnan(row.mean_force_rmse)  # no standard errors
    assert row_of([Springs(-1.0)], entries).explained == pytest.approx(-3.0)


def test_noise_is_taken_off_both_error_and_signal():
    """At a noise as large as the signal the bare ratio would say 49 %."""
    noise = 8.0
    frames = springs.spring_frames(1500, 1, noise=noise)
    row = row_of([Springs(0.9)], {"a/300/0": frames})
    signal = np.sqrt(np.mean(springs.spring_forces(frames.positions) ** 2))
    assert row.explained_low < 0.99 < row.explained_high
    assert row.explained_high - row.explained_low < 0.06
    assert row.mean_force_rmse_low <= 0.1 * signal <= row.mean_force_rmse_high
    assert not row.explained_low < 1 - (row.rmse / row.signal) ** 2 < row.explained_high


def test_no_error_is_left_where_there_is_none():
    row = row_of([Springs(1.0)], {"a/300/0": springs.spring_frames(300, 2, noise=2.0)})
    assert (row.mean_force_rmse_low, row.explained_high) == (0.0, 1.0)
    assert row.mean_force_rmse**2 < 0.25  # three standard deviations of 2² over 5400 numbers


def test_groups_add_up():
    frames = springs.spring_frames(4, 0)
    object.__setattr__(frames.system, "residue_name", np.array(["ALA", "ALA", "ALA", "GLY", "GLY", "GLY"]))
    entries = {
        "b/300/0": frames,
        "a/1000/0": springs.spring_frames(7, 1),
        "set.h5:a/300/1": springs.spring_frames(2, 2),
    }
    rows = measure([Springs(0.5)], entries).rows
    assert list(dict.fromkeys(row.group for row in rows)) == list(GROUPS)
    names = {group: [row.name for row in rows if row.group == group] for group in GROUPS}
    assert names["protein"] == ["a", "b"]
    assert names["temperature"] == ["300 K", "1000 K"]
    assert names["residue"] == ["A", "ALA", "GLY"]
    assert set(names["entry"]) == set(entries)
    (glycine,) = (row for row in rows if row.name == "GLY")
    np.testing.assert_allclose(glycine.rmse, 0.5 * np.sqrt(np.mean(frames.forces[:, 3:] ** 2)), rtol=1e-5)
    total = rows[0]
    for group in GROUPS:
        parts = [row for row in rows if row.group == group]
        assert sum(row.n_components for row in parts) == total.n_components == 13 * 18
        square = sum(row.n_components * row.rmse**2 for row in parts)
        np.testing.assert_allclose(square, total.n_components * total.rmse**2)


def test_blocks_follow_the_square_root():
    assert blocks_of(1).tolist() == [0]
    assert blocks_of(10).tolist() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]


def coverage(correlated_for: int, by_block: bool, n_frames: int = 400, trials: int = 120) -> float:
    """How often the interval holds the true part explained, 0.9; errors wax and wane along the frames."""
    rng, held = np.random.default_rng(3), 0
    for _ in range(trials):
        wave = np.repeat(rng.normal(size=n_frames // correlated_for), correlated_for)
        square = 0.1 * wave**2
        sums = np.stack([np.ones(n_frames), square, square, np.ones(n_frames), np.zeros(n_frames)], axis=1)
        blocks = blocks_of(n_frames) if by_block else np.arange(n_frames)
        low, high = interval(np.array([sums[blocks == block].sum(0) for block in np.unique(blocks)]))
        held += low[1] <= 0.9 <= high[1]
    return held / trials


def test_interval_holds_the_truth_as_often_as_it_says():
    assert 0.85 < coverage(correlated_for=1, by_block=True) <= 1
    assert 0.85 < coverage(correlated_for=10, by_block=True) <= 1


def test_interval_is_as_wide_as_the_errors_scatter():
    """The standard error of a mean of five blocks, not √(4/5) of it."""
    rng, widths, means = np.random.default_rng(5), [], []
    for _ in range(300):
        square = 0.1 + 0.01 * rng.normal(size=5)
        sums = np.stack([np.ones(5), square, square, np.ones(5), np.zeros(5)], axis=1)
        low, high = interval(sums, level=0.68)
        widths.append((high[1] - low[1]) / 2)
        means.append(square.mean())
    np.testing.assert_allclose(np.mean(np.square(widths)), np.var(means), rtol=0.15)


def test_frames_taken_for_independent_would_be_too_sure():
    assert coverage(correlated_for=10, by_block=False) < 0.7


def test_many_blocks_are_joined_without_loss_of_any():
    rng = np.random.default_rng(0)
    sums = rng.random((1001, 5)) * [1, 0.1, 1, 1, 0]
    low, high = interval(sums)
    assert low[1] < ratios(sums.sum(0))[1] < high[1]
    assert np.isnan(interval(sums[:4])).all()


def test_ratios_by_hand():
    """Of a label's square 30 noise is 6, of the error's 10 it is 6 too: 4 of 24 stay unexplained."""
    np.testing.assert_allclose(ratios([4.0, 10.0, 5.0, 30.0, 6.0]), [(10 - 6) / 4, 1 - 4 / 24])
    square, explained = ratios([4.0, 10.0, 5.0, 30.0, np.nan])  # noise not known: the bare ratio
    assert np.isnan(square)
    assert explained == pytest.approx(1 - 10 / 30)


def test_labels_that_are_all_noise_explain_nothing():
    assert np.isnan(ratios(np.array([3.0, 4, 4, 5, 6]))[1])


def test_spread_of_a_committee_that_errs_by_its_spread():
    """Members (1 + d) F and (1 + 3 d) F: on every bead the error is √2 times the spread."""
    frames = springs.spring_frames(30, 4)
    members = [Springs(1.1), Springs(1.3)]
    found = report(members, measure(members, {"a/300/0": frames}))
    length = np.linalg.norm(springs.spring_forces(frames.positions), axis=-1).ravel()
    np.testing.assert_allclose(found.evaluation.spread, 0.1 * math.sqrt(2 / 3) * length, rtol=1e-4)
    np.testing.assert_allclose(found.evaluation.square, (0.2 * length) ** 2 / 3, rtol=1e-4)
    assert (found.quality.auroc_beads, found.quality.auroc_frames) == (1.0, 1.0)


def test_noise_is_taken_off_a_beads_error():
    frames = springs.spring_frames(400, 5, noise=3.0)
    members = [Springs(1.0), Springs(1.0)]
    evaluation = measure(members, {"a/300/0": frames})
    assert abs(evaluation.square.mean()) < 0.4  # of 9
    assert report(members, evaluation).quality.auroc_beads == 0.5  # no spread at all


@pytest.fixture
def committee(tmp_path):
    for number in range(2):
        torch.manual_seed(number)
        folder = tmp_path / "committee" / f"member_{number}"
        folder.mkdir(parents=True)
        extra = {"committee": {"member": number, "size": 2}}
        potential = Potential(ModelConfig(channels=8, rbf=8))
        save_model(folder / "model.safetensors", potential, "heavy", "abc", {}, extra)
    write_dataset(tmp_path / "set.h5", {"s/300/0": springs.spring_frames(30, 0, noise=0.5)})
    return tmp_path / "committee"


def test_a_folder_of_a_committee(call, committee, tmp_path):
    folder = tmp_path / "errors"
    code, out, _ = call("evaluate", committee, tmp_path / "set.h5", "-o", folder)
    assert code == 0
    assert "committee of 2: spread" in out
    assert "AUROC" in out
    record = json.loads((folder / "run.json").read_text())
    assert record["committee"]["size"] == 2
    assert 0 <= record["committee"]["auroc_beads"] <= 1
    pictures = {"forces", "proteins", "temperatures", "residues", "bead_types", "spread"}
    assert {path.stem for path in folder.glob("*.png")} == pictures
    rows = list(csv.DictReader((folder / "errors.csv").open()))
    assert rows[0]["group"] == "all"
    assert float(rows[0]["explained_low"]) <= float(rows[0]["explained"]) <= float(rows[0]["explained_high"])
    code, _, err = call("evaluate", committee, tmp_path / "set.h5", "-o", folder)
    assert (code, "exists already" in err) == (2, True)


def test_a_single_model_has_no_spread(call, committee, tmp_path):
    code, out, _ = call("evaluate", committee / "member_1", tmp_path / "set.h5", "-o", tmp_path / "one")
    assert (code, "AUROC" in out, (tmp_path / "one" / "spread.png").exists()) == (0, False, False)
