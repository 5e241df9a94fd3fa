"""Alternate locations: which atoms of a structure are the same ones elsewhere."""

import numpy as np
from numpy.typing import ArrayLike


def is_second_location(residue: np.ndarray, location: ArrayLike, occupancy: np.ndarray) -> np.ndarray:
    """Whether an atom stays out, as another of its residue's locations has a higher mean occupancy.

    An atom that only such a location has stays out too: half of a side chain is none. Among equals
    the first written stays.

    Parameters
    ----------
    residue : (n_atoms,) int
        the place in the sequence: two residues at one place are alternatives
    location : (n_atoms,) str
        "" where there is but one
    occupancy : (n_atoms,) float

    Returns
    -------
    (n_atoms,) bool
    """
    location = np.asarray(location, dtype=str)
    second = np.zeros(len(location), dtype=bool)
    located = location != ""
    for place in np.unique(residue[located]):
        members = np.flatnonzero(located & (residue == place))
        names = list(dict.fromkeys(location[members]))
        mean = [occupancy[members[location[members] == name]].mean() for name in names]
        second[members[location[members] != names[int(np.argmax(mean))]]] = True
    return second
