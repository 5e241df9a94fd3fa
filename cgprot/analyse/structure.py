"""Size, shape and bonds of every frame: RMSD, radius of gyration, RMSF, bond lengths."""

from typing import NamedTuple

import numpy as np
from MDAnalysis.lib import qcprot
from scipy.sparse.csgraph import connected_components

from cgprot.beads import BeadSystem, bond_graph
from cgprot.errors import InputError

BACKBONE = ("N", "CA", "C", "O")
_FEWEST_TO_SUPERPOSE = 3
BROKEN_STRETCH = 0.5  # Å; thermal stretches of covalent bonds stay below 0.2 Å


def backbone(system: BeadSystem) -> np.ndarray:
    """Indices of the backbone beads N, CA, C and O, by bead name.

    Raises
    ------
    InputError
        if there are fewer than three, too few to superpose
    """
    found = np.flatnonzero(np.isin(system.bead_name, BACKBONE))
    if len(found) < _FEWEST_TO_SUPERPOSE:
        raise InputError(
            f"{len(found)} backbone beads among {system.n_beads}: name them N, CA, C and O as in a protein"
        )
    return found


class Molecule(NamedTuple):
    """The beads of a molecule, and those of its backbone, in ascending index."""

    beads: np.ndarray
    backbone: np.ndarray


def molecules(system: BeadSystem) -> list[Molecule]:
    """The molecules with a backbone to superpose: chains, those that bonds join taken together.

    Raises
    ------
    InputError
        if there is none
    """
    of_all = backbone(system)
    by_chain = np.argsort(system.chain, kind="stable")
    links = np.stack([by_chain[:-1], by_chain[1:]], axis=1)
    # A chain that lacks a residue is one molecule all the same.
    links = links[system.chain[links[:, 0]] == system.chain[links[:, 1]]]
    graph = bond_graph(np.concatenate([system.bonds, links]), system.n_beads)
    number = connected_components(graph, directed=False)[1]
    beads = [np.flatnonzero(number == each) for each in range(number.max() + 1)]
    found = [Molecule(own, np.intersect1d(own, of_all)) for own in beads]
    found = [molecule for molecule in found if len(molecule.backbone) >= _FEWEST_TO_SUPERPOSE]
    if not found:
        raise InputError(f"no molecule with {_FEWEST_TO_SUPERPOSE} backbone beads: leave such short ones out")
    return found


def bonded_neighbours(system: BeadSystem) -> list[np.ndarray]:
    """Bonded neighbours of every bead, in ascending index."""
    pairs = np.concatenate([system.bonds, system.bonds[:, ::-1]])
    pairs = pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))]
    ends = np.cumsum(np.bincount(pairs[:, 0], minlength=system.n_beads))
    return np.split(pairs[:, 1], ends[:-1])


def rmsd(
    positions: np.ndarray, reference: np.ndarray, selection: np.ndarray, mass: np.ndarray | None = None
) -> np.ndarray:
    """Root mean square deviation from `reference` after optimal superposition of every frame.

    Superposition and deviation use the beads of `selection`. Theobald's quaternion method,
    doi:10.1107/S0108767305015266; a deviation below 1e-4 Å is rounding.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å]
    reference : (n_beads, 3) [Å]
    selection : (n_selected,) int
    mass : (n_beads,) [Da], weights; None: all beads weigh the same

    Returns
    -------
    (n_frames,) [Å], nan where positions are not finite
    """
    weights = _weights(selection, mass)
    target = _centred(reference[None, selection], weights)[0]
    deviations = np.full(len(positions), np.nan)
    centred = _centred(positions[:, selection], weights)
    for frame in np.flatnonzero(np.isfinite(centred).all(axis=(1, 2))):
        mobile = centred[frame]
        deviations[frame] = qcprot.CalcRMSDRotationalMatrix(target, mobile, len(selection), None, weights)
    return deviations


def radius_of_gyration(positions: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """Mass-weighted radius of gyration of every frame.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å]
    mass : (n_beads,) [Da]

    Returns
    -------
    (n_frames,) [Å]

    Raises
    ------
    ValueError
        if `mass` sums to zero
    """
    mass = np.asarray(mass, dtype=float)
    if mass.sum() == 0.0:
        raise ValueError("mass sums to zero: give the mass of every bead")
    centred = _centred(positions, mass)
    return np.sqrt(np.einsum("b,fbx,fbx->f", mass / mass.sum(), centred, centred))


def rmsf(positions: np.ndarray, selection: np.ndarray, fit: np.ndarray | None = None) -> np.ndarray:
    """Root mean square fluctuation of every selected bead about its mean position.

    Frames are superposed on the first frame, then on their mean. Frames that are not finite are
    left out.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å]
    selection : (n_selected,) int
    fit : (n_fit,) int, at least three beads to superpose by; None: those of `selection`

    Returns
    -------
    (n_selected,) [Å]
    """
    fit = selection if fit is None else fit
    chosen = np.union1d(fit, selection)
    fit, selection = np.searchsorted(chosen, fit), np.searchsorted(chosen, selection)
    finite = positions[:, chosen]
    finite = finite[np.isfinite(finite).all(axis=(1, 2))]
    if len(finite) == 0:
        return np.full(len(selection), np.nan)
    centred = finite - finite[:, fit].mean(axis=1, keepdims=True, dtype=float)
    mean = _superposed(centred, centred[0, fit], fit)[:, fit].mean(axis=0)
    fitted = _superposed(centred, mean, fit)[:, selection]
    return np.sqrt(((fitted - fitted.mean(axis=0)) ** 2).sum(axis=2).mean(axis=0))


def bond_lengths(positions: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """Length of every bond in every frame.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å], molecules whole
    bonds : (n_bonds, 2) int

    Returns
    -------
    (n_frames, n_bonds) [Å]
    """
    vectors = positions[:, bonds[:, 0]] - positions[:, bonds[:, 1]]
    return np.sqrt(np.einsum("fbx,fbx->fb", vectors, vectors, dtype=float))


def broken_bonds(lengths: np.ndarray, reference_lengths: np.ndarray | None = None) -> np.ndarray:
    """Which bonds are broken: longer than the reference by more than 0.5 Å, or not a number.

    Parameters
    ----------
    lengths : (n_frames, n_bonds) [Å]
    reference_lengths : (n_bonds,) [Å]; None: those of the first frame

    Returns
    -------
    (n_frames, n_bonds) bool
    """
    reference = lengths[0] if reference_lengths is None else reference_lengths
    return ~(lengths - reference <= BROKEN_STRETCH)


def _weights(selection: np.ndarray, mass: np.ndarray | None) -> np.ndarray:
    """Weights with mean 1, as qcprot wants them."""
    weights = np.ones(len(selection)) if mass is None else np.asarray(mass, dtype=float)[selection]
    return weights / weights.mean()


def _centred(positions: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Positions, float64, about the weighted centre of their frame."""
    centre = np.einsum("b,fbx->fx", weights / weights.sum(), positions, dtype=float)
    return positions - centre[:, None]


def _superposed(centred: np.ndarray, target: np.ndarray, fit: np.ndarray) -> np.ndarray:
    """All beads of every frame, turned so that the beads `fit` lie on `target` (n_fit, 3)."""
    rotation = np.empty((len(centred), 9))
    for turn, mobile in zip(rotation, np.ascontiguousarray(centred[:, fit]), strict=True):
        qcprot.CalcRMSDRotationalMatrix(target, mobile, len(fit), turn, None)
    return centred @ rotation.reshape(-1, 3, 3)
