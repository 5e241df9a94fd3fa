"""Which frames are picked: fair to proteins and reasons, none twice, those before trips first."""

import numpy as np
import pytest

from cgprot.refine.pick import (
    FORCE,
    LATE,
    SPREAD,
    TRIP,
    Pick,
    Scores,
    earlier,
    latest,
    pick,
    queues,
    take_turns,
    ways,
)


def scores(n_proteins=2, n_replicas=2, n_frames=40, tripped=(), seed=0):
    """Frames 0.1 ps apart; replicas in `tripped` trip with their last frame."""
    rng = np.random.default_rng(seed)
    replica = np.repeat(np.arange(n_proteins * n_replicas), n_frames)
    until_end = np.tile(0.1 * np.arange(n_frames)[::-1], n_proteins * n_replicas)
    before = np.where(np.isin(replica, tripped), until_end, np.inf)
    spread, force = rng.random((2, len(replica)))
    return Scores(replica // n_replicas, replica, before, spread, force)


def test_frames_before_trips_are_twice_as_far_each():
    replica = np.repeat([3, 7], 40)
    before = np.tile(0.002 * np.arange(40)[::-1], 2)
    chosen = ways(replica, before)
    np.testing.assert_allclose(before[chosen[::2]], before[chosen[1::2]])  # by turns
    assert replica[chosen[:4]].tolist() == [3, 7, 3, 7]
    np.testing.assert_allclose(before[chosen[::2]] / 0.002, [0, 1, 2, 4, 8, 16, 32])
    assert ways(np.zeros(2, int), np.array([1.5, np.inf])) == []


def test_trips_are_picked_from_and_first():
    found = pick(scores(tripped=[1]), 12)
    trips = [one.candidate for one in found if one.reason == TRIP]
    assert found[0] == Pick(79, TRIP)  # the very last frame of replica 1
    assert len(trips) >= 2
    assert set(scores().replica[trips]) == {1}
    # Who forgets the trips picks none of their frames for that reason.
    assert TRIP not in {one.reason for one in pick(scores(tripped=[]), 12)}


@pytest.mark.parametrize("budget", [1, 5, 12, 1000])
def test_budget_is_kept_and_nothing_is_taken_twice(budget):
    given = scores(tripped=[0, 3])
    found = [one.candidate for one in pick(given, budget)]
    assert len(found) == len(set(found)) == min(budget, len(given.protein))


def test_one_bad_protein_does_not_eat_the_budget():
    given = scores(n_proteins=3, n_replicas=4, tripped=[0, 1, 2, 3])
    given = given._replace(spread=np.where(given.protein == 0, 100.0, given.spread))
    found = pick(given, 36)
    per_protein = np.bincount(given.protein[[one.candidate for one in found]])
    assert per_protein.tolist() == [12, 12, 12]
    own = [one.reason for one in found if given.protein[one.candidate] == 0]
    assert min(own.count(reason) for reason in (TRIP, SPREAD, FORCE, LATE)) >= 3


def test_the_worst_frames_come_first_and_those_not_looked_at_never():
    given = scores(n_proteins=1, n_replicas=1)
    given.spread[:] = np.nan  # no committee
    given.force[::2] = np.nan
    found = queues(given, 0)[FORCE]
    assert len(found) == 20
    assert queues(given, 0)[SPREAD] == []
    assert np.all(np.diff(given.force[found]) < 0)


def test_every_replica_is_looked_at_from_its_end():
    replica = np.repeat([3, 7], [8, 5])
    found = latest(replica, np.full(13, np.inf))
    assert found[:6] == [7, 12, 3, 8, 5, 10]  # the ends, then half the way back (of 5 in 8ths), a quarter
    assert sorted(found) == list(range(13))
    until_end = np.array([1.5, 1.2, 0.9, 0.0, np.inf])
    assert latest(np.array([0, 0, 0, 0, 1]), until_end) == [1, 4, 0]
    assert latest(np.array([0]), np.array([0.2])) == []


def test_turns():
    queues = [{"a": [1, 2], "b": [2, 3]}, {"a": [], "b": [9]}]
    assert [tuple(one) for one in take_turns(queues, 9)] == [(1, "a"), (9, "b"), (2, "b"), (3, "b")]


def test_the_nearest_earlier_frame_of_the_same_replica():
    replica, time = np.array([0, 0, 0, 1, 0]), np.array([0.0, 1.0, 2.0, 1.9, 3.0])
    assert earlier(4, replica, time, {4}) == 2
    assert earlier(4, replica, time, {4, 2}) == 1
    assert earlier(0, replica, time, {0}) is None
    assert earlier(3, replica, time, {3}) is None
