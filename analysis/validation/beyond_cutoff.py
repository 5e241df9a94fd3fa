#!/usr/bin/env python
"""What a model pulls or pushes between residues beyond the labels, beside what its cutoff hides from it.

    analysis/validation/beyond_cutoff.py MODEL LABELS.h5 STRUCTURE.pdb [--kelvin 400]

A random error of every force averages out; one along the line between two residues does not, and opens or
closes a fold. For every pair of residues that are no neighbours: the difference of their net forces along
the line of their centres, halved, mean over the frames up to a temperature, of the model less the labels;
and the same of the Lennard-Jones forces of ff14SB between heavy atoms farther apart than the model's
cutoff, which no pair of its beads feels. kcal/mol/Å, negative pulls together. STRUCTURE is the protein with
hydrogens, for the parameters. The last line is what all of it comes to: the work of the same two forces when
the residues' centres move apart by one per cent, the virial of residues [kcal/mol].
"""

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
from openmm import NonbondedForce, app, unit
from scipy.spatial.distance import cdist

from cgprot.model.checkpoint import load_model
from cgprot.train.batches import read_datasets
from cgprot.train.evaluate import compared

_FEWEST = 10  # frames


def lennard_jones(structure: Path, bead_names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """σ [Å] and ε [kcal/mol] of the heavy atoms, (n_beads,) each; these must be the beads."""
    pdb = app.PDBFile(str(structure))
    system = app.ForceField("amber14/protein.ff14SB.xml").createSystem(pdb.topology)
    nonbonded = next(force for force in system.getForces() if isinstance(force, NonbondedForce))
    heavy = [atom for atom in pdb.topology.atoms() if atom.element.symbol != "H"]
    if [atom.name for atom in heavy] != bead_names:
        raise SystemExit(f"{structure}: its heavy atoms are not the beads of the labels: give that protein")
    parameters = [nonbonded.getParticleParameters(atom.index) for atom in heavy]
    sigma = [sigma.value_in_unit(unit.angstrom) for _, sigma, _ in parameters]
    return np.array(sigma), np.array([e.value_in_unit(unit.kilocalorie_per_mole) for *_, e in parameters])


def hidden_forces(positions: np.ndarray, sigma: np.ndarray, epsilon: np.ndarray, cutoff: float) -> np.ndarray:
    """Lennard-Jones forces between beads beyond the cutoff; (n_beads, 3) -> (n_beads, 3) [kcal/mol/Å]."""
    distance = cdist(positions, positions)
    np.fill_diagonal(distance, np.inf)
    distance[distance < cutoff] = np.inf
    power = ((sigma[:, None] + sigma) / (2 * distance)) ** 6
    size = 24 * np.sqrt(np.outer(epsilon, epsilon)) * (2 * power**2 - power) / distance**2
    return size.sum(1)[:, None] * positions - size @ positions


def of_residues(
    positions: np.ndarray, forces: np.ndarray, residue: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Centres and net forces, (n_frames, n_residues, 3) each."""
    members = [residue == number for number in np.unique(residue)]
    centre = np.stack([positions[:, own].mean(1) for own in members], 1)
    force = np.stack([forces[:, own].sum(1) for own in members], 1)
    return centre, force


def between_residues(positions: np.ndarray, forces: np.ndarray, residue: np.ndarray) -> np.ndarray:
    """(n_frames, n_beads, 3) twice -> (n_frames, n_pairs), residues that are neighbours left out."""
    centre, force = of_residues(positions, forces, residue)
    pulls = []
    for i, j in pairs(centre.shape[1]):
        line = centre[:, i] - centre[:, j]
        line /= np.linalg.norm(line, axis=1, keepdims=True)
        pulls.append(((force[:, i] - force[:, j]) * line).sum(1) / 2)
    return np.stack(pulls, 1)


def expansion(positions: np.ndarray, forces: np.ndarray, residue: np.ndarray) -> np.ndarray:
    """Work of the forces when the residues' centres move apart by 1 %, (n_frames,) [kcal/mol]."""
    centre, force = of_residues(positions, forces, residue)
    return 0.01 * (force * (centre - positions.mean(1, keepdims=True))).sum((1, 2))


def pairs(n_residues: int) -> list[tuple[int, int]]:
    """Of residues that are not neighbours in the sequence."""
    return [(i, j) for i, j in combinations(range(n_residues), 2) if j > i + 1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("labels", type=Path)
    parser.add_argument("structure", type=Path)
    parser.add_argument("--kelvin", type=float, default=400.0)
    options = parser.parse_args()
    potential, _ = load_model(options.model)
    entries = read_datasets([options.labels])
    chosen = {key: frames for key, frames in entries.items() if frames.temperature <= options.kelvin}
    if sum(map(len, chosen.values())) < _FEWEST:
        raise SystemExit(
            f"{options.labels}: fewer than {_FEWEST} frames up to {options.kelvin:g} K, whose mean tells "
            "nothing: label more or raise --kelvin"
        )
    system, cutoff = next(iter(chosen.values())).system, potential.config.cutoff
    parameters = lennard_jones(options.structure, list(system.bead_name))
    ours, hidden, work = [], [], []
    for key, frames in chosen.items():
        parts = compared([potential], {key: frames})
        surplus = np.concatenate([part.forces - part.labels for part in parts])
        ours.append(between_residues(frames.positions, surplus, system.residue_index))
        forces = np.array([hidden_forces(x, *parameters, cutoff) for x in frames.positions])
        hidden.append(between_residues(frames.positions, forces, system.residue_index))
        work.append([expansion(frames.positions, each, system.residue_index) for each in (surplus, forces)])
    print(f"{sum(map(len, ours))} frames; kcal/mol/Å; Lennard-Jones beyond {cutoff:g} Å")
    report(np.concatenate(ours), np.concatenate(hidden), pairs(system.residue_index.max() + 1))
    model, far = np.concatenate(work, axis=1)
    error = model.std() / np.sqrt(len(model))
    print(f"expansion by 1 %: {model.mean():+.2f} ± {error:.2f} kcal/mol, hidden {far.mean():+.2f}")


def report(ours: np.ndarray, hidden: np.ndarray, names: list[tuple[int, int]]) -> None:
    """(n_frames, n_pairs) twice: pairs by the size of what is hidden, then how the two go together."""
    mean, error, far = ours.mean(0), ours.std(0) / np.sqrt(len(ours)), hidden.mean(0)
    print(f"{'residues':>10} {'model - labels':>16} {'hidden':>8}")
    for place in np.argsort(far)[:10]:
        i, j = names[place]
        print(f"{f'{i + 1}-{j + 1}':>10} {mean[place]:>+8.2f} ± {error[place]:.2f} {far[place]:>+9.2f}")
    print(f"all {len(mean)} pairs: mean {mean.mean():+.2f}, hidden {far.mean():+.2f}; ", end="")
    print(f"correlation {np.corrcoef(mean, far)[0, 1]:.2f}")


if __name__ == "__main__":
    main()
