import dataclasses

import numpy as np
import pytest
from MDAnalysis.analysis.contacts import soft_cut_q

from cgprot.analyse.contacts import Contacts, fraction_native, native_contacts

from .peptide import bead_system


def line(chain="AAAAAA"):
    """Six beads, a residue each, on a hairpin: 0-5 and 1-4 face each other at 4 Å, 2-3 at 2 Å."""
    rows = [("CA", "CH1", "GLY", number + 1) for number in range(6)]
    system = bead_system(rows, [(k, k + 1) for k in range(5)])
    positions = np.array([[0, 0, 0], [4, 0, 0], [8, 1, 0], [8, 3, 0], [4, 4, 0], [0, 4, 0]], dtype=float)
    return dataclasses.replace(system, chain=np.array(list(chain))), positions


def test_contacts_are_near_in_space_and_far_along_the_chain():
    system, positions = line()
    contacts = native_contacts(positions, system)
    assert contacts.pairs.tolist() == [[0, 5]]  # 1-4 are only three residues apart
    assert contacts.distance.tolist() == [4.0]


def test_two_chains_touch_wherever_they_are_near():
    system, positions = line("AAABBB")
    found = native_contacts(positions, system)
    assert {tuple(pair) for pair in found.pairs.tolist()} == {(0, 5), (1, 4), (2, 3)}


def test_fraction_is_that_of_the_definition_and_of_mdanalysis():
    rng = np.random.default_rng(3)
    positions = rng.uniform(0, 12, (4, 20, 3))
    pairs = np.array([(i, j) for i in range(20) for j in range(i + 4, 20)])
    native = np.linalg.norm(positions[0, pairs[:, 0]] - positions[0, pairs[:, 1]], axis=1)
    found = fraction_native(positions, Contacts(pairs, native))
    for frame, q in zip(positions, found, strict=True):
        lengths = np.linalg.norm(frame[pairs[:, 0]] - frame[pairs[:, 1]], axis=1)
        assert q == pytest.approx(np.mean(1 / (1 + np.exp(5.0 * (lengths - 1.8 * native)))))
        assert q == pytest.approx(soft_cut_q(lengths, native))


def test_native_frame_keeps_all_and_a_blown_up_one_none():
    system, positions = line("AAABBB")
    contacts = native_contacts(positions, system)
    half = positions.copy()
    half[[4, 5]] += 1e4  # of three contacts two are gone
    kept = fraction_native(np.stack([positions, half, 1e6 * positions, positions * np.nan]), contacts)
    assert kept[0] == pytest.approx(1.0, abs=1e-3)
    assert kept[1] == pytest.approx(1 / 3, abs=1e-3)
    assert kept[2] == 0.0
    assert np.isnan(kept[3])


def test_without_contacts_there_is_no_fraction():
    system, positions = line()
    contacts = native_contacts(3 * positions, system)
    assert contacts.pairs.shape == (0, 2)
    assert np.isnan(fraction_native(positions[None], contacts)).all()
