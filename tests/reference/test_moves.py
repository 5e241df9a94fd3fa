"""Twisted frames: only torsions change, those that a chemist calls rotatable, and nothing clashes."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from cgprot.errors import InputError
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference.label import LabelConfig, label
from cgprot.reference.moves import rotatable_bonds, shifted, twisted
from cgprot.reference.structure import structure_from_sequence, topology_of

BACKBONE = {"N-CA", "C-CA"}


def bonds_turned(topology, residue):
    """The rotatable bonds of one residue, as NAME-NAME."""
    found = set()
    for turn in rotatable_bonds(topology):
        if topology.residue_name[turn.first] == residue:
            ends = {topology.name[turn.first], topology.name[turn.second]}
            found.add("-".join(sorted(ends, key=["N", "C", "CA", "CB", "CG", "CD", "NE", "SG"].index)))
    return found


@pytest.mark.parametrize(
    ("residue", "side_chain"),
    [
        ("ALA", set()),
        ("SER", {"CA-CB"}),
        ("GLY", set()),
        ("PHE", {"CA-CB", "CB-CG"}),
        ("ASN", {"CA-CB", "CB-CG"}),
        ("ARG", {"CA-CB", "CB-CG", "CG-CD", "CD-NE"}),
    ],
)
def test_rotatable_bonds_are_phi_psi_and_chi(residue, side_chain):
    topology = topology_of(structure_from_sequence(f"ACE-{residue}-NME").topology)
    assert bonds_turned(topology, residue) == BACKBONE | side_chain


def test_proline_turns_about_psi_alone():
    topology = topology_of(structure_from_sequence("ACE-PRO-NME").topology)
    assert bonds_turned(topology, "PRO") == {"C-CA"}


def test_each_molecule_turns_by_itself():
    """Beside another one, a ring stays one and a methyl group has no more heavy atoms behind it."""
    one = topology_of(structure_from_sequence("ACE-PRO-NME").topology)
    n_atoms = len(one.element)
    two = type(one)(
        *(np.concatenate([part, part]) for part in one[:-1]), np.vstack([one.bonds, one.bonds + n_atoms])
    )
    turns = rotatable_bonds(two)
    assert [turn.first - n_atoms for turn in turns[1:]] == [turn.first for turn in turns[:1]]
    assert {bool(turn.behind[:n_atoms].any()) for turn in turns} == {True, False}


def bonds_and_angles(topology, frames):
    """Distances between atoms one and two bonds apart: (n_frames, n_pairs)."""
    bonded = squareform(np.zeros(len(topology.element) * (len(topology.element) - 1) // 2))
    bonded[tuple(topology.bonds.T)] = 1
    bonded += bonded.T
    pairs = np.triu((bonded + bonded @ bonded) > 0, 1)
    return np.array([squareform(pdist(frame))[pairs] for frame in frames])


@pytest.fixture(scope="module")
def arginine():
    structure = structure_from_sequence("ACE-ARG-NME")
    return structure, topology_of(structure.topology)


@pytest.fixture(scope="module")
def arginines(arginine):
    """200 frames of it twisted as far as may be."""
    structure, topology = arginine
    same = np.repeat(structure.positions[None], 200, axis=0)
    return twisted(topology, same, 180.0, seed=1)[0]


def test_twists_keep_bonds_angles_and_handedness(arginine, arginines):
    structure, topology = arginine
    expected = bonds_and_angles(topology, structure.positions[None])
    np.testing.assert_allclose(bonds_and_angles(topology, arginines), np.repeat(expected, 200, 0), atol=1e-6)
    centre = [topology.name.tolist().index(name) for name in ("CA", "N", "CB")]
    carbonyl = int(np.flatnonzero((topology.name == "C") & (topology.residue_name == "ARG"))[0])
    alpha, nitrogen, beta = (arginines[:, k] for k in centre)
    volume = np.einsum("fi,fi->f", np.cross(nitrogen - alpha, arginines[:, carbonyl] - alpha), beta - alpha)
    assert np.all(volume > 0) or np.all(volume < 0)


def torsion(frames, atoms):
    """Angle [degrees] of four atoms in every frame."""
    a, b, c, d = (frames[:, k] for k in atoms)
    axis = (c - b) / np.linalg.norm(c - b, axis=1, keepdims=True)
    one, other = np.cross(b - a, axis), np.cross(axis, d - c)
    sine = (np.cross(one, other) * axis).sum(1)
    return np.degrees(np.arctan2(sine, (one * other).sum(1)))


def test_torsions_go_all_the_way_round_and_the_peptide_bond_stays(arginine, arginines):
    structure, topology = arginine
    index = {(r, n): k for k, (r, n) in enumerate(zip(topology.residue_name, topology.name, strict=True))}
    psi = [index["ARG", "N"], index["ARG", "CA"], index["ARG", "C"], index["NME", "N"]]
    omega = [index["ARG", "CA"], index["ARG", "C"], index["NME", "N"], index["NME", "C"]]
    phi = [index["ACE", "C"], index["ARG", "N"], index["ARG", "CA"], index["ARG", "C"]]
    for angle in (phi, psi):
        counts, _ = np.histogram(torsion(arginines, angle), bins=6, range=(-180, 180))
        assert counts.min() > 10
    np.testing.assert_allclose(
        np.cos(np.radians(torsion(arginines, omega) - torsion(structure.positions[None], omega))), 1
    )


def test_small_twists_are_small(arginine):
    structure, topology = arginine
    same = np.repeat(structure.positions[None], 20, axis=0)
    near, _ = twisted(topology, same, 2.0, seed=1)
    index = {(r, n): k for k, (r, n) in enumerate(zip(topology.residue_name, topology.name, strict=True))}
    psi = [index["ARG", "N"], index["ARG", "CA"], index["ARG", "C"], index["NME", "N"]]
    change = np.abs(torsion(near, psi) - torsion(same, psi))
    assert 1.5 < change.max() <= 2.0 + 1e-6


def test_twisted_heavy_atoms_do_not_clash(arginine, arginines):
    """With one draw a frame, and no look at it, some would."""
    _, topology = arginine
    heavy = topology.element != "H"
    bonded = np.zeros((len(heavy), len(heavy)))
    bonded[tuple(topology.bonds.T)] = 1
    bonded += bonded.T
    far = np.triu((bonded + bonded @ bonded)[np.ix_(heavy, heavy)] == 0, 1)
    assert min(squareform(pdist(frame[heavy]))[far].min() for frame in arginines) > 2.3


def test_a_frame_that_clashes_however_it_is_twisted_stays_and_is_told(arginine, monkeypatch):
    """One in a hundred may; the others are not lost for it. With a single draw many do."""
    structure, topology = arginine
    frames = np.repeat(structure.positions[None], 60, axis=0)
    assert not twisted(topology, frames, 180.0, seed=1)[1]
    monkeypatch.setattr("cgprot.reference.moves._TWISTS", 1)
    moved, problems = twisted(topology, frames, 180.0, seed=1)
    assert 5 < len(problems) < 55
    for number, problem in problems.items():
        assert problem == f"frame {number}: atoms clash however it is twisted: twist less"
    stayed = np.abs(moved - frames).max(axis=(1, 2)) == 0
    assert set(np.flatnonzero(stayed)) == set(problems)


def test_contacts_that_a_frame_had_are_no_clash(arginine):
    """Of no two atoms that a twist could part; else "twist less" would be no help."""
    structure, topology = arginine
    small = 0.5 * structure.positions[None]
    assert pdist(small[0, topology.element != "H"]).min() < 1.0
    assert not twisted(topology, small, 0.5, seed=1)[1]


def test_a_frame_is_twisted_the_same_whatever_the_others(arginine):
    structure, topology = arginine
    frames = np.repeat(structure.positions[None], 3, axis=0)
    all_three, _ = twisted(topology, frames, 180.0, seed=3)
    others = frames * [[[0.8]], [[1.2]], [[1.0]]]  # their angles are drawn more or fewer times
    beside_others, _ = twisted(topology, others, 180.0, seed=3)
    np.testing.assert_array_equal(beside_others[2], all_three[2])
    assert np.abs(all_three[1] - all_three[2]).max() > 0.1


def test_a_molecule_without_a_bond_to_turn_is_refused():
    structure = structure_from_sequence("ACE-NME")
    with pytest.raises(InputError, match="no bond to turn about: leave the twist out"):
        twisted(topology_of(structure.topology), structure.positions[None], 30.0, seed=1)


def test_labels_of_twisted_frames_are_those_of_where_they_are(arginine):
    """Labelled again where the first label says that the beads are, without a twist, forces agree.

    Hydrogens that a twist laid on other atoms are to be moved away first: else a few labels in a hundred,
    one of these among them, are of hydrogens thrown about.
    """
    structure, topology = arginine
    system = build_system(topology, load_rules("heavy"))
    frames = np.repeat(structure.positions[None], 30, axis=0)
    config = LabelConfig(twist=180, samples=10, seed=9)
    first = label(structure, system, frames, np.arange(30.0), 300.0, config)
    where = (structure, system, first.positions, first.time, 300.0)
    again = label(*where, LabelConfig(samples=10, seed=2))
    difference = np.sqrt(np.mean((first.forces - again.forces) ** 2, axis=(1, 2)))
    assert difference.max() < 6.0


def test_only_frames_that_were_torn_are_drawn_and_looked_at_again():
    drawn, looked = [], []

    def shifts(frames):
        drawn.append(frames.tolist())
        return np.ones((len(frames), 1, 3))

    def torn(_):
        looked.append(None)
        return {1} if len(looked) < 3 else set()

    moved = shifted(np.zeros((3, 2, 3)), np.zeros(2, dtype=int), shifts, torn)
    assert drawn == [[0, 1, 2], [1], [1]]
    assert len(looked) == 3
    assert (moved == 1).all()
