#!/usr/bin/env python
"""Which residues a model pushes the wrong way, from labels of one protein about one of its structures.

    analysis/validation/residue_forces.py MODEL LABELS.h5 [...] [--temperature K]

For every residue: the sum of its beads' forces, of the model less the labels, as a vector in the residue's
own axes (those of N, CA and C), averaged over frames: its length with the random error taken off
[kcal/mol/Å], and the beads whose own mean is largest. The noise of labels and what changes from frame to
frame average out; what stays moves a residue always the same way, and so shifts a fold. Bonds and angles
inside a residue, which rule the error of a bead, cancel in the sum; an error of a peptide bond does not, and
shows in both its residues. ± takes frames as independent. Caps have no such axes, and are left out.
"""

import argparse
from pathlib import Path

import numpy as np

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.model.checkpoint import load_model
from cgprot.model.potential import Potential
from cgprot.train.batches import read_datasets
from cgprot.train.evaluate import compared

AXES = ("N", "CA", "C")
NAMED = 4  # beads in a line


def own_axes(positions: np.ndarray) -> np.ndarray:
    """Of N, CA, C (n_frames, 3, 3): (n_frames, 3, 3), rows along CA-C, towards N, and normal to both."""
    n, ca, c = np.moveaxis(positions.astype(float), 1, 0)
    first = c - ca
    first = first / np.linalg.norm(first, axis=1, keepdims=True)
    second = n - ca
    second = second - (second * first).sum(axis=1, keepdims=True) * first
    second = second / np.linalg.norm(second, axis=1, keepdims=True)
    return np.stack([first, second, np.cross(first, second)], axis=1)


def residues(system: BeadSystem) -> dict[str, np.ndarray]:
    """Beads of every residue that has axes, N, CA and C first, by the residue's name and number."""
    found = {}
    for number in np.unique(system.residue_index):
        own = np.flatnonzero(system.residue_index == number)
        names = system.bead_name[own].tolist()
        if set(AXES) <= set(names):
            first = [own[names.index(name)] for name in AXES]
            key = f"{system.chain[own[0]]}{system.residue_name[own[0]]}{system.residue_id[own[0]]}"
            while key in found:  # an insertion
                key += "'"
            found[key] = np.array([*first, *(bead for bead in own if bead not in first)])
    return found


def surplus(model: Potential, key: str, frames: BeadFrames) -> np.ndarray:
    """(n_frames, n_beads, 3) [kcal/mol/Å], the model's forces less the labels."""
    return np.concatenate([part.forces - part.labels for part in compared([model], {key: frames})])


def squares(vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Square of the mean over frames, with that of the random error taken off, and the random error.

    Parameters
    ----------
    vectors : (n_frames, ..., 3)

    Returns
    -------
    two (...): |mean|² - Σ variance of the mean, which may come out below zero; √(Σ variance of the mean / 3)
    """
    mean = vectors.mean(axis=0)
    variance = vectors.var(axis=0, ddof=1).sum(axis=-1) / len(vectors)
    return (mean**2).sum(axis=-1) - variance, np.sqrt(variance / 3)


def root(square: np.ndarray) -> np.ndarray:
    """Zero of what is below."""
    return np.sqrt(np.maximum(square, 0))


def report(system: BeadSystem, positions: np.ndarray, errors: np.ndarray) -> None:
    """One line a residue, and one for all: root mean square of a component, random errors taken off."""
    nets = []
    for name, beads in residues(system).items():
        turned = np.einsum("fij,fbj->fbi", own_axes(positions[:, beads[:3]]), errors[:, beads])
        net, error = squares(turned.sum(axis=1))
        own = root(squares(turned)[0])
        largest = [f"{system.bead_name[beads[k]]} {own[k]:.2f}" for k in np.argsort(-own)[:NAMED]]
        print(f"{name:>9} {root(net):>7.2f} ± {error:.2f}   {', '.join(largest)}")
        nets.append(net / 3)
    print(f"{'all':>9} {root(np.mean(nets)):>7.2f} a component")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("labels", type=Path, nargs="+")
    parser.add_argument("--temperature", type=float, metavar="K", help="frames of this temperature alone")
    options = parser.parse_args()
    potential, _ = load_model(options.model)
    entries = read_datasets(options.labels)
    kept = {k: f for k, f in entries.items() if options.temperature in (None, f.temperature)}
    if sum(map(len, kept.values())) < 2:
        raise SystemExit("fewer than two frames: a mean needs more")
    systems = [frames.system for frames in kept.values()]
    if not all(systems[0].has_beads_of(system) for system in systems):
        raise SystemExit("labels of more than one protein: give those of one")
    errors = np.concatenate([surplus(potential, key, frames) for key, frames in kept.items()])
    report(systems[0], np.concatenate([frames.positions for frames in kept.values()]), errors)


if __name__ == "__main__":
    main()
