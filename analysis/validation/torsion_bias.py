#!/usr/bin/env python
"""Where a model tilts φ or ψ of a capped residue, from labels alone.

    analysis/validation/torsion_bias.py MODEL LABELS.h5 [...] [--torsion phi]

LABELS are of ACE-X-NME. For every temperature, in bins of the torsion: the mean torque about its bond of the
model less the labels [kcal/mol/rad], and minus its sum over the bins [kcal/mol]; bins with too few frames end
a sum. Random errors of a force average out here; these do not, and tilt basins.

The sum is not the error of the model's free energy, not even to first order. That is the mean energy error ΔU
at the angle, with the slope <∂ΔU/∂φ> - Cov(ΔU, ∂U/∂φ)/kT on all-atom frames, and the sum has the first term
alone. The covariance that it leaves out can be 0.1 to 0.2 kcal/mol: the sum says where a basin is tilted, and
only simulations say by how much it is shifted.

ψ is binned over frames with φ below 0, φ over all; ± takes frames as independent. Twisted frames are in no
equilibrium: they show where the error lies, not what it comes to.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from MDAnalysis.lib.distances import calc_dihedrals
from residue_forces import surplus

from cgprot.analyse.dihedrals import phi_psi_beads
from cgprot.beads import BeadFrames, BeadSystem
from cgprot.model.checkpoint import load_model
from cgprot.model.potential import Potential
from cgprot.train.batches import read_datasets
from cgprot.train.torsions import torsions_of

COLUMNS = {"phi": slice(0, 4), "psi": slice(1, 5)}  # of phi_psi_beads
BIN = 30  # degrees
FEWEST = 3  # frames that have a standard error


def four_beads(key: str, system: BeadSystem, torsion: str) -> list[int]:
    """The beads of φ or ψ of the residue between the caps."""
    rows = phi_psi_beads(system)
    if (
        len(rows) != 1
        or len(set(system.residue_index)) != 3
        or not {"ACE", "NME"} <= set(system.residue_name)
    ):
        raise SystemExit(f"{key}: something other than ACE-X-NME: give labels of one residue")
    return rows[0, COLUMNS[torsion]].tolist()


def angles(positions: np.ndarray, beads: list[int]) -> np.ndarray:
    """(n_frames, n_beads, 3) [Å] -> (n_frames,) [degrees]."""
    return np.degrees(calc_dihedrals(*(positions[:, bead].astype(float) for bead in beads)))


def torques(
    key: str, system: BeadSystem, positions: np.ndarray, forces: np.ndarray, beads: list[int]
) -> np.ndarray:
    """Along the angle, (n_frames,) [kcal/mol/rad]: Σ û × (x_i - x_b) · F_i over the beads that it turns."""
    torsions = torsions_of(system.bonds, system.n_beads)
    rows = [k for k, axis in enumerate(torsions.axis.tolist()) if set(axis) == set(beads[1:3])]
    if not rows:
        raise SystemExit(f"{key}: this bond is in a ring and does not turn: take the other torsion")
    own = torsions.row == rows[0]
    levers = np.stack([torsions.levers(torch.as_tensor(frame))[own] for frame in positions])
    return (levers * forces[:, torsions.bead[own]]).sum(axis=(1, 2))


def measured(model: Potential, key: str, frames: BeadFrames, torsion: str) -> np.ndarray:
    """(2, n_frames): the angle, and the torque of the model less that of the labels."""
    beads = four_beads(key, frames.system, torsion)
    torque = torques(key, frames.system, frames.positions, surplus(model, key, frames), beads)
    found = np.stack([angles(frames.positions, beads), torque])
    if torsion == "phi":
        return found
    return found[:, angles(frames.positions, four_beads(key, frames.system, "phi")) < 0]


def report(angle: np.ndarray, torque: np.ndarray) -> None:
    """One line a bin; after one with too few frames the sum begins anew."""
    print(f"{'degrees':>12} {'frames':>7} {'torque, model - labels':>24} {'minus its sum':>16}")
    tilt, variance, width = 0.0, 0.0, np.radians(BIN)
    around = (angle + 180) % 360 - 180
    for start in range(-180, 180, BIN):
        own = torque[(around >= start) & (around < start + BIN)]
        place = f"{start:>5} to {start + BIN:>3} {len(own):>7}"
        if len(own) < FEWEST:
            print(f"{place}  too few")
            tilt, variance = 0.0, 0.0
            continue
        error = own.std(ddof=1) / np.sqrt(len(own))
        tilt, variance = tilt - own.mean() * width, variance + (error * width) ** 2
        print(f"{place} {own.mean():>+15.2f} ± {error:.2f} {tilt:>+12.2f} ± {variance**0.5:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("labels", type=Path, nargs="+")
    parser.add_argument("--torsion", choices=list(COLUMNS), default="psi")
    options = parser.parse_args()
    potential, _ = load_model(options.model)
    by_temperature: dict[float | None, list[np.ndarray]] = {}
    for key, frames in read_datasets(options.labels).items():
        found = measured(potential, key, frames, options.torsion)
        by_temperature.setdefault(frames.temperature, []).append(found)
    for kelvin, found in by_temperature.items():
        print(f"{kelvin:g} K" if kelvin is not None else "temperature not recorded")
        report(*np.concatenate(found, axis=1))


if __name__ == "__main__":
    main()
