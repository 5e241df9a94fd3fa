"""Labels of systems whose mean forces are known: their size, temperature, errors, and hydroxyls that turn."""

import numpy as np
import openmm
import pytest

from cgprot.beads import Topology
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference import label as label_module
from cgprot.reference.label import LabelConfig, label
from cgprot.reference.peptide import as_quantity
from cgprot.reference.rotors import rotors_of
from cgprot.reference.structure import Structure, load_structure, structure_from_sequence, topology_of
from cgprot.units import ANGSTROM_PER_NM, BOLTZMANN, KCAL_PER_KJ

SLOPE = np.array([0.4, 0.3, -0.2])  # b, of stiffness and depth with the place of a heavy atom [1/nm]
# m ω² of a hydrogen, ω = 1.2 per fs: the scheme samples it exactly at 1 fs, and at 2 fs it is unstable.
STIFF = 1.008 * 1200.0**2  # kJ/mol/nm²
SOFT = 1.008 * 50.0**2  # a hydrogen hardly moves within a step
SPRING = "(1 + bx*x1 + by*y1 + bz*z1) * k/2 * ((x2-x1-dx)^2 + (y2-y1-dy)^2 + (z2-z1-dz)^2)"
# Of a hydroxyl: the well at 180° is 10 above that at 0, over a barrier of 30 [kJ/mol].
WELLS = "5*(1 - cos(t)) + 15*(1 - cos(2*t)); t = dihedral(p1, p2, p3, p4)"


@pytest.fixture(scope="module")
def dipeptide(examples) -> Structure:
    return load_structure(examples / "alanine_dipeptide.pdb")


def parents(topology: Topology) -> dict[int, int]:
    """Hydrogen -> the heavy atom that it is bonded to."""
    element = topology.element
    ends = [sorted(pair, key=lambda atom: element[atom] == "H") for pair in topology.bonds.tolist()]
    return {hydrogen: heavy for heavy, hydrogen in ends if element[hydrogen] == "H"}


def free_atoms(topology: Topology) -> openmm.System:
    system = openmm.System()
    for mass in topology.mass:
        system.addParticle(float(mass))
    return system


def compound(n_atoms: int, energy: str, **constants: float) -> openmm.CustomCompoundBondForce:
    force = openmm.CustomCompoundBondForce(n_atoms, energy)
    for name, value in (dict(zip(("bx", "by", "bz"), SLOPE, strict=True)) | constants).items():
        force.addGlobalParameter(name, value)
    return force


def springs(structure: Structure, stiffness: float) -> openmm.System:
    """Each hydrogen at a displacement u from its place: U = (1 + b·X) k u²/2, X the place of its parent."""
    topology = topology_of(structure.topology)
    system, force = free_atoms(topology), compound(2, SPRING, k=stiffness)
    for name in ("dx", "dy", "dz"):
        force.addPerBondParameter(name)
    for hydrogen, heavy in parents(topology).items():
        away = structure.positions[hydrogen] - structure.positions[heavy]
        force.addBond([heavy, hydrogen], away / ANGSTROM_PER_NM)
    system.addForce(force)
    return system


def mean_force_of_springs(structure: Structure, beads, kelvin: float) -> np.ndarray:
    """(n_beads, 3): -k <u²>/2 b of each hydrogen, and <u²> = 3 RT / (k (1 + b·X)); k cancels."""
    heavy = structure.positions[topology_of(structure.topology).element != "H"]
    stiffer = 1 + heavy @ SLOPE / ANGSTROM_PER_NM
    size = -1.5 * BOLTZMANN * kelvin * beads.hydrogens / stiffer
    return size[:, None] * SLOPE / ANGSTROM_PER_NM


def labelled(structure, system, kelvin, n_frames, monkeypatch, **config):
    """`n_frames` labels of one frame by the forces of `system`; what holds heavy atoms is the package's."""
    monkeypatch.setattr(label_module, "create_system", lambda *_, **__: system)
    beads = build_system(topology_of(structure.topology), load_rules("heavy"))
    frames = np.repeat(structure.positions[None], n_frames, axis=0)
    chosen = LabelConfig(platform="Reference", **config)
    return label(structure, beads, frames, np.arange(n_frames), kelvin, chosen)


def beside_exact(structure: Structure, kelvin: float, frames) -> tuple[np.ndarray, np.ndarray]:
    """Forces along b beside the exact ones, and their errors: (n_frames, beads with hydrogens) each."""
    felt, length = frames.system.hydrogens > 0, np.linalg.norm(SLOPE)
    exact = mean_force_of_springs(structure, frames.system, kelvin)[felt] @ SLOPE / length
    along = frames.forces[:, felt] @ SLOPE / length
    return along / exact, np.linalg.norm(frames.force_noise[:, felt], axis=-1) / np.abs(exact)


@pytest.mark.parametrize("kelvin", [250.0, 400.0])
def test_the_mean_force_of_springs_is_exact_at_every_temperature(dipeptide, monkeypatch, kelvin):
    """The springs swing once in five steps: steps of 2 fs would tear them."""
    config = {"samples": 400, "steps_between": 150, "equilibration_steps": 300}
    found = labelled(dipeptide, springs(dipeptide, STIFF), kelvin, 4, monkeypatch, **config)
    ratio, _ = beside_exact(dipeptide, kelvin, found)
    own = found.system.hydrogens[found.system.hydrogens > 0]
    # Of χ² with 3 degrees of freedom for a hydrogen and sample; 150 fs apart they are all but independent.
    error = np.sqrt(1.2 * 2 / 3 / (4 * 400 * own.sum()))
    assert error < 0.007
    assert np.average(ratio.mean(axis=0), weights=own) == pytest.approx(1.0, abs=4 * error)


def test_slow_springs_forget_where_they_began_and_runs_one_another(dipeptide, monkeypatch):
    """They begin at rest, and in two steps of a run hardly move: a label is four draws from Boltzmann's."""
    config = {"samples": 8, "steps_between": 1, "equilibration_steps": 300, "steps_between_runs": 300}
    found = labelled(dipeptide, springs(dipeptide, SOFT), 300.0, 150, monkeypatch, **config)
    ratio, error = beside_exact(dipeptide, 300.0, found)
    own = found.system.hydrogens[found.system.hydrogens > 0]
    variance = 2 / 3 / 4  # of χ² with 3 degrees of freedom, the mean of four, for one hydrogen
    mean = np.average(ratio.mean(axis=0), weights=own)
    assert mean == pytest.approx(1.0, abs=4 * np.sqrt(variance / (150 * own.sum())))
    # Variances of some thousand draws, whose roots are good to 3 %.
    assert np.sqrt((own * (ratio - 1) ** 2).mean() / variance) == pytest.approx(1.0, abs=0.12)
    assert np.sqrt((own * error**2).mean() / variance) == pytest.approx(1.0, abs=0.12)


def test_what_hydrogens_do_not_change_is_told_as_it_is(dipeptide, monkeypatch):
    """Weights of heavy atoms, 1 to n kJ/mol/nm: no noise, and the factor between the units alone."""
    topology = topology_of(dipeptide.topology)
    system, force = free_atoms(topology), openmm.CustomExternalForce("-w*(x - 2*y + 3*z)")
    force.addPerParticleParameter("w")
    heavy = np.flatnonzero(topology.element != "H")
    for weight, atom in enumerate(heavy.tolist(), start=1):
        force.addParticle(atom, [weight])
    system.addForce(force)
    found = labelled(dipeptide, system, 300.0, 1, monkeypatch, samples=8)
    weights = np.arange(1, len(heavy) + 1)[:, None] * np.array([1.0, -2.0, 3.0])
    np.testing.assert_allclose(found.forces[0], weights * KCAL_PER_KJ / ANGSTROM_PER_NM, rtol=1e-6)
    np.testing.assert_allclose(found.force_noise, 0.0, atol=1e-9)


def test_turns_and_velocities_are_of_the_labels_temperature(dipeptide, monkeypatch):
    """Velocities forget their own within the equilibration, so that forces would not tell."""
    seen, real = [], openmm.Context.setVelocitiesToTemperature

    def velocities(context, kelvin, seed):
        seen.append(kelvin)
        real(context, kelvin, seed)

    monkeypatch.setattr(openmm.Context, "setVelocitiesToTemperature", velocities)
    monkeypatch.setattr(label_module, "turn", lambda context, rotors, kelvin, **_: seen.append(kelvin))
    labelled(dipeptide, springs(dipeptide, SOFT), 350.0, 1, monkeypatch, samples=8)
    assert seen == [350.0] * (1 + 4 + 8)  # the first turns, four runs, a turn before each sample


def two_wells(structure: Structure, far: int) -> openmm.System:
    """A hydroxyl's torsion of energy V, wells at 0 and 180°: U = (1 + b·X) V, X the place of atom `far`."""
    topology = topology_of(structure.topology)
    (rotor,) = rotors_of(topology)
    names = list(zip(topology.residue_name.tolist(), topology.name.tolist(), strict=True))
    wells = compound(5, f"(1 + bx*x5 + by*y5 + bz*z5) * v; v = {WELLS}")
    wells.addBond([names.index(("SER", "CA")), *rotor, far])
    # Its length and angle are of no matter to where it turns: the volume is a product of the three.
    length, bend = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce()
    length.addBond(rotor.centre, rotor.hydrogen, 0.096, 4e5)
    bend.addAngle(*rotor, 1.9, 500.0)
    system = free_atoms(topology)
    for force in (wells, length, bend):
        system.addForce(force)
    return system


def mean_depth(kelvin: float, stiffer: float) -> float:
    """Boltzmann's mean of V where the energy is `stiffer` V [kcal/mol]."""
    t = np.linspace(-np.pi, np.pi, 20_000, endpoint=False)
    depth = (5 * (1 - np.cos(t)) + 15 * (1 - np.cos(2 * t))) * KCAL_PER_KJ
    return float(np.average(depth, weights=np.exp(-stiffer * depth / (BOLTZMANN * kelvin))))


def energy_of(system: openmm.System, structure: Structure) -> float:
    """[kJ/mol]"""
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
    )
    context.setPositions(as_quantity(structure.positions))
    return context.getState(getEnergy=True).getPotentialEnergy()._value


@pytest.mark.parametrize("kelvin", [250.0, 400.0])
def test_a_hydroxyl_that_begins_in_the_wrong_well_fills_both_as_boltzmann_says(monkeypatch, kelvin):
    """From the first sample on; by its dynamics alone it would not leave."""
    structure = structure_from_sequence("ACE-SER-NME")
    far = int(np.flatnonzero(topology_of(structure.topology).name == "CH3")[0])
    wells = two_wells(structure, far)
    deeper = 1 + structure.positions[far] @ SLOPE / ANGSTROM_PER_NM
    assert energy_of(wells, structure) > 0.9 * deeper * 10
    found = labelled(structure, wells, kelvin, 100, monkeypatch, samples=8)
    bead = found.system.bead_of_atom[far]
    felt = -found.forces[:, bead] @ SLOPE / (SLOPE @ SLOPE) * ANGSTROM_PER_NM
    error = felt.std(ddof=1) / np.sqrt(len(felt))
    expected = mean_depth(kelvin, deeper)
    assert error < 0.2 * expected
    assert felt.mean() == pytest.approx(expected, abs=4 * error)
