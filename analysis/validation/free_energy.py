"""Free energy surfaces beside all-atom: a peptide in φ and ψ, a hairpin in two of its hydrogen bonds."""

import numpy as np
from blocks import Blocks, divergence, duration, in_blocks
from drawing import panels, save, surface
from runs import Run, Task, after, reference, simulated

from cgprot.analyse.compare import BINS
from cgprot.analyse.dihedrals import backbone_dihedrals
from cgprot.analyse.landscape import difference, free_energy
from cgprot.analyse.sampling import residue_maps
from cgprot.analyse.structure import bond_lengths
from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import UsageError

_HIGHEST = {"phi_psi": 5.0, "bonds": 3.0}  # kcal/mol, the end of the colours
_BOND_EDGES = np.linspace(2.0, 12.0, 41)  # Å
_BONDED = 3.5  # Å from donor to acceptor
_STATES = ("β and PII", "αR", "αL")


def measure(task: Task) -> dict:
    """Both surfaces."""
    found = {"peptide": _peptide(task), "hairpin": _hairpin(task)}
    figures = [figure for each in found.values() for figure in each.pop("figures", [])]
    return found | {"temperature": task.scale.dynamics.temperatures[0], "figures": figures}


def _sampled(task: Task, run: Run, all_atom: BeadFrames | None, leave_out_ps: float):
    """Replicas and reference without their beginning, or what is lacking."""
    if all_atom is None:
        return [], None, "all-atom reference"
    if run.refused:
        return [], None, run.refused
    replicas = run.at(task.scale.dynamics.temperatures[0])
    kept = [after(run.replicas[replica], leave_out_ps) for replica in replicas]
    ours, all_atom = [frames for frames in kept if frames is not None], after(all_atom, leave_out_ps)
    return ours, all_atom, "" if ours and all_atom is not None else "frames late enough"


def _peptide(task: Task) -> dict:
    asked, kelvin = task.scale.free_energy, task.scale.dynamics.temperatures[0]
    all_atom = reference(task, asked.peptide)
    run = simulated(task, asked.peptide, [kelvin], asked.replicas, asked.time_ps)
    ours, all_atom, lacks = _sampled(task, run, all_atom, asked.leave_out_ps)
    about = {"name": asked.peptide, "lacks": lacks, "alive": len(run.replicas) - len(run.stopped)}
    about |= {"replicas": asked.replicas, "stops": [entry.reason for entry in run.stopped.values()]}
    if lacks:
        return about
    blocks = in_blocks(ours, all_atom, _phi_psi, asked.block_ps)
    maps, shares = blocks.maps(lambda angles: residue_maps(angles)[0]), blocks.maps(_state_shares)
    return (
        about
        | _sampling(ours, all_atom, blocks)
        | divergence(*maps)
        | {"states": [_state(number, shares, kelvin) for number in range(len(_STATES))]}
        | {"figures": [_draw_maps(task, asked.peptide, maps, kelvin)]}
    )


def _sampling(ours: list[BeadFrames], all_atom: BeadFrames, blocks: Blocks) -> dict:
    times = {"sampled_ps": [duration(frames) for frames in ours], "reference_ps": duration(all_atom)}
    return times | {"block_ps": blocks.time_ps}


def _phi_psi(frames: BeadFrames) -> np.ndarray:
    return backbone_dihedrals(frames.positions, frames.system)[:, :1]


def _state_shares(angles: np.ndarray) -> list[float]:
    """Share of frames in β and PII (φ < 0, ψ beyond -120 to 50), αR (φ < 0, between them), αL (φ > 0)."""
    phi, psi = angles[:, 0].T
    helical = (psi > -120.0) & (psi < 50.0)
    return [float(np.mean(here)) for here in ((phi < 0) & ~helical, (phi < 0) & helical, phi >= 0)]


def _state(number: int, shares: list[np.ndarray], kelvin: float) -> dict:
    """Its share in both, and its free energy over β and PII with the standard error of the blocks."""
    pairs = [difference(each[:, [number, 0]], kelvin) for each in shares]
    return {
        "name": _STATES[number],
        "share": [float(each[:, number].mean()) for each in shares],
        "energy": [pair[0] for pair in pairs],
        "error": [pair[1] for pair in pairs],
    }


def _hairpin(task: Task) -> dict:
    asked, dynamics = task.scale.free_energy, task.scale.dynamics
    if asked.hairpin not in dynamics.time_ps:
        return {"name": asked.hairpin, "lacks": "run"}
    time_ps, kelvin = dynamics.time_ps[asked.hairpin], dynamics.temperatures[0]
    run = simulated(task, asked.hairpin, dynamics.temperatures, dynamics.replicas, time_ps)
    leave_out_ps = task.scale.structure.leave_out_ps
    ours, all_atom, lacks = _sampled(task, run, reference(task, asked.hairpin), leave_out_ps)
    if lacks:
        return {"name": asked.hairpin, "lacks": lacks}
    pairs = asked.hydrogen_bonds
    blocks = in_blocks(
        ours, all_atom, lambda frames: _distances(frames, pairs), task.scale.structure.block_ps
    )
    maps, bonded = blocks.maps(_bond_map), blocks.maps(lambda lengths: (lengths < _BONDED).mean(0))
    return {
        "name": asked.hairpin,
        "lacks": "",
        "bonds": [" – ".join(pair) for pair in pairs],
        **_sampling(ours, all_atom, blocks),
        "share_bonded": np.transpose([each.mean(0) for each in bonded]),
        **divergence(*maps),
        "figures": [_draw_bonds(task, asked, maps, kelvin)],
    }


def _distances(frames: BeadFrames, pairs: list[tuple[str, str]]) -> np.ndarray:
    """(n_frames, 2) [Å]."""
    beads = np.array([[_bead(frames.system, name) for name in pair] for pair in pairs])
    return bond_lengths(frames.positions, beads)


def _bead(system: BeadSystem, name: str) -> int:
    """The bead "N 3": its name, and its residue counted from 1."""
    bead, _, residue = name.partition(" ")
    found = np.flatnonzero((system.bead_name == bead) & (system.residue_index + 1 == int(residue)))
    if len(found) != 1:
        raise UsageError(f"free_energy.hydrogen_bonds: {len(found)} beads {name!r}: name one, as in 'N 3'")
    return int(found[0])


def _bond_map(distances: np.ndarray) -> np.ndarray:
    inside = distances.clip(_BOND_EDGES[0], _BOND_EDGES[-1])
    return np.histogram2d(*inside.T, bins=(_BOND_EDGES, _BOND_EDGES))[0] / len(distances)


def _draw_maps(task: Task, name: str, maps: list[np.ndarray], kelvin: float) -> str:
    edges = np.linspace(-180.0, 180.0, BINS + 1)
    look = {"xlabel": "φ [°]", "ylabel": "ψ [°]", "xticks": edges[::9], "yticks": edges[::9]}
    return _draw(task, f"{name}_free_energy.png", maps, (edges, edges), kelvin, _HIGHEST["phi_psi"], look)


def _draw_bonds(task: Task, asked, maps: list[np.ndarray], kelvin: float) -> str:
    labels = [" – ".join(pair) + " [Å]" for pair in asked.hydrogen_bonds]
    look = {"xlabel": labels[0], "ylabel": labels[1]}
    edges = (_BOND_EDGES, _BOND_EDGES)
    return _draw(task, f"{asked.hairpin}_free_energy.png", maps, edges, kelvin, _HIGHEST["bonds"], look)


def _draw(task: Task, file: str, maps, edges, kelvin: float, highest: float, look: dict) -> str:
    figure, axes = panels(1, 2, (3.4, 3.2))
    for each, blocks, title in zip(axes, maps, ("cgprot", "all-atom"), strict=True):
        image = surface(each, free_energy(blocks.mean(0), kelvin), edges, highest)
        each.set(title=title, aspect="equal", **look)
    figure.colorbar(image, ax=axes.tolist(), label="free energy [kcal/mol]", shrink=0.8, extend="max")
    return f"figures/{save(figure, task.path('figures', file))}"
