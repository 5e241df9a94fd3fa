import numpy as np

from cgprot.files.alternates import is_second_location

RESIDUE = np.array([0, 0, 0, 0, 1, 1, 2])


def second(location, occupancy):
    return is_second_location(RESIDUE, location, np.array(occupancy)).tolist()


def test_a_residue_stays_at_its_location_of_the_highest_mean_occupancy():
    location = ["", "A", "B", "B", "A", "B", ""]
    assert second(location, [1.0, 0.4, 0.9, 0.3, 0.7, 0.3, 1.0]) == [0, 1, 0, 0, 0, 1, 0]


def test_among_equals_the_first_written_stays():
    assert second(["", "B", "A", "A", "A", "B", ""], [0.5] * 7) == [0, 0, 1, 1, 0, 1, 0]


def test_nothing_stays_out_where_there_is_one_location():
    assert second([""] * 7, [0.0] * 7) == [0] * 7
