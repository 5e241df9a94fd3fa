"""Do proteins that the model has not seen stay what they are? Replicas alive, chemistry, RMSD to native."""

import numpy as np
from blocks import duration
from drawing import ALL_ATOM, CHANCE, HOTTER, OURS, SMALL, panels, save
from runs import Run, Task, native, reference, simulated

from cgprot.analyse.measure import Measurement
from cgprot.analyse.measure import measure as measured
from cgprot.analyse.structure import backbone, rmsd
from cgprot.beads import BeadFrames

MARGIN = 1.0  # Å beyond the all-atom reference's range
# How the guard names what stopped a replica -> where it counts; such a frame is never written.
_STOPS = {"change of bond": "broken_bonds", "handedness": "chirality_flips", "ω of peptide": "cis_flips"}
_DAMAGE = {"broken_bonds": "broken", "chirality_flips": "inverted", "cis_flips": "isomerised"}


def measure(task: Task) -> dict:
    """A row for each protein and temperature, and a figure."""
    dynamics, proteins = task.scale.dynamics, []
    for name, time_ps in dynamics.time_ps.items():
        run = simulated(task, name, dynamics.temperatures, dynamics.replicas, time_ps)
        proteins.append(_protein(task, name, run))
        print(f"{name}: {_sentence(proteins[-1])}", flush=True)
    found = {"asked_ps": dynamics.time_ps, "replicas": dynamics.replicas, "proteins": proteins}
    found["temperatures"] = dynamics.temperatures
    found["timestep_fs"] = dynamics.timestep_fs
    return found | {"figures": [_draw(task, proteins)]}


def _protein(task: Task, name: str, run: Run) -> dict:
    start, all_atom = native(task, name), reference(task, name)
    selection = backbone(start.system)
    about = {
        "name": name,
        "residues": int(start.system.residue_index[-1]) + 1,
        "beads": start.system.n_beads,
        "refused": run.refused,
        "ns_per_day": run.ns_per_day,
        "reference_ps": 0.0 if all_atom is None else duration(all_atom),
        "reference_rmsd": _range(all_atom, start, selection),
    }
    rows = [] if run.refused else [_row(run, kelvin, start, about) for kelvin in _temperatures(run)]
    return about | {"rows": rows}


def _temperatures(run: Run) -> list[float]:
    return list(dict.fromkeys(run.config.temperatures.tolist()))


def _range(frames: BeadFrames | None, start: BeadFrames, selection: np.ndarray) -> list[float]:
    """Least, median and largest backbone RMSD to the native frame [Å]."""
    if frames is None:
        return []
    return np.quantile(rmsd(frames.positions, start.positions[0], selection), (0.0, 0.5, 1.0)).tolist()


def _row(run: Run, kelvin: float, start: BeadFrames, about: dict) -> dict:
    replicas = run.at(kelvin)
    stops = [run.stopped[replica] for replica in replicas if replica in run.stopped]
    distance = [_range(run.replicas[replica], start, backbone(start.system)) for replica in replicas]
    largest = max(each[2] for each in distance)
    allowed = about["reference_rmsd"][2] + MARGIN if about["reference_rmsd"] else None
    return {
        "temperature": kelvin,
        "alive": len(replicas) - len(stops),
        "replicas": len(replicas),
        "lasted_ps": [run.lasted_ps(replica) for replica in replicas],
        "stops": [entry.reason for entry in stops],
        **_damage([measured(run.replicas[replica]) for replica in replicas], [s.reason for s in stops]),
        "rmsd": [min(each[0] for each in distance), float(np.median([d[1] for d in distance])), largest],
        "near_native": None if allowed is None else largest <= allowed,
    }


def _damage(replicas: list[Measurement], reasons: list[str]) -> dict[str, int]:
    """What went wrong in frames, and what the guard stopped before it could be in one."""
    counts = {
        what: sum(int(getattr(replica, quantity).any(axis=0).sum()) for replica in replicas)
        for what, quantity in _DAMAGE.items()
    }
    for reason in reasons:
        for words, what in _STOPS.items():
            counts[what] += words in reason
    return counts


def _sentence(protein: dict) -> str:
    if protein["refused"]:
        return f"refused ({protein['refused']})"
    rows = protein["rows"]
    return ", ".join(f"{row['alive']} of {row['replicas']} alive at {row['temperature']:g} K" for row in rows)


def _draw(task: Task, proteins: list[dict]) -> str:
    """RMSD of every protein, from least over median to largest, beside the reference's."""
    figure, (axes,) = panels(1, 1, (6.4, 1.0 + 0.42 * len(proteins)))
    colours = (OURS, HOTTER, "#009E73", "#CC79A7")
    for y, protein in enumerate(proteins):
        if protein["reference_rmsd"]:
            low, _, high = protein["reference_rmsd"]
            axes.barh(y, high - low, 0.7, low, color=CHANCE, label="all-atom")
            axes.plot([high + MARGIN] * 2, [y - 0.35, y + 0.35], ":", color=ALL_ATOM, label="its range + 1 Å")
        for number, row in enumerate(protein["rows"]):
            height = y - 0.15 + 0.3 * number
            whole = row["alive"] == row["replicas"]
            axes.plot(
                row["rmsd"][::2], [height] * 2, color=colours[number % 4], label=f"{row['temperature']:g} K"
            )
            axes.plot(row["rmsd"][1], height, "o" if whole else "x", color=colours[number % 4])
    names = [protein["name"] + (" (refused)" if protein["refused"] else "") for protein in proteins]
    axes.set(
        yticks=range(len(names)), yticklabels=names, xlim=(0, None), xlabel="backbone RMSD to native [Å]"
    )
    axes.invert_yaxis()
    handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=4, **SMALL)
    return f"figures/{save(figure, task.path('figures', 'stability.png'))}"
