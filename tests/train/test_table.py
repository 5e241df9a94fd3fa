import math

from cgprot.train.evaluate import ErrorRow
from cgprot.train.table import as_table


def test_unknown_noise_floor_is_said():
    known = ErrorRow("entry", "a/300/0", 9, 1.0, 0.8, 0.5, 5.0)
    unknown = ErrorRow("all", "", 18, 1.0, 0.8, math.nan, 5.0)
    lines = as_table([unknown, known]).splitlines()
    assert lines[1].split() == ["all", "1.000", "0.800", "-", "5.000"]
    assert lines[2].split()[-2:] == ["0.500", "5.000"]
    assert lines[3].startswith("noise floor unknown: the labels carry no standard error")
    assert len({len(line) for line in lines[:3]}) == 1


def test_known_noise_floor_has_no_remark():
    table = as_table([ErrorRow("all", "", 18, 1.0, 0.8, 0.5, 5.0)])
    assert len(table.splitlines()) == 2
