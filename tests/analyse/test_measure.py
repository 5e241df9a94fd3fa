"""The numbers of a report against what they are by construction."""

import dataclasses

import numpy as np
import pytest
from MDAnalysis.lib.distances import calc_dihedrals
from scipy.spatial.transform import Rotation

from cgprot.analyse.contacts import native_contacts
from cgprot.analyse.dihedrals import chi1_beads
from cgprot.analyse.measure import Ensemble, measure
from cgprot.analyse.tables import divergence_table, fluctuation_correlation
from cgprot.beads import BeadFrames
from cgprot.files.sources import Source

from .peptide import peptide

HELIX, STRAND = (-60.0, -45.0), (-120.0, 130.0)


def curled(n_frames=30, chi1=0.0, seed=0, angles=(HELIX,) * 8, temperature=300.0):
    """Eight valines that shake, χ1 turned by `chi1` [degrees]."""
    phi, psi = zip(*angles, strict=True)
    system, positions = peptide(phi, psi, sidechains=("CB", "CG1", "CG2"))
    for _, ca, cb, g in chi1_beads(system):
        axis = positions[cb] - positions[ca]
        turn = Rotation.from_rotvec(np.radians(chi1) * axis / np.linalg.norm(axis))
        for gamma in (g, g + 1):
            positions[gamma] = positions[cb] + turn.apply(positions[gamma] - positions[cb])
    noise = 0.05 * np.random.default_rng(seed).standard_normal((n_frames, *positions.shape))
    noise *= np.linspace(0.5, 2.0, len(positions))[:, None]  # the end moves most
    return BeadFrames(system, positions + noise, temperature=temperature)


def ensemble(*replicas, is_reference=False):
    return Ensemble(Source("x", list(replicas)), [measure(frames) for frames in replicas], is_reference)


def compared(run, *reference):
    (row,) = divergence_table([run, ensemble(*reference, is_reference=True)])
    return row


def test_native_contacts_are_those_of_the_start():
    frames = curled()
    beyond = frames.system.residue_index > 4
    frames.positions[20:, beyond] += 50.0
    kept = measure(frames).contacts
    assert min(kept[:20]) > 0.99
    pairs = native_contacts(frames.positions[0], frames.system).pairs
    assert kept[20:] == pytest.approx(np.mean(beyond[pairs[:, 0]] == beyond[pairs[:, 1]]), abs=0.01)


def test_angles_are_those_that_the_chain_was_built_with():
    frames = curled(n_frames=1, angles=(HELIX, STRAND) * 4)
    exact = BeadFrames(
        frames.system,
        peptide(*zip(*(HELIX, STRAND) * 4, strict=True), sidechains=("CB", "CG1", "CG2"))[1][None],
    )
    np.testing.assert_allclose(measure(exact).phi_psi[0], (HELIX, STRAND) * 4, atol=1e-3)
    x = exact.positions[0][chi1_beads(exact.system).T]
    np.testing.assert_allclose(measure(exact).chi1[0], np.degrees(calc_dihedrals(*x)), atol=1e-3)
    assert np.abs(np.abs(measure(curled(chi1=70.0)).chi1) - 180.0).min() > 1.0  # a sign would show


def test_the_radius_of_gyration_weighs_beads_by_their_mass_and_side_chains_have_no_part_in_the_rmsd():
    frames = curled(n_frames=2)
    mass, x = frames.system.mass, frames.positions[1]
    off = x - np.average(x, axis=0, weights=mass)
    assert measure(frames).radius_of_gyration[1] == pytest.approx(
        np.sqrt(mass @ (off**2).sum(1) / mass.sum())
    )
    moved = frames.positions[:1].repeat(2, axis=0)
    moved[1, np.char.startswith(frames.system.bead_name, "CG")] += 3.0
    assert measure(BeadFrames(frames.system, moved)).backbone_rmsd[1] == pytest.approx(0.0, abs=1e-6)


def test_a_helix_is_not_a_strand():
    reference = curled(60, seed=3)
    strand = compared(ensemble(curled(60, seed=1, angles=(STRAND,) * 8)), reference)
    helix = compared(ensemble(curled(60, seed=1)), reference)
    assert strand.phi_psi == pytest.approx(1.0)
    assert strand.chi1 < 0.2
    assert helix.phi_psi < 0.3
    assert compared(ensemble(reference), reference).phi_psi == 0.0


def test_residues_that_change_places_are_told():
    """Pooled over residues the two maps are equal."""
    run = ensemble(curled(angles=(HELIX, STRAND) * 4))
    assert compared(run, curled(angles=(STRAND, HELIX) * 4, seed=1)).phi_psi == pytest.approx(1.0)


def test_a_short_run_of_the_same_distribution_is_as_far_off_as_chance_says():
    short, long = ensemble(curled(40, seed=1)), (curled(400, seed=2), curled(400, seed=3))
    row = compared(short, *long)
    assert row.phi_psi > 0.05
    assert row.phi_psi_by_chance == pytest.approx(row.phi_psi, rel=0.3)
    assert row.chi1_by_chance == pytest.approx(row.chi1, rel=0.3)


def test_too_few_frames_tell_no_chance():
    row = compared(ensemble(curled(3, seed=1)), curled(400, seed=2))
    assert np.isnan(row.phi_psi_by_chance)
    assert row.phi_psi > 0.0


def test_side_chains_and_fluctuations_beside_a_reference():
    same, turned = ensemble(curled(seed=1)), ensemble(curled(chi1=120.0, seed=2))
    reference = ensemble(curled(seed=3))
    assert compared(same, curled(seed=3)).chi1 < 0.2
    assert compared(turned, curled(seed=3)).chi1 == pytest.approx(1.0)
    assert fluctuation_correlation(same, reference) > 0.9
    backwards = reference.replicas[0].fluctuation[::-1]
    other = ensemble(curled())
    other.replicas[0] = dataclasses.replace(other.replicas[0], fluctuation=backwards)
    assert fluctuation_correlation(other, reference) < -0.9


def test_every_frame_counts_alike_however_long_its_replica():
    """One that stopped early weighed as much as those that ran to the end."""
    whole = ensemble(curled(60), curled(2, chi1=120.0))
    assert compared(whole, curled(60)).chi1 < 0.05
    long, short = (replica.fluctuation for replica in whole.replicas)
    np.testing.assert_allclose(whole.fluctuation, (60 * long + 2 * short) / 62)


def test_a_chain_without_fluctuations_spoils_no_other():
    """Chains of fewer than three backbone beads cannot be superposed."""
    same, reference = ensemble(curled(seed=1)), ensemble(curled(seed=3))
    for each in (same, reference):
        fluctuation = each.replicas[0].fluctuation.copy()
        fluctuation[:2] = np.nan
        each.replicas[0] = dataclasses.replace(each.replicas[0], fluctuation=fluctuation)
    assert fluctuation_correlation(same, reference) > 0.9


def test_molecules_that_another_number_was_made_of_are_not_compared_unsaid():
    run, reference = ensemble(curled(seed=1)), ensemble(curled(seed=3), is_reference=True)
    reference.replicas[0] = dataclasses.replace(reference.replicas[0], n_molecules=2)
    assert np.isnan(fluctuation_correlation(run, reference))
    (row,) = divergence_table([run, reference])
    assert row.note == "1 molecules against 2, by their chains: RMSD, radius and RMSF do not compare"


@pytest.mark.parametrize(
    ("temperatures", "told"),
    [
        ([300.0], ""),
        ([350.0], "temperatures [K]: 350 against 300, all frames together"),
        ([300.0, 360.0], "temperatures [K]: 300 to 360 against 300, all frames together"),
        ([None], "temperatures [K]: not recorded against 300, all frames together"),
    ],
)
def test_other_temperatures_are_not_compared_unsaid(temperatures, told):
    run = ensemble(*(curled(temperature=temperature) for temperature in temperatures))
    assert compared(run, curled()).note == told


def test_other_proteins_are_not_compared(wobbling):
    helix = ensemble(curled())
    assert np.isnan(compared(helix, wobbling()).chi1)
    assert np.isnan(compared(helix, wobbling()).phi_psi)
    assert np.isnan(fluctuation_correlation(helix, ensemble(wobbling())))
