"""Guards against inversion and cis-trans flips, on chignolin and on exact geometry."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgprot.analyse.chirality import chirality, stereocentres
from cgprot.analyse.dihedrals import omega_beads, peptide_omega
from cgprot.simulate.guard import Guard
from cgprot.simulate.state import SimulationState, Stopped


def _look(guard, system, positions, temperature=300.0, speed=0.0):
    state = SimulationState(
        positions, np.full(positions.shape, speed), np.full(len(positions), temperature), 0
    )
    return guard.violations(state, np.zeros(len(positions)), np.zeros(positions.shape), 50.0)


@pytest.fixture(scope="module")
def start(chignolin):
    return chignolin.positions[:2].astype(np.float64)


def _guard(system, positions, **more):
    return Guard(system, positions, np.ones(len(positions)), **more)


def _inverted(positions, centre):
    """The centre itself moved to the mirror image of its place in the plane of its neighbours."""
    place, one, two, three = (positions[1, bead] for bead in centre)
    normal = np.cross(two - one, three - one)
    normal /= np.linalg.norm(normal)
    mirrored = positions.copy()
    mirrored[1, centre[0]] = place - 2 * np.dot(place - one, normal) * normal
    return mirrored


def _turned(system, positions, beads, degrees):
    """Everything behind the C-N bond of replica 1 turned about it."""
    _, carbon, nitrogen, _ = beads
    bonds = {tuple(sorted(bond)) for bond in system.bonds.tolist()} - {tuple(sorted((carbon, nitrogen)))}
    behind, edge = {nitrogen}, [nitrogen]
    while edge:
        bead = edge.pop()
        for pair in bonds:
            if bead in pair and not set(pair) <= behind:
                (other,) = set(pair) - {bead}
                behind.add(other)
                edge.append(other)
    axis = positions[1, nitrogen] - positions[1, carbon]
    axis = axis / np.linalg.norm(axis)
    moved = sorted(behind - {nitrogen})
    arm = positions[1, moved] - positions[1, carbon]
    angle = np.radians(degrees)
    along = (arm @ axis)[:, None] * axis
    turned = positions.copy()
    turned[1, moved] = (
        positions[1, carbon] + along + np.cos(angle) * (arm - along) + np.sin(angle) * np.cross(axis, arm)
    )
    return turned


def test_every_inverted_centre_is_named(chignolin, start):
    system, guard = chignolin.system, _guard(chignolin.system, start)
    assert _look(guard, system, start) == []
    for centre in stereocentres(system):
        (violation,) = _look(guard, system, _inverted(start, centre))
        assert (violation.replica, violation.what) == (1, "handedness of")
        assert violation.where.startswith(
            f"{system.bead_name[centre[0]]} of {system.residue_name[centre[0]]}"
        )


def test_every_peptide_bond_may_turn_to_ninety_degrees(chignolin, start):
    system, guard = chignolin.system, _guard(chignolin.system, start)
    omega = peptide_omega(start, system)[1]
    for beads, now in zip(omega_beads(system), omega, strict=True):
        for wanted, caught in ((95.0, False), (85.0, True), (5.0, True), (-95.0, False), (-85.0, True)):
            violations = _look(guard, system, _turned(system, start, beads, wanted - now))
            assert bool(violations) == caught
        assert violations[0].what == "ω of peptide bond"
        assert violations[0].value == pytest.approx(-85.0, abs=1e-3)
        assert " is -85 degrees (limit 90)" in str(violations[0])


def test_start_that_is_cis_stays_allowed_and_may_not_turn_trans(chignolin, start):
    system, beads = chignolin.system, omega_beads(chignolin.system)[4]
    cis = _turned(system, start, beads, -peptide_omega(start, system)[1, 4])
    guard = _guard(system, cis)
    assert _look(guard, system, cis) == []
    assert [violation.replica for violation in _look(guard, system, start)] == [1]


def test_mirror_image_as_a_start_is_allowed(chignolin, start):
    mirrored = start * np.array([1.0, 1.0, -1.0])
    assert _look(_guard(chignolin.system, mirrored), chignolin.system, mirrored) == []
    assert len(_look(_guard(chignolin.system, start), chignolin.system, mirrored)) == 2


def test_flips_are_watched_whatever_the_bead_types_are_called(chignolin, chignolin_as, start):
    system = chignolin_as("heavy_residue").system
    guard = _guard(system, start)
    (inversion,) = _look(guard, system, _inverted(start, stereocentres(chignolin.system)[0]))
    (turn,) = _look(guard, system, _turned(system, start, omega_beads(chignolin.system)[4], 150.0))
    assert (inversion.what, turn.what) == ("handedness of", "ω of peptide bond")


def test_flips_are_left_alone_on_request(chignolin, start):
    system = chignolin.system
    guard = _guard(system, start, allow_flips=True)
    assert _look(guard, system, _inverted(start, stereocentres(system)[0])) == []


def test_resting_replica_is_not_looked_at(chignolin, start):
    system, guard = chignolin.system, _guard(chignolin.system, start)
    bad = _inverted(start, stereocentres(system)[0])
    stopped = (Stopped(1, 5, 4, "replica 1: inverted"),)
    state = SimulationState(bad, np.zeros(bad.shape), np.full(2, 300.0), 0, stopped)
    assert guard.violations(state, np.zeros(2), np.zeros(bad.shape), 50.0) == []


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(0.05, 0.45))
def test_guard_and_analysis_count_the_same_flips(chignolin, seed, scale):
    """Shaken structures: what `cgprot analyse` will call a flip is what stops a replica."""
    system = chignolin.system
    start = chignolin.positions[:1].astype(np.float32).astype(np.float64)
    shaken = start + np.random.default_rng(seed).normal(scale=scale, size=start.shape)
    guard = Guard(system, start, np.ones(1))
    # The guard tells of bonds first: without any.
    guard._reference = (guard._reference[0][:0], guard._reference[1][:, :0], *guard._reference[2:])
    centres = stereocentres(system)
    flips = (chirality(shaken, centres) != chirality(start, centres)).any()
    now, before = np.abs(peptide_omega(shaken, system)), np.abs(peptide_omega(start, system))
    flips |= ((now < 90.0) != (before < 90.0)).any()
    assert bool(_look(guard, system, shaken)) == flips


@pytest.mark.parametrize(("scheme", "caught"), [("langevin", True), ("verlet", False), ("brownian", False)])
def test_temperature_is_watched_where_the_scheme_sets_one(chignolin, start, scheme, caught):
    system, guard = chignolin.system, _guard(chignolin.system, start, scheme=scheme)
    hot = np.sqrt(1200.0 * 0.0019872 * 418.4 / 13.0)  # Å/ps of every component: about 1200 K
    assert bool(_look(guard, system, start, speed=hot)) == caught
    assert bool(_look(guard, system, start, speed=4 * hot)) == (scheme != "brownian")


def test_each_replica_is_held_to_its_own_bath(chignolin, start):
    guard = _guard(chignolin.system, start)
    warm = np.full(start.shape, np.sqrt(600.0 * 0.0019872 * 418.4 / 13.0))
    for bath, bad in (([300.0, 600.0], [0]), ([600.0, 300.0], [1]), ([600.0, 600.0], [])):
        state = SimulationState(start, warm, np.array(bath), 0)
        violations = guard.violations(state, np.zeros(2), np.zeros(start.shape), 50.0)
        assert [violation.replica for violation in violations] == bad
