"""What is said of errors: never more than is known."""

import math

import numpy as np
import pytest

from cgprot.train.evaluate import ErrorRow, Evaluation
from cgprot.train.spread import SpreadQuality
from cgprot.train.table import Report, as_csv, as_table, in_words

KNOWN = ErrorRow("protein", "a", 9, 1.0, 0.8, 0.5, 5.0, 0.866, 0.8, 0.9, 0.97, 0.96, 0.98)
UNKNOWN = ErrorRow("all", "", 18, 1.0, 0.8, math.nan, 5.0, explained=0.96)


def words(row: ErrorRow, size: int = 1, quality: SpreadQuality | None = None) -> str:
    empty = np.empty(0)
    return "\n".join(
        in_words(Report(Evaluation([row], 12, 4, empty, empty, empty, empty, empty), size, quality))
    )


def test_columns_and_what_is_not_known():
    lines = as_table([UNKNOWN, KNOWN]).splitlines()
    assert lines[1].split() == ["all", "1.000", "0.800", "-", "-", "5.000", "≥96.00", "%"]
    assert lines[2].split() == ["protein", "a", "1.000", "0.800", "0.500", "0.866", "5.000", "97.00", "%"]
    assert len({len(line) for line in lines}) == 1


def test_entries_are_for_the_csv():
    rows = [UNKNOWN, KNOWN._replace(group="entry", name="a/300/0")]
    assert "a/300/0" not in as_table(rows)
    assert "entry,a/300/0,9,1.0" in as_csv(rows)
    assert as_csv(rows).splitlines()[0].split(",")[6:8] == ["signal_kcal_mol_A", "mean_force_rmse_kcal_mol_A"]


def test_known_noise_is_said_with_intervals():
    said = words(KNOWN)
    assert "signal explained: 97.0 % (96.0 to 98.0)" in said
    assert "error of the mean force: 0.866 kcal/mol/Å (0.8 to 0.9)" in said
    assert "from 4 blocks of the 12 frames" in said
    assert "unknown" not in said


def test_unknown_noise_makes_a_lower_bound():
    assert "signal explained: at least 96.0 % of" in words(UNKNOWN)
    assert "noise floor unknown: the labels carry no standard error" in words(UNKNOWN)


def test_an_error_below_the_noise_is_no_number():
    row = KNOWN._replace(rmse=0.4, mean_force_rmse=0.0, mean_force_rmse_low=0.0, mean_force_rmse_high=0.21)
    assert "lost in the noise, below 0.21 kcal/mol/Å" in words(row._replace(group="all"))
    assert as_table([row]).splitlines()[1].split()[5] == "<0.210"


@pytest.mark.parametrize(
    ("low", "part", "sentence"),
    [
        (0.991, "≥99.10 %", "at least 99.100 % of"),
        (math.nan, "?", "below the noise of these labels"),
        (1.0, "?", "below the noise of these labels"),
    ],
)
def test_an_error_below_the_noise_does_not_explain_everything(low, part, sentence):
    row = KNOWN._replace(rmse=0.4, mean_force_rmse=0.0, explained=1.0, explained_low=low)
    assert as_table([row]).splitlines()[1].endswith(part)
    assert f"signal explained: {sentence}" in words(row).replace("what is left is ", "")
    assert "100.0" not in words(row) + as_table([row])


def test_labels_of_nothing_but_noise_tell_nothing():
    row = KNOWN._replace(mean_force_rmse=0.0, explained=math.nan, noise_floor=6.0)
    assert "signal explained: unknown" in words(row)
    assert "nan" not in words(row) + as_table([row])


def test_a_model_worse_than_nothing_explains_nothing():
    row = KNOWN._replace(rmse=9.0, explained=-2.2)
    assert "worse than no forces at all: RMSE 9 beside a signal of 5 kcal/mol/Å" in words(row)
    assert "%" not in words(row).splitlines()[0]
    assert as_table([row]).splitlines()[1].split()[-1] == "none"


@pytest.mark.parametrize(("low", "between"), [(0.6, " (0.60 to 0.90),"), (math.nan, ",")])
def test_a_committee_is_said(low, between):
    said = words(KNOWN, 3, SpreadQuality(0.3, 0.5, 0.7, 0.8, low, 0.9))
    assert "committee of 3: spread 0.3, error of its mean force 0.5 kcal/mol/Å" in said
    assert f"frames 0.80{between} beads 0.70" in said
