"""Which proteins are the same, whatever their file calls the residues."""

import numpy as np
import pytest

from cgprot.beads import BeadSystem
from cgprot.refine.proteins import sequence_of


def system_of(names: str) -> BeadSystem:
    """One bead a residue."""
    name = np.array(names.split())
    n, text = len(name), np.full(len(name), "A")
    return BeadSystem(
        bead_type=np.ones(n, dtype=int),
        type_name=text,
        mass=np.ones(n),
        charge=np.zeros(n),
        bonds=np.empty((0, 2), dtype=int),
        bead_of_atom=np.arange(n),
        bead_name=text,
        residue_name=name,
        residue_id=np.arange(n),
        chain=text,
        mapping="heavy",
        mapping_hash="",
    )


@pytest.mark.parametrize(
    "names", ["ACE HID CYX NME", "HIP CYS", "HSD CYS", "HSE CYX", "HSP CYM"], ids=lambda names: names
)
def test_protonation_states_and_caps_of_any_force_field_are_the_same_protein(names):
    """mdCATH's datasets have CHARMM's names: their proteins were taken for others, and trained on."""
    assert sequence_of(system_of(names)) == ("HIS", "CYS")


def test_acids_and_lysines_by_charmms_names():
    assert sequence_of(system_of("ASPP GLUP LSN")) == sequence_of(system_of("ASH GLH LYN"))
