"""What a card prints of trajectories whose every frame is placed: shares, their free energies, contacts."""

import card
import free_energy
import numpy as np
import pytest
import runs
import scale
import structure
import validate
from scipy.spatial.transform import Rotation

from cgprot.beads import BeadFrames
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.start import load_start

NEW = {"leave_out_ps": 10.0, "block_ps": 20.0, "replicas": 2}
# φ and ψ of frames in each state, close to its borders too.
BETA = [(-120.0, 150.0), (-70.0, 52.0), (-70.0, 85.0), (-150.0, -122.0)]
RIGHT = [(-65.0, -40.0), (-90.0, 48.0), (-60.0, -118.0)]
LEFT = [(55.0, 40.0), (60.0, -150.0)]


def turned(positions, fixed, angle, moving):
    """The moving beads about the bond of two others."""
    first, second = positions[list(fixed)]
    axis = (second - first) / np.linalg.norm(second - first)
    found = positions.copy()
    found[moving] = Rotation.from_rotvec(np.radians(angle) * axis).apply(positions[moving] - second) + second
    return found


@pytest.fixture(scope="module")
def peptide(examples):
    """A function: alanine dipeptide with these φ and ψ, a frame a picosecond from 1000 ps on."""
    start = load_start(examples / "alanine_dipeptide.pdb", "heavy")
    (phi, psi), native = free_energy._phi_psi(start)[0, 0], start.positions[0]

    def at(angles):
        placed = []
        for wanted_phi, wanted_psi in angles:
            frame = turned(native, (3, 4), wanted_phi - phi, [5, 6, 7, 8, 9])
            placed.append(turned(frame, (4, 6), wanted_psi - psi, [7, 8, 9]))
        return timed(start.system, np.array(placed))

    return at


def timed(system, positions):
    return BeadFrames(system, positions, time=1000.0 + np.arange(len(positions)), temperature=300.0)


def of_each(beta, right, left):
    """So many frames of each state."""
    states = [(BETA, beta), (RIGHT, right), (LEFT, left)]
    return [angles[k % len(angles)] for angles, number in states for k in range(number)]


@pytest.fixture
def task_of(tmp_path, monkeypatch):
    """A function: the task of a part that finds these replicas and this all-atom trajectory."""
    whole = scale.read_scale("short")
    asked = {"free_energy": whole.free_energy.model_copy(update=NEW)}
    asked["structure"] = whole.structure.model_copy(update=NEW | {"proteins": ["chignolin"]})
    task = runs.Task("", tmp_path, tmp_path, tmp_path, whole.model_copy(update=asked))

    def given(part, ours, all_atom):
        run = runs.Run(SimulateConfig(replicas=len(ours)), ours, {}, 50.0, 1.0)
        monkeypatch.setattr(part, "simulated", lambda *_: run)
        monkeypatch.setattr(part, "reference", lambda *_: all_atom)
        return task

    return given


def cells(lines, name):
    """The row of a table that begins with a name."""
    (row,) = [row for line in lines for row in line.splitlines() if row.startswith(f"| {name} |")]
    return row.strip("| ").split(" | ")[1:]


def test_angles_are_where_they_are_placed(peptide):
    wanted = BETA + RIGHT + LEFT
    np.testing.assert_allclose(free_energy._phi_psi(peptide(wanted))[:, 0], wanted, atol=0.01)


def test_shares_of_the_peptide_and_the_sign_of_its_free_energies(peptide, task_of):
    """-kT ln of 6:12, 2:12, 14:4 and 2:4, kT 0.596; the 10 ps that are left out would be all αL."""
    ours, all_atom = of_each(12, 6, 2), of_each(4, 14, 2)
    beginning = of_each(0, 0, 10)
    task = task_of(free_energy, [peptide(beginning + 2 * ours)] * 2, peptide(beginning + 2 * all_atom))
    lines = card._peptide(free_energy._peptide(task))
    assert lines[0].startswith("alanine_dipeptide, 2 × 40 ps beside 40 ps all-atom, 2 of 2 replicas alive")
    assert cells(lines, "state")[:2] == ["share ours", "share all-atom"]
    assert cells(lines, "state")[2:] == ["free energy ours [kcal/mol]", "all-atom [kcal/mol]"]
    assert cells(lines, "β and PII")[:2] == ["0.600", "0.200"]
    assert cells(lines, "αR") == ["0.300", "0.700", "0.41 ± 0.00", "-0.75 ± 0.00"]
    assert cells(lines, "αL") == ["0.100", "0.100", "1.07 ± 0.00", "0.41 ± 0.00"]


@pytest.mark.parametrize(("psi", "helical"), [(-121, 0), (-119, 1), (49, 1), (51, 0), (89, 0)])
def test_borders_of_the_right_handed_helix(psi, helical):
    assert free_energy._state_shares(np.array([[[-60.0, psi]]])) == [1 - helical, helical, 0]


def half_native(frames, beginning, native, torn):
    """Chignolin torn first, then native, then torn: three times as large no contact is left."""
    whole = frames.positions[0]
    return timed(frames.system, np.array([3 * whole] * beginning + [whole] * native + [3 * whole] * torn))


def test_contacts_of_either_side_stand_in_its_own_column(frames, task_of, monkeypatch):
    """Native in half of ours and three quarters of all-atom's, after 10 ps that are left out."""
    start = timed(frames.system, frames.positions[:1])
    monkeypatch.setattr(structure, "native", lambda *_: start)
    monkeypatch.setattr(structure, "draw", lambda *_: [])
    ours, all_atom = half_native(frames, 10, 20, 20), half_native(frames, 10, 30, 10)
    task = task_of(structure, [ours] * 2, all_atom)
    found = validate.plain(structure.measure(task))
    row = cells(card.structure(found), "chignolin")
    assert cells(card.structure(found), "protein")[-2:] == ["Q ours", "Q all-atom"]
    assert row[:2] == ["2 × 40 ps", "40 ps"]
    assert row[-2:] == ["0.50 ± 0.50", "0.75 ± 0.43"]


def test_hydrogen_bonds_of_either_side_are_told_apart(frames, task_of):
    ours, all_atom = half_native(frames, 10, 20, 20), half_native(frames, 10, 30, 10)
    task = task_of(free_energy, [ours] * 2, all_atom)
    found = validate.plain(free_energy._hairpin(task))
    assert "N 3 – O 8 below 3.5 Å in 50 % of frames (all-atom 75 %)" in card._hairpin(found)[0]


def test_what_is_left_out_counts_from_the_first_frame(frames):
    moving = timed(frames.system, np.repeat(frames.positions[:1], 50, axis=0))
    assert runs.after(moving, 10.0).time.tolist() == list(range(1010, 1050))
    assert len(runs.after(moving, 0.0)) == 50
    assert runs.after(moving, 50.0) is None
