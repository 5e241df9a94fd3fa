"""Picked frames are labelled at the temperature of the simulation that they come from."""

import numpy as np
import pytest

from cgprot.beads import BeadFrames
from cgprot.reference.label import LabelConfig
from cgprot.refine import labels
from cgprot.refine.candidates import Candidates
from cgprot.refine.dynamics import Trajectory
from cgprot.refine.labels import LABELLED, label_picks
from cgprot.refine.pick import BEFORE, SPREAD, Pick, Scores
from cgprot.refine.proteins import Protein

KELVIN = (280.0, 350.0, 280.0)  # of the trajectories
N_FRAMES = 4


@pytest.fixture
def candidates(chignolin) -> Candidates:
    """Candidate c has all its beads at x = c."""
    n = N_FRAMES * len(KELVIN)
    number, time = np.arange(n), np.arange(float(N_FRAMES))
    positions = np.zeros((n, chignolin.system.n_beads, 3)) + number[:, None, None]
    trajectories = [
        Trajectory(replica, kelvin, chignolin.system, own, time)
        for replica, (kelvin, own) in enumerate(zip(KELVIN, np.split(positions, len(KELVIN)), strict=True))
    ]
    of = number // N_FRAMES
    scores = Scores(np.zeros(n, dtype=int), of, np.full(n, np.inf), np.ones(n), np.ones(n))
    return Candidates(trajectories, of, number % N_FRAMES, np.tile(time, len(KELVIN)), scores, np.ones(n))


@pytest.fixture
def asked(monkeypatch) -> list[tuple[float, list[int]]]:
    """What labels were asked for, temperature and candidates; number 7 has none."""
    calls = []

    def recorded(structure, system, positions, time, temperature, config, left_out):
        numbers = positions[:, 0, 0].astype(int).tolist()
        calls.append((temperature, numbers))
        kept = [k for k, number in enumerate(numbers) if number != 7]
        left_out.update({k: "no label" for k in range(len(numbers)) if k not in kept})
        ones = np.ones_like(positions[kept])
        return BeadFrames(system, positions[kept], ones, ones, time=time[kept], temperature=temperature)

    monkeypatch.setattr(labels, "label", recorded)
    return calls


def test_frames_are_labelled_at_their_own_temperature_and_so_are_those_in_their_place(
    chignolin, candidates, asked
):
    protein = Protein("one", None, chignolin)
    picks = [Pick(number, SPREAD) for number in (1, 7, 10, 4)]
    found, outcomes = label_picks(protein, 0, candidates, picks, {1, 7, 10, 4}, LabelConfig(), 1e3)
    assert asked == [(280.0, [1, 10]), (350.0, [7, 4]), (350.0, [6])]
    assert {key: frames.temperature for key, frames in found.items()} == {
        "one/280/0": 280.0, "one/350/1": 350.0, "one/280/2": 280.0,
    }  # fmt: skip
    assert [frames.positions[:, 0, 0].tolist() for frames in found.values()] == [[1], [4, 6], [10]]
    assert [one.pick for one in outcomes if one.said != LABELLED] == [Pick(7, SPREAD)]
    assert outcomes[-1] == (Pick(6, BEFORE), LABELLED)
