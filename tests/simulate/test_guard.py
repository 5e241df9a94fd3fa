import dataclasses

import numpy as np
import pytest
from chain import chain_forces, chain_start, chain_system
from scipy.stats import chi2

from cgprot.errors import InputError
from cgprot.simulate.guard import Guard, largest_temperature
from cgprot.simulate.langevin import kinetic_temperature, maxwell_boltzmann
from cgprot.simulate.state import SimulationState
from cgprot.simulate.whole import refuse_broken_molecule

LATE, EARLY = 50.0, 0.5


def _sane(n_replicas=3):
    positions = np.repeat(chain_start().positions, n_replicas, axis=0)
    velocities = maxwell_boltzmann(1, np.arange(n_replicas), chain_system().mass, 300.0)
    energy, forces = chain_forces(positions)
    return {"positions": positions, "velocities": velocities, "energy": energy, "forces": forces}


def _look(guard, temperature=300.0, time_ps=LATE, stopped=(), **changed):
    arrays = _sane() | changed
    bath = np.full(len(arrays["positions"]), temperature)
    state = SimulationState(arrays["positions"], arrays["velocities"], bath, 0, stopped)
    return guard.violations(state, arrays["energy"], arrays["forces"], time_ps)


def _violations(temperature=300.0, friction=1.0, scheme="langevin", **changed):
    guard = Guard(chain_system(), _sane()["positions"], np.full(3, friction), scheme)
    return _look(guard, temperature, **changed)


def _with(name, place, value):
    array = _sane()[name].copy()
    array[place] = value
    return {name: array}


def test_sane_replicas_pass():
    assert _violations() == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("name", "place", "said"),
    [
        ("positions", (1, 2, 0), "replica 1: position of C of GLY 1 A is"),
        ("forces", (2, 3, 1), "replica 2: force on O of GLY 1 A is"),
        ("energy", 0, "replica 0: energy is"),
    ],
)
def test_not_finite(name, place, said, value):
    (violation,) = _violations(**_with(name, place, value))
    assert str(violation).startswith(said)


def test_force_limit():
    assert _violations(**_with("forces", (1, 4), [600.0, 0.0, 799.0])) == []
    (violation,) = _violations(**_with("forces", (1, 4), [600.0, 0.0, -801.0]))
    assert str(violation) == "replica 1: force on N of ALA 2 A is 1000.8 kcal/mol/Å (limit 1000)"


@pytest.mark.parametrize(("change", "caught"), [(0.49, False), (0.51, True), (-0.49, False), (-0.51, True)])
def test_bond_may_change_by_half_an_angstrom(change, caught):
    positions = _sane()["positions"].copy()
    bond = positions[2, 5] - positions[2, 4]
    positions[2, 5] += change * bond / np.linalg.norm(bond)
    violations = _violations(positions=positions)
    assert bool(violations) == caught
    if caught:
        assert str(violations[0]) == "replica 2: change of bond N-CA of ALA 2 A is 0.51 Å (limit 0.5)"


def test_hot_replica_is_caught_after_the_allowance():
    hot = _sane()["velocities"].copy()
    hot[1] *= 3.5
    (violation,) = _violations(velocities=hot)
    assert (violation.replica, violation.what) == (1, "temperature")
    assert _violations(velocities=hot, time_ps=EARLY) == []
    assert _violations(velocities=hot, friction=0.1, time_ps=9.9) == []
    assert len(_violations(velocities=hot, friction=0.1, time_ps=10.1)) == 1
    assert _violations(velocities=hot, friction=0.0) == []
    assert _violations(velocities=hot, temperature=0.0) == []


@pytest.mark.parametrize(("temperature", "friction"), [(300.0, 1.0), (300.0, 0.0), (0.0, 1.0), (10.0, 1.0)])
def test_explosion_is_caught_from_the_first_step(temperature, friction):
    heat = kinetic_temperature(_sane()["velocities"], chain_system().mass)[:, None, None]
    for kelvin, caught in ((2900.0, 0), (3100.0, 3)):
        velocities = _sane()["velocities"] * np.sqrt(kelvin / heat)
        violations = _violations(temperature, friction, time_ps=0.002, velocities=velocities)
        assert len(violations) == caught
    assert str(violations[0]) == "replica 0: temperature is 3100 K (limit 3000)"


def test_every_bad_replica_is_named_once():
    positions = _sane()["positions"].copy()
    positions[0, 0] += 900.0
    positions[2, 3] = np.nan
    violations = _violations(positions=positions, **_with("forces", (0, 0), 1e9))
    assert [violation.replica for violation in violations] == [0, 2]
    assert violations[0].what == "change of bond"


@pytest.mark.parametrize("n_beads", [1, 10, 100, 1000])
def test_temperature_limit_is_exceeded_by_chance_less_than_exp_minus_50(n_beads):
    degrees = 3 * n_beads
    limit = largest_temperature(300.0, degrees)
    assert chi2.logsf(limit / 300.0 * degrees, degrees) < -50.0
    # And not wide for nothing: 0.9 of the way out it is well above exp(-50).
    nearer = 1.0 + 0.9 * (limit / 300.0 - 1.0)
    assert chi2.logsf(nearer * degrees, degrees) > -50.0


def test_temperature_limit_is_ten_sigma_for_many_beads():
    assert largest_temperature(300.0, 300_000) == pytest.approx(
        300 * (1 + 10 * np.sqrt(2 / 300_000)), rel=1e-3
    )


def test_molecule_cut_by_a_box_is_refused():
    positions = chain_start().positions.copy()
    positions[0, 3:] += 40.0
    with pytest.raises(
        InputError, match=r"starting frame 0: bond C-O of GLY 1 A is .* make the molecule whole"
    ):
        refuse_broken_molecule(chain_system(), positions)


@pytest.mark.parametrize(
    ("mapping", "length", "refused"),
    [
        ("heavy", 2.4, False),
        ("heavy", 2.6, True),
        ("heavy_residue", 2.6, True),
        ("one of a user's own", 2.6, True),
        ("ca", 3.8, False),
        ("ca", 5.1, True),
    ],
)
def test_longest_starting_bond(mapping, length, refused):
    positions = chain_start().positions.copy()
    positions[0, 3:, 0] += length - 1.5
    system = dataclasses.replace(chain_system(), mapping=mapping)
    if mapping == "ca":  # beads of several heavy atoms
        system = dataclasses.replace(
            system, mass=system.mass + 60.0, type_name=np.full(system.n_beads, "ALA")
        )
    if refused:
        with pytest.raises(InputError, match=r"bond C-O of GLY 1 A is .* the gap in its chain"):
            refuse_broken_molecule(system, positions)
    else:
        refuse_broken_molecule(system, positions)


def _two_chains(shift):
    """The chain twice, the second one as chain B and `shift` [Å] beside the first."""
    one, start = chain_system(), chain_start().positions
    per_bead = ("bead_type", "type_name", "mass", "charge", "bead_name", "residue_name", "residue_id")
    twice = {name: np.tile(getattr(one, name), 2) for name in per_bead}
    bonds = np.concatenate([one.bonds, one.bonds + one.n_beads])
    chain = np.repeat(["A", "B"], one.n_beads)
    system = dataclasses.replace(one, **twice, bonds=bonds, bead_of_atom=np.arange(len(chain)), chain=chain)
    return system, np.concatenate([start, start + np.array([0.0, 0.0, shift])], axis=1)


@pytest.mark.parametrize("shift", [0.5, 1.4])
def test_overlapping_chains_are_refused(shift):
    system, positions = _two_chains(shift)
    said = rf"starting frame 0: N of GLY 1 A and N of GLY 1 B are {shift:.2f} Å apart without a bond"
    with pytest.raises(InputError, match=said):
        refuse_broken_molecule(system, positions)
    good = _two_chains(2.1)[1]
    with pytest.raises(InputError, match="starting frame 1"):
        refuse_broken_molecule(system, np.concatenate([good, positions]))
    refuse_broken_molecule(system, good)


def test_beads_without_bonds():
    system = dataclasses.replace(chain_system(), bonds=np.empty((0, 2), dtype=int))
    guard = Guard(system, _sane()["positions"], np.ones(3))
    assert _look(guard) == []
