"""A real loop on a capped dipeptide: an undertrained network trips, its frames are labelled, it learns."""

import csv
import json
import shutil
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
import torch

from cgprot.errors import InputError, UnstableError
from cgprot.files.dataset import read_dataset, write_dataset
from cgprot.files.folder import amend_run, read_run
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.model.checkpoint import load_tensors
from cgprot.reference.label import LabelConfig, label
from cgprot.reference.structure import structure_from_sequence, topology_of
from cgprot.refine import dynamics, labels, rounds
from cgprot.refine.command import refine, resume_refine
from cgprot.refine.config import RefineConfig
from cgprot.refine.log import Round
from cgprot.refine.pick import TRIP
from cgprot.refine.proteins import prepare_proteins
from cgprot.refine.retrain import next_config, trained_run
from cgprot.simulate import beginning
from cgprot.simulate.forces import choose_forces
from cgprot.simulate.minimise import minimise
from cgprot.train import loop
from cgprot.train.config import RunConfig, recorded_config

# Labels by this platform are the same to the last bit.
CONFIG = RefineConfig(
    rounds=1, time_ps=0.5, every_ps=0.05, replicas=2, frames_per_round=12, samples=10, steps=40, share=0.5,
    learning_rate=3e-3, platform="Reference", largest_force=2000.0,
)  # fmt: skip
SEQUENCE = "ACE-GLY-NME"


def labelled(sequence, n_frames, seed):
    """Mean forces of randomly shifted copies of an extended peptide."""
    structure = structure_from_sequence(sequence)
    topology = topology_of(structure.topology)
    system = build_system(topology, load_rules("heavy"))
    positions = np.repeat(structure.positions[None], n_frames, axis=0)
    config = LabelConfig(samples=10, displace=0.05, seed=seed)
    return label(structure, system, positions, np.arange(float(n_frames)), 300.0, config)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A committee of two that has seen next to nothing."""
    folder = tmp_path_factory.mktemp("refine")
    write_dataset(folder / "gly.h5", {"gly/300/0": labelled(SEQUENCE, 12, 1)})
    write_dataset(folder / "ala.h5", {"ala/300/0": labelled("ACE-ALA-NME", 4, 2)})
    config = {
        "data": {"train": [folder / "gly.h5"], "validation": [folder / "ala.h5"]},
        "model": {"channels": 8, "rbf": 8},
        "train": {"steps": 10, "batch_frames": 4, "committee": 2, "threads": 1, "warmup_steps": 0,
                  "learning_rate": 3e-3, "validate_every": 5, "checkpoint_every": 10},
    }  # fmt: skip
    return loop.train(RunConfig.model_validate(config), folder / "run")


def simplify(patch):
    """So small a network needs no compiled engine, and no long search for a minimum that it has not."""
    patch.setattr(dynamics, "choose_forces", lambda _, *rest: choose_forces("network", *rest))
    patch.setattr(beginning, "minimise", partial(minimise, most_steps=20))


@pytest.fixture(autouse=True)
def simple(monkeypatch):
    simplify(monkeypatch)


@pytest.fixture(scope="module")
def refined(run):
    with pytest.MonkeyPatch.context() as patch:
        simplify(patch)
        refine(run, [], [SEQUENCE], CONFIG, run.parent / "refined")
    return run.parent / "refined"


def row(folder):
    return next(csv.DictReader((folder / "rounds.csv").open()))


def picked(folder):
    return list(csv.DictReader((folder / "round_1" / "picked.csv").open()))


def test_the_loop_learns_from_its_trips(refined):
    found = row(refined)
    assert int(found["trips"]) > 0
    assert "300 K" in found["first_trip_ps"]
    assert int(found["labelled"]) > 4
    before, after = (float(found[f"new_rmse_{when}_kcal_mol_A"]) for when in ("before", "after"))
    assert after < 0.8 * before
    reasons = [one["reason"] for one in picked(refined) if one["outcome"] == "labelled"]
    assert {TRIP, "spread", "force"} <= set(reasons)
    assert len(reasons) == int(found["labelled"])
    entries = read_dataset(refined / "round_1" / "data" / f"{SEQUENCE}.h5")
    assert all(key.startswith(f"{SEQUENCE}/300/") for key in entries)
    assert sum(map(len, entries.values())) == len(reasons)
    assert all((frames.force_noise > 0).all() for frames in entries.values())


def test_the_refinement_is_a_model_and_a_run_to_refine(refined, call, run):
    record = read_run(refined)
    assert (record["verb"], record["trained"]) == ("refine", "round_1/train")
    assert json.loads((refined / "round_1" / "train" / "run.json").read_text())["config"]["train"]["start"]
    assert call("evaluate", refined, run.parent / "ala.h5")[0] == 0  # as a committee
    assert (refined / "model.safetensors").read_bytes() == (
        refined / "round_1/train/member_0/model.safetensors"
    ).read_bytes()
    assert call("refine", "--resume", refined)[0] == 0  # nothing is left to do
    assert trained_run(refined) == refined / "round_1" / "train"  # where the next one would begin


def weights(folder):
    return load_tensors(folder / "round_1" / "train" / "member_1" / "model.safetensors")[0]


def test_killed_anywhere_it_ends_the_same(refined, run, tmp_path, monkeypatch):
    """In the simulations, in the labels, and in the training of the second member."""
    folder, simulate, take_step = tmp_path / "refined", dynamics.simulate, loop.take_step

    def dies(*_, **__):
        raise KeyboardInterrupt

    def dies_late(state, *rest):
        if state.config.train.member == 1 and state.step == 20:
            raise KeyboardInterrupt
        return take_step(state, *rest)

    def half_a_simulation(start, forces, config, *rest):
        with suppress(UnstableError):
            simulate(start, forces, config.model_copy(update={"time_ps": 0.05}), *rest)
        raise KeyboardInterrupt

    # As one that was killed before its first step: structures are built anew with other hydrogens every time.
    folder.mkdir()
    shutil.copytree(refined / "structures", folder / "structures")
    shutil.copy(refined / "run.json", folder)
    faults = (
        (dynamics, "simulate", half_a_simulation),
        (labels, "label", dies),
        (loop, "take_step", dies_late),
    )
    for fault in faults:
        with monkeypatch.context() as patch:
            patch.setattr(*fault)
            with pytest.raises(KeyboardInterrupt):
                resume_refine(folder)
        assert not (folder / "rounds.csv").exists()
    resume_refine(folder)
    assert (folder / "rounds.csv").read_text() == (refined / "rounds.csv").read_text()
    assert picked(folder) == picked(refined)
    one, two = weights(folder), weights(refined)
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_proteins_of_the_validation_data_are_refused(run, tmp_path, capsys):
    """By their residues: another protonation state or other caps are the same protein."""
    with pytest.raises(InputError, match=r"is in the validation data \(ala/300/0\)"):
        refine(run, [], ["ACE-ALA-NME"], CONFIG, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_labels_go_to_their_own_protein_alone(refined, run, monkeypatch):
    """Frames of one protein under the structure of another are caught."""
    gly, ser = prepare_proteins([], [SEQUENCE, "ACE-SER-NME"], CONFIG)
    own = CONFIG.simulation(300.0, (1, 0, 0))
    folder = refined / "round_1" / "simulations" / f"{SEQUENCE}_300K"
    found = dynamics.read_dynamics(folder, run / "member_0" / "model.safetensors", gly.start, own)
    given = rounds.candidates_of(found, [0] * len(found), rounds.load_committee(run), {1: 50.0})
    picks = rounds.pick(given.scores, 2)
    with pytest.raises(InputError, match="a simulation is not of its beads"):
        labels.label_picks(ser, 0, given, picks, set(), CONFIG.labelling((1, 0)), 2000.0)
    entries, _ = labels.label_picks(gly, 0, given, picks, set(), CONFIG.labelling((1, 0)), 2000.0)
    assert {key.split("/")[0] for key in entries} == {SEQUENCE}
    assert {frames.temperature for frames in entries.values()} == {300.0}
    warm, _ = labels.label_picks(gly, 0, given, picks, set(), CONFIG.labelling((1, 0)), 2000.0, 400.0)
    assert {frames.temperature for frames in warm.values()} == {400.0}
    assert warm.keys() == entries.keys()
    none, outcomes = labels.label_picks(gly, 0, given, picks, set(), CONFIG.labelling((1, 0)), 1.0)
    assert none == {}
    assert any("beyond --largest-force 1" in one.said for one in outcomes)


def test_the_way_to_a_trip_is_the_runs_own(refined, run):
    """Replayed from the last good look, the steps lead on from the recorded frames without a jump."""
    folder = refined / "round_1" / "simulations" / f"{SEQUENCE}_300K"
    config = CONFIG.simulation(300.0, (1, 0, 0))
    found = dynamics.read_dynamics(folder, run / "member_0" / "model.safetensors", None, config)
    tripped = [one for one in found if one.trip is not None]
    assert tripped
    for one in tripped:
        assert one.time[-1] == pytest.approx(one.trip)
        assert np.all(np.diff(one.time) > 0)
        steps = np.diff(one.time) < 0.0021
        jumps = np.linalg.norm(np.diff(one.positions, axis=0), axis=-1).max(axis=1)[steps]
        assert jumps[:-1].max() < 0.5  # Å in 2 fs


def no_work(number, folder, run, proteins, config):
    """A round that trips, and whose training does no step."""
    shutil.copytree(run, folder / "train")
    data = recorded_config(run).data
    trained = next_config(run, data.train, config).model_copy(update={"data": data})
    amend_run(folder / "train", config=trained.model_dump(mode="json"))
    return Round(number, *[1] * (len(Round._fields) - 2), "")


def rates(folder):
    return [recorded_config(train).train.learning_rate for train in sorted(folder.glob("round_*/train"))]


def test_the_learning_rate_is_a_third_of_the_runs_and_decays_no_further(run, tmp_path, monkeypatch):
    """Neither from round to round, nor when a refinement is refined, nor where none is on record."""
    monkeypatch.setattr(rounds, "one_round", no_work)
    one, two, old = tmp_path / "one", tmp_path / "two", tmp_path / "old"
    third = pytest.approx(recorded_config(run).train.learning_rate / 3)
    config = CONFIG.model_copy(update={"learning_rate": None, "rounds": 3})
    refine(run, [], [SEQUENCE], config, one)
    assert rates(one) == [third] * 3
    refine(one, [], [SEQUENCE], config, two)
    assert rates(two) == [third] * 3
    shutil.copytree(one, old)
    (old / "rounds.csv").unlink()
    for train in old.glob("round_*"):
        shutil.rmtree(train)
    amend_run(old, config=read_run(one)["config"] | {"learning_rate": None})
    resume_refine(old)
    assert rates(old) == [third] * 3
    refine(old, [], [SEQUENCE], config, tmp_path / "three")
    assert rates(tmp_path / "three") == [third] * 3
