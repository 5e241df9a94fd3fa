"""Structure at the lowest temperature beside all-atom: φ/ψ, χ1, fluctuations and native contacts."""

import numpy as np
from blocks import TOLD, divergence, duration, in_blocks, interval, length
from runs import Run, Task, after, native, reference, simulated
from structure_figures import draw

from cgprot.analyse.contacts import fraction_native, native_contacts
from cgprot.analyse.dihedrals import backbone_dihedrals, chi1_beads, dihedrals, phi_psi_beads
from cgprot.analyse.measure import alpha_carbons
from cgprot.analyse.sampling import cut, residue_maps
from cgprot.analyse.structure import backbone, rmsf
from cgprot.beads import BeadFrames, BeadSystem


def measure(task: Task) -> dict:
    """Every protein of the scale that has both a run and a reference."""
    proteins = [_protein(task, name) for name in task.scale.structure.proteins]
    figures = [figure for protein in proteins for figure in protein.pop("figures", [])]
    about = {"temperature": task.scale.dynamics.temperatures[0], "block_ps": task.scale.structure.block_ps}
    return about | {"proteins": proteins, "figures": figures}


def _protein(task: Task, name: str) -> dict:
    dynamics, asked = task.scale.dynamics, task.scale.structure
    all_atom, run = reference(task, name), None
    if name in dynamics.time_ps:
        run = simulated(task, name, dynamics.temperatures, dynamics.replicas, dynamics.time_ps[name])
    ours = [] if run is None or run.refused else _replicas(run, dynamics.temperatures[0], asked.leave_out_ps)
    all_atom = None if all_atom is None else after(all_atom, asked.leave_out_ps)
    if not ours or all_atom is None:
        return {"name": name, "lacks": "all-atom reference" if all_atom is None else _why_not(run)}
    return {"name": name, "lacks": ""} | compare(task, name, ours, all_atom)


def _why_not(run: Run | None) -> str:
    if run is None:
        return "run"
    return run.refused or "frames late enough"


def _replicas(run: Run, kelvin: float, leave_out_ps: float) -> list[BeadFrames]:
    kept = [after(run.replicas[replica], leave_out_ps) for replica in run.at(kelvin)]
    return [frames for frames in kept if frames is not None]


def compare(task: Task, name: str, ours: list[BeadFrames], all_atom: BeadFrames) -> dict:
    """All numbers of one protein."""
    start, angles = native(task, name), {"phi_psi": _phi_psi, "chi1": _chi1}
    maps = {
        quantity: in_blocks(ours, all_atom, values, task.scale.structure.block_ps).maps(residue_maps)
        for quantity, values in angles.items()
    }
    residues = {
        "phi_psi": names_of(start.system, phi_psi_beads(start.system)[:, 2]),
        "chi1": names_of(start.system, chi1_beads(start.system)[:, 1]),
    }
    contacts = native_contacts(start.positions[0], start.system)
    kept = [fraction_native(frames.positions, contacts) for frames in (*ours, all_atom)]
    found = {
        "sampled_ps": [duration(frames) for frames in ours],
        "reference_ps": duration(all_atom),
        **{quantity: divergences(residues[quantity], *pair) for quantity, pair in maps.items()},
        "rmsf": fluctuations(ours, all_atom),
        "contacts": {
            "number": len(contacts.pairs),
            "ours": _mean_and_spread(np.concatenate(kept[:-1])),
            "all_atom": _mean_and_spread(kept[-1]),
        },
    }
    times = [frames.time - frames.time[0] for frames in (*ours, all_atom)]
    return found | {"figures": draw(task, name, found, maps, list(zip(times, kept, strict=True)))}


def _phi_psi(frames: BeadFrames) -> np.ndarray:
    return backbone_dihedrals(frames.positions, frames.system)


def _chi1(frames: BeadFrames) -> np.ndarray:
    return dihedrals(frames.positions, chi1_beads(frames.system))[..., None]


def names_of(system: BeadSystem, alpha: np.ndarray) -> list[str]:
    """Residues as people name them, "LEU 12"."""
    return [f"{system.residue_name[bead]} {system.residue_id[bead]}" for bead in alpha]


def divergences(residues: list[str], ours: np.ndarray, all_atom: np.ndarray) -> dict:
    """Lists by residue of what `divergence` tells, of distributions (n_blocks, n_residues, ...)."""
    told = [divergence(ours[:, k], all_atom[:, k]) for k in range(len(residues))]
    return {"residues": residues} | {key: [each[key] for each in told] for key in TOLD}


def fluctuations(ours: list[BeadFrames], all_atom: BeadFrames) -> dict:
    """RMSF of every CA in windows of equal time, as a longer one sees more motion.

    A window is half the reference, so that its halves tell how well the RMSF is known, or the longest replica
    if that is shorter. Replicas shorter than a window, as they stopped, give none.
    """
    window_ps = min(max(map(duration, ours)), interval(all_atom) * max(1, len(all_atom) // 2))
    mine = np.mean([each for frames in ours for each in _windows(frames, window_ps)], axis=0)
    theirs = np.array(_windows(all_atom, window_ps))
    halves = np.array_split(theirs, 2)
    return {
        "window_ps": window_ps,
        "residues": names_of(all_atom.system, alpha_carbons(all_atom.system)),
        "ours": mine.tolist(),
        "all_atom": theirs.mean(0).tolist(),
        "correlation": correlation(mine, theirs.mean(0)),
        "correlation_of_halves": correlation(*(half.mean(0) for half in halves))
        if len(theirs) > 1
        else np.nan,
    }


def correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's; nan where one side does not vary."""
    with np.errstate(invalid="ignore"):
        return float(np.corrcoef(first, second)[0, 1])


def _windows(frames: BeadFrames, window_ps: float) -> list[np.ndarray]:
    """RMSF of every CA in windows of that time."""
    alpha, fit = alpha_carbons(frames.system), backbone(frames.system)
    return [rmsf(window, alpha, fit) for window in cut(frames.positions, length(frames, window_ps))]


def _mean_and_spread(values: np.ndarray) -> list[float]:
    return [float(np.nanmean(values)), float(np.nanstd(values))]
