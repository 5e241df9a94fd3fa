"""States of the same beads at the same places: told apart with charge and spin, and not without."""

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "analysis" / "charge-and-spin" / "compare.py"


@pytest.fixture(scope="module")
def compare():
    spec = importlib.util.spec_from_file_location("compare", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_no_network_without_inputs_comes_below_the_floor(compare):
    for study in compare.STUDIES:
        errors = compare.held_out_errors(study, compare.fit(study, {}, steps=20))
        least = compare.floor(study)
        assert compare.total(errors.energy) >= compare.total(least.energy) > 1
        assert compare.total(errors.forces) >= compare.total(least.forces) > 30


def test_charge_and_spin_bring_a_network_far_below_it(compare):
    methylene = compare.STUDIES[0]
    errors = compare.held_out_errors(methylene, compare.fit(methylene, methylene.config, steps=250))
    least = compare.floor(methylene)
    assert compare.total(errors.energy) < 0.5 * compare.total(least.energy)
    assert compare.total(errors.forces) < 0.7 * compare.total(least.forces)
