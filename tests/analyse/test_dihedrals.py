import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cgprot.analyse.dihedrals import (
    backbone_dihedrals,
    chi1_beads,
    cis_flips,
    dihedrals,
    omega_beads,
    peptide_bonds,
    peptide_omega,
    phi_psi_beads,
)
from cgprot.beads import BeadSystem

from .peptide import peptide

ANGLE = st.floats(-179.0, 179.0)


def with_bonds(system, bonds):
    fields = {name: getattr(system, name) for name in BeadSystem.__dataclass_fields__}
    return BeadSystem(**{**fields, "bonds": bonds})


@settings(max_examples=30, deadline=None)
@given(phi=st.tuples(ANGLE, ANGLE), psi=st.tuples(ANGLE, ANGLE), omega=st.tuples(ANGLE, ANGLE, ANGLE))
def test_dihedrals_are_those_the_peptide_was_built_with(phi, psi, omega):
    system, positions = peptide(phi, psi, omega)
    angles = backbone_dihedrals(positions[None], system)[0]
    assert angles[:, 0] == pytest.approx(phi, abs=1e-2)
    assert angles[:, 1] == pytest.approx(psi, abs=1e-2)
    assert peptide_omega(positions[None], system)[0] == pytest.approx(omega, abs=1e-2)


def test_a_mirror_changes_the_sign():
    system, positions = peptide([-60.0], [-45.0])
    angles = backbone_dihedrals(positions[None] * [1, 1, -1], system)
    assert angles == pytest.approx(np.array([[[60.0, 45.0]]]), abs=1e-2)


def test_alanine_dipeptide_has_one_pair_and_two_peptide_bonds():
    system, positions = peptide([-80.0], [70.0])
    assert len(peptide_bonds(system)) == 2  # the bond N-C within NME is none
    assert system.bead_name[phi_psi_beads(system)].tolist() == [["C", "N", "CA", "C", "N"]]
    assert system.bead_name[omega_beads(system)].tolist() == [["CH3", "C", "N", "CA"], ["CA", "C", "N", "C"]]
    assert backbone_dihedrals(positions[None], system).shape == (1, 1, 2)


@pytest.mark.parametrize("mapping", ["heavy_residue", "backbone_cb"])
def test_peptide_bonds_are_the_same_whatever_the_bead_types_are_called(chignolin, chignolin_as, mapping):
    """They were found by the types of mapping heavy: TYR.CA begins with no C."""
    expected, system = chignolin.system, chignolin_as(mapping).system
    places = [
        np.stack([each.bead_name[omega_beads(each)], each.residue_id[omega_beads(each)].astype(str)])
        for each in (expected, system)
    ]
    assert len(omega_beads(expected)) == 9
    assert np.array_equal(*places)


def test_a_chain_break_takes_both_neighbours_out(valines):
    system, _ = valines
    bonds = peptide_bonds(system)
    middle = bonds[2].tolist()  # between the second and the third valine
    rest = [bond for bond in system.bonds.tolist() if sorted(bond) != sorted(middle)]
    cut = with_bonds(system, np.array(rest))
    assert len(phi_psi_beads(system)) == 3
    assert system.residue_id[phi_psi_beads(cut)[:, 2]].tolist() == [2]
    assert len(omega_beads(cut)) == 3


def test_the_order_of_a_bond_does_not_matter(valines):
    system, _ = valines
    turned = with_bonds(system, system.bonds[::-1, ::-1].copy())
    assert np.array_equal(phi_psi_beads(turned), phi_psi_beads(system))
    assert np.array_equal(omega_beads(turned), omega_beads(system))


def test_proline_takes_ca_not_cd():
    system, _ = peptide([-60.0, -60.0], [-45.0, -45.0])
    # In the second residue the carbon listed first poses as CD, the next one, also bonded to N, as CA.
    n, ca, cb = (np.flatnonzero(system.bead_name == name)[1] for name in ("N", "CA", "CB"))
    name = system.bead_name.copy()
    name[[ca, cb]] = ["CD", "CA"]
    fields = {key: getattr(system, key) for key in BeadSystem.__dataclass_fields__}
    ring = BeadSystem(**{**fields, "bead_name": name, "bonds": np.vstack([[[n, cb]], system.bonds])})
    assert omega_beads(ring)[1, 2:].tolist() == [n, cb]


def test_cis_flips_against_the_start():
    omega = np.array([[180.0, 0.0], [-91.0, 89.0], [10.0, 0.0], [-170.0, 120.0], [np.nan, np.nan]])
    flips = cis_flips(omega, omega[0])
    assert flips.tolist() == [[False, False], [False, False], [True, False], [False, True], [True, True]]


def test_a_system_without_peptide_bonds_has_no_dihedrals(valines):
    system, positions = valines
    bare = with_bonds(system, np.empty((0, 2), dtype=int))
    assert backbone_dihedrals(positions[None], bare).shape == (1, 0, 2)
    assert peptide_omega(positions[None], bare).shape == (1, 0)


def test_chi1_takes_the_first_branch_and_leaves_out_who_has_none(valines):
    system, positions = valines  # built with χ1 = 180° to CG1, -58° to CG2
    beads = chi1_beads(system)
    assert system.bead_name[beads].tolist() == [["N", "CA", "CB", "CG1"]] * 3
    np.testing.assert_allclose(np.abs(dihedrals(positions[None], beads)), 180.0, atol=0.01)
    assert chi1_beads(peptide([-60.0], [-45.0])[0]).shape == (0, 4)


@pytest.mark.parametrize("names", [("OG1", "CG2"), ("SG", "HG"), ("CG", "ND"), ("OG", "HG")])
def test_chi1_knows_every_fourth_atom(valines, names):
    system, _ = valines
    renamed = np.select(
        [system.bead_name == "CG1", system.bead_name == "CG2"], names, default=system.bead_name
    )
    beads = chi1_beads(dataclasses.replace(system, bead_name=renamed))
    assert renamed[beads[:, 3]].tolist() == [names[0]] * 3
