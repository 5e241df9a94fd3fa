"""Free energies from how often something is seen."""

import numpy as np

from cgprot.units import BOLTZMANN


def free_energy(counts: np.ndarray, temperature: float) -> np.ndarray:
    """-kT ln p, zero where `counts` is largest, infinite where nothing was seen.

    Parameters
    ----------
    counts : counts or probabilities of any shape
    temperature : [K]

    Returns
    -------
    [kcal/mol], of the same shape

    Raises
    ------
    ValueError
        if nothing was seen at all
    """
    if counts.sum() <= 0:
        raise ValueError("empty histogram: give at least one count")
    with np.errstate(divide="ignore"):
        return -BOLTZMANN * temperature * np.log(counts / counts.max())


def difference(shares: np.ndarray, temperature: float) -> tuple[float, float]:
    """Free energy of one state less that of another, and its standard error.

    The error is that of the blocks by the jackknife.

    Parameters
    ----------
    shares : (n_blocks, 2), of the frames of blocks of equal time, in the one state and in the other
    temperature : [K]

    Returns
    -------
    [kcal/mol] both; infinite or not a number where a state was never seen, the error also where all
    that was seen of it is in one block
    """
    n = len(shares)
    rest = shares.sum(axis=0) - shares
    with np.errstate(divide="ignore", invalid="ignore"):
        whole = _difference(shares.sum(axis=0), temperature)
        left_out = _difference(rest, temperature)
        error = np.sqrt((n - 1) / n * ((left_out - left_out.mean()) ** 2).sum())
    return float(whole), float(error)


def _difference(shares: np.ndarray, temperature: float) -> np.ndarray:
    return -BOLTZMANN * temperature * (np.log(shares[..., 0]) - np.log(shares[..., 1]))
