"""Turning hydroxyls: the ensemble is Boltzmann's, all else keeps, labels forget where hydrogens were put."""

import numpy as np
import openmm
import pytest

from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference import label as label_module
from cgprot.reference.label import LabelConfig, label
from cgprot.reference.moves import turned_about
from cgprot.reference.peptide import as_quantity
from cgprot.reference.rotors import Rotor, rotors_of, turn
from cgprot.reference.structure import load_structure, structure_from_sequence, topology_of
from cgprot.units import BOLTZMANN, KCAL_PER_KJ

KELVIN = 300.0
# A chain of four: the torsion about the bond of atoms 1 and 2 turns atom 3.
CHAIN = np.array([[0.0, 0.1, 0.0], [0.0, 0.0, 0.0], [0.15, 0.0, 0.0], [0.2, 0.09, 0.0]])  # nm
TILT = 2.0  # kJ/mol


@pytest.fixture
def context():
    """U = 3 kJ/mol (1 + cos 2θ) + tilt sin θ: two wells at ±90°, of different depths."""
    system = openmm.System()
    for _ in range(4):
        system.addParticle(1.0)
    force = openmm.CustomTorsionForce(f"3*(1 + cos(2*theta)) + {TILT}*sin(theta)")
    force.addTorsion(0, 1, 2, 3)
    system.addForce(force)
    platform = openmm.Platform.getPlatformByName("Reference")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(CHAIN)
    return context


def angle(positions):
    """OpenMM's θ, zero where atoms 0 and 3 are on the same side."""
    one, two, three = np.diff(positions, axis=0)
    first, second = np.cross(one, two), np.cross(two, three)
    return np.arctan2(np.cross(first, second) @ two / np.linalg.norm(two), first @ second)


def test_wells_are_filled_as_boltzmann_says(context):
    grid = np.linspace(-np.pi, np.pi, 20_000, endpoint=False)
    weight = np.exp(-(3 * (1 + np.cos(2 * grid)) + TILT * np.sin(grid)) * KCAL_PER_KJ / (BOLTZMANN * KELVIN))
    generator, found = np.random.default_rng(1), []
    for _ in range(4000):
        turn(context, [Rotor(1, 2, 3)], KELVIN, 2, generator)
        found.append(angle(context.getState(getPositions=True).getPositions(asNumpy=True)._value))
    found = np.array(found)
    # Correlated somewhat: 0.03 is three standard errors of a tenth as many independent angles.
    assert (found < 0).mean() == pytest.approx(weight[grid < 0].sum() / weight.sum(), abs=0.03)
    narrow = np.abs(np.abs(found) - np.pi / 2) < 0.5
    near = np.abs(np.abs(grid) - np.pi / 2) < 0.5
    assert narrow.mean() == pytest.approx(weight[near].sum() / weight.sum(), abs=0.03)


def test_a_turn_keeps_the_bond_its_angle_and_all_other_atoms(context):
    accepted = turn(context, [Rotor(1, 2, 3)], KELVIN, 50, np.random.default_rng(2))
    moved = context.getState(getPositions=True).getPositions(asNumpy=True)._value
    assert 5 < accepted < 45
    np.testing.assert_array_equal(moved[:3], CHAIN[:3])
    assert np.linalg.norm(moved[3] - moved[2]) == pytest.approx(np.linalg.norm(CHAIN[3] - CHAIN[2]))
    assert np.linalg.norm(moved[3] - moved[1]) == pytest.approx(np.linalg.norm(CHAIN[3] - CHAIN[1]))


def test_nothing_is_accepted_where_the_energy_is_not_a_number(context):
    context.getSystem().getForce(0).setEnergyFunction("sqrt(-1 - theta^2)")
    context.reinitialize(preserveState=True)
    assert turn(context, [Rotor(1, 2, 3)], KELVIN, 20, np.random.default_rng(3)) == 0
    np.testing.assert_array_equal(
        context.getState(getPositions=True).getPositions(asNumpy=True)._value, CHAIN
    )


@pytest.mark.parametrize(
    ("residue", "names"),
    [
        ("SER", ["CB-OG-HG"]),
        ("TYR", ["CZ-OH-HH"]),
        ("CYS", ["CB-SG-HG"]),
        ("GLH", ["CD-OE2-HE2"]),
        ("LYS", []),
        ("MET", []),
        ("ASP", []),
    ],
)
def test_rotors_are_hydroxyls_and_thiols(residue, names):
    topology = topology_of(structure_from_sequence(f"ACE-{residue}-NME").topology)
    assert ["-".join(topology.name[list(rotor)]) for rotor in rotors_of(topology)] == names


def test_a_label_does_not_depend_on_where_hydroxyls_begin(examples, chignolin_atoms, monkeypatch):
    """Threonine 6 gives its hydrogen to aspartate 3; turned away it does not come back by itself."""
    structure = load_structure(examples / "chignolin.pdb")
    topology = topology_of(structure.topology)
    system = build_system(topology, load_rules("heavy"))
    sampled = np.array([frame.positions for frame in chignolin_atoms])
    (rotor,) = (r for r in rotors_of(topology) if topology.residue_id[r.centre] == 6)
    away = np.array(
        [turned_about(frame, rotor.anchor, rotor.centre, [rotor.hydrogen], np.pi) for frame in sampled]
    )
    names = zip(system.residue_id.tolist(), system.bead_name.tolist(), strict=True)
    pair = [number for number, name in enumerate(names) if name in {(3, "OD1"), (3, "OD2"), (6, "OG1")}]

    def difference():
        """Largest over frames [kcal/mol/Å]."""
        where = (np.arange(len(sampled)), KELVIN, LabelConfig(seed=1))
        one, other = (label(structure, system, x, *where).forces for x in (sampled, away))
        return np.linalg.norm((one - other)[:, pair], axis=2).max()

    assert difference() < 3
    monkeypatch.setattr(label_module, "turn", lambda *arguments, **options: 0)
    assert difference() > 6


def test_a_hydroxyl_meets_the_acid_beside_it():
    """Serine's, 2.8 Å from an aspartate's oxygen, ends up pointing there from wherever it began."""
    structure = structure_from_sequence("ACE-SER-NME")
    topology = topology_of(structure.topology)
    (rotor,) = rotors_of(topology)
    system = openmm.System()
    for _ in range(len(topology.element) + 1):
        system.addParticle(1.0)
    centre = structure.positions[rotor.centre]
    away = centre - structure.positions[rotor.anchor]
    acid = centre + 2.8 * (away + np.cross(away, [0, 0, 1.0])) / np.linalg.norm(
        away + np.cross(away, [0, 0, 1.0])
    )
    attraction = openmm.CustomBondForce("-200/r")  # kJ/mol nm
    attraction.addBond(rotor.hydrogen, len(topology.element), [])
    system.addForce(attraction)
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(as_quantity(np.vstack([structure.positions, acid])))
    turn(context, [rotor], KELVIN, 60, np.random.default_rng(4))
    moved = context.getState(getPositions=True).getPositions(asNumpy=True)._value * 10
    distances = [
        np.linalg.norm(
            turned_about(structure.positions, *rotor[:2], [rotor.hydrogen], angle)[rotor.hydrogen] - acid
        )
        for angle in np.linspace(0, 2 * np.pi, 360)
    ]
    assert np.linalg.norm(moved[rotor.hydrogen] - acid) < min(distances) + 0.1
