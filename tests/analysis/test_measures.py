"""What the validation measures, on pieces of one trajectory and on numbers whose answers are known."""

import blocks
import free_energy
import numpy as np
import pytest
import runs
import stability
import structure
import text
import validate
from pieces import some

from cgprot.errors import UsageError
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.state import Stopped


@pytest.mark.parametrize(
    ("reason", "what"),
    [
        ("replica 1: change of bond N ALA 2 - CA ALA 2 is 0.7 Å (limit 0.5)", "broken_bonds"),
        ("replica 0: handedness of CA ALA 2 is -1.2 Å³ (limit 0)", "chirality_flips"),
        ("replica 3: ω of peptide bond C ALA 2 - N PRO 3 is 80 degrees (limit 90)", "cis_flips"),
        ("replica 3: force on CA ALA 2 is 2000 kcal/mol/Å (limit 1000)", None),
    ],
)
def test_what_the_guard_stopped_counts_as_what_it_was(reason, what):
    counted = stability._damage([], [reason])
    assert sum(counted.values()) == (what is not None)
    assert what is None or counted[what] == 1


def test_a_stopped_replica_lasted_until_it_was_last_sane():
    config = SimulateConfig(temperature=[300.0, 300.0, 350.0], time_ps=10.0, timestep_fs=2.0)
    run = runs.Run(config, [], {1: Stopped(1, 2010, 2000, "force")}, 10.0, 1.0)
    assert run.at(300.0) == [0, 1]
    assert [run.lasted_ps(replica) for replica in range(3)] == [10.0, 4.0, 10.0]


def test_a_trajectory_is_not_apart_from_itself(frames):
    alone = [some(frames, slice(0, 100))]
    pair = blocks.in_blocks(alone, alone[0], structure._phi_psi, 20.0).maps(structure.residue_maps)
    assert [len(each) for each in pair] == [5, 5]
    told = structure.divergences([str(k) for k in range(8)], *pair)
    np.testing.assert_allclose(told["divergence"], 0.0, atol=1e-12)
    assert min(told["chance"]) > 0.01
    assert structure.fluctuations(alone, alone[0])["correlation"] == pytest.approx(1.0)
    odd = some(frames, slice(0, 99))
    assert -1.0 <= structure.fluctuations([odd], odd)["correlation_of_halves"] < 0.999
    other = [some(frames, slice(100, 200))]
    assert structure.fluctuations(other, alone[0])["correlation"] < 0.999


def test_fluctuations_are_those_of_equal_windows(frames):
    """A long reference beside short replicas: cut to their length, it moves no more than they do."""
    pieces = [some(frames, slice(start, start + 25)) for start in range(0, 200, 25)]
    found = structure.fluctuations(pieces, some(frames, slice(0, 200)))
    assert found["window_ps"] == pytest.approx(25.0)
    np.testing.assert_allclose(found["ours"], found["all_atom"], rtol=1e-6)


def test_a_replica_that_stopped_early_shortens_no_window(frames):
    whole, reference = some(frames, slice(0, 100)), some(frames, slice(100, 180))
    alone = structure.fluctuations([whole], reference)
    assert alone["window_ps"] == pytest.approx(40.0)
    assert structure.fluctuations([whole, some(frames, slice(0, 3))], reference) == alone


def test_chance_is_not_told_of_a_few_blocks():
    """Of one block a side every shuffle is the division that was measured."""
    maps = np.random.default_rng(1).dirichlet(np.ones(36), size=8)
    assert np.isnan(blocks.divergence(maps[:1], maps[1:2])["chance"])
    assert np.isnan(blocks.divergence(maps[:5], maps[5:])["chance_95"])
    assert 0 < blocks.divergence(maps[:4], maps[4:])["chance"] < 1


def test_a_replica_that_stopped_early_gives_no_short_block(frames):
    replicas = [some(frames, slice(0, 20)), some(frames, slice(0, 3))]
    cut = blocks.in_blocks(replicas, some(frames, slice(0, 40)), structure._phi_psi, 10.0)
    assert [len(block) for block in cut.ours] == [10, 10]
    assert blocks.in_blocks(replicas, replicas[0], structure._phi_psi, 99.0).time_ps == pytest.approx(20.0)


def test_states_of_the_peptide():
    angles = np.array([[-120.0, 150.0], [-60.0, -170.0], [-60.0, -40.0], [60.0, 40.0]])[:, None]
    assert free_energy._state_shares(angles) == [0.5, 0.25, 0.25]


def test_hydrogen_bonds_are_found_by_name(frames):
    lengths = free_energy._distances(frames, [("N 3", "O 7"), ("N 3", "O 8")])
    system = frames.system
    chosen = [
        int(np.flatnonzero((system.bead_name == name) & (system.residue_id == residue))[0])
        for name, residue in (("N", 3), ("O", 8))
    ]
    expected = np.linalg.norm(frames.positions[:, chosen[0]] - frames.positions[:, chosen[1]], axis=-1)
    np.testing.assert_allclose(lengths[:, 1], expected, rtol=1e-5)
    with pytest.raises(UsageError, match="O 70"):
        free_energy._distances(frames, [("N 3", "O 70")])


def test_nothing_that_is_no_number_is_written():
    assert validate.plain({"a": [np.float64(np.inf), np.nan, np.int64(3), True]}) == {
        "a": [None, None, 3, True]
    }
    assert text.number(None) == "–"
    assert text.median([3.0, None, 1.0, 2.0]) == "2.000"
    assert text.median([1.0, 2.0]) == "1.500"
