"""Native contacts: which heavy atoms touch in a structure, and how many of them still do."""

from typing import NamedTuple

import numpy as np
from MDAnalysis.lib.distances import self_capped_distance
from scipy.special import expit

from cgprot.analyse.structure import bond_lengths
from cgprot.beads import BeadSystem

CONTACT = 4.5  # Å
NEIGHBOURS = 3  # residues along the chain that touch in any fold
STEEPNESS = 5.0  # 1/Å
SLACK = 1.8  # times the native distance


class Contacts(NamedTuple):
    """Pairs of beads that touch in a native structure, and how far apart they are there."""

    pairs: np.ndarray  # (n_contacts, 2) int
    distance: np.ndarray  # (n_contacts,) [Å]


def native_contacts(native: np.ndarray, system: BeadSystem) -> Contacts:
    """Pairs of beads closer than 4.5 Å, of two chains or more than 3 residues apart in one.

    Best, Hummer and Eaton, doi:10.1073/pnas.1311599110; for a mapping of heavy atoms.

    Parameters
    ----------
    native : (n_beads, 3) [Å]
    """
    pairs = self_capped_distance(np.asarray(native, dtype=np.float32), CONTACT, return_distances=False)
    first, second = pairs.reshape(-1, 2).astype(np.int64).T
    residue = system.residue_index
    apart = abs(residue[first] - residue[second]) > NEIGHBOURS
    chosen = apart | (system.chain[first] != system.chain[second])
    pairs = np.sort(np.stack([first, second], axis=1)[chosen], axis=1)
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    return Contacts(pairs, bond_lengths(np.asarray(native)[None], pairs)[0])


def fraction_native(positions: np.ndarray, contacts: Contacts) -> np.ndarray:
    """Fraction of native contacts Q, each counted by 1 / (1 + exp(5/Å (r - 1.8 r0))), its mean.

    Best, Hummer and Eaton, doi:10.1073/pnas.1311599110.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å], molecules whole
    contacts : of `native_contacts`

    Returns
    -------
    (n_frames,), nan where positions are not finite or there is no contact
    """
    if len(contacts.pairs) == 0:
        return np.full(len(positions), np.nan)
    least = SLACK * contacts.distance
    lengths = (bond_lengths(frame[None], contacts.pairs)[0] for frame in positions)
    return np.array([expit(-STEEPNESS * (length - least)).mean() for length in lengths])
