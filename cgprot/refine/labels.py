"""Mean forces of the picked frames; one that cannot be labelled gives way to the nearest one before it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from cgprot.beads import BeadFrames
from cgprot.errors import InputError
from cgprot.reference.label import LabelConfig, label
from cgprot.refine.candidates import Candidates
from cgprot.refine.config import LABEL_SEEDS
from cgprot.refine.pick import BEFORE, Pick, earlier
from cgprot.refine.proteins import Protein

LABELLED = "labelled"
_ATTEMPTS = 5  # for one picked frame: the frame and those before it


class Outcome(NamedTuple):
    """What became of a picked frame: LABELLED, or why not."""

    pick: Pick
    said: str


def label_picks(
    protein: Protein,
    name: int,
    candidates: Candidates,
    picks: Sequence[Pick],
    used: set[int],
    config: LabelConfig,
    largest_force: float,
    label_temperature: float | None = None,
) -> tuple[dict[str, BeadFrames], list[Outcome]]:
    """Label the picked frames of one protein.

    Parameters
    ----------
    name : number of the protein among the candidates'
    picks : of all proteins
    used : all that was picked; those tried in its place are added
    largest_force : on a bead; labels beyond it are refused [kcal/mol/Å]
    label_temperature : of the hydrogens over which forces are averaged [K]; None: that of the simulation

    Returns
    -------
    entries : "protein/temperature/replica", of the frames that could be labelled, in the order of their times
    outcomes : of every frame that was tried, in the order of trial
    """
    todo = [one for one in picks if candidates.scores.protein[one.candidate] == name]
    labelled: dict[int, BeadFrames] = {}
    outcomes: list[Outcome] = []
    for attempt in range(_ATTEMPTS):
        refused = []
        for temperature in sorted({_kelvin(candidates, one) for one in todo}):
            own = [one for one in todo if _kelvin(candidates, one) == temperature]
            tried = config.model_copy(update={"seed": (config.seed + attempt) % LABEL_SEEDS})
            kelvin = label_temperature or temperature
            said = _label(protein, candidates, own, kelvin, tried, labelled)
            said |= _too_large(own, labelled, largest_force)
            outcomes += [Outcome(one, said.get(k, LABELLED)) for k, one in enumerate(own)]
            refused += [own[k] for k in sorted(said)]
        todo = []
        for one in refused:
            before = earlier(one.candidate, candidates.trajectory, candidates.time, used)
            if before is not None:
                used.add(before)
                todo.append(Pick(before, BEFORE))
    return _entries(protein, candidates, labelled), outcomes


def _label(
    protein: Protein,
    candidates: Candidates,
    picks: Sequence[Pick],
    temperature: float,
    config: LabelConfig,
    labelled: dict[int, BeadFrames],
) -> dict[int, str]:
    """Add to `labelled` by candidate; returns why some were not, by number among `picks`."""
    for one in picks:
        found = candidates.trajectories[candidates.trajectory[one.candidate]].system
        if not found.has_beads_of(protein.start.system):
            raise InputError(f"{protein.name}: a simulation is not of its beads: begin the round anew")
    numbers = [one.candidate for one in picks]
    positions = np.array([candidates.positions(number) for number in numbers])
    left_out: dict[int, str] = {}
    time = candidates.time[numbers]
    frames = label(protein.structure, protein.start.system, positions, time, temperature, config, left_out)
    kept = [number for k, number in enumerate(numbers) if k not in left_out]
    for k, number in enumerate(kept):
        labelled[number] = _one(frames, k)
    return left_out


def _too_large(
    picks: Sequence[Pick], labelled: dict[int, BeadFrames], largest_force: float
) -> dict[int, str]:
    """Take labels beyond the limit out again; returns why, by number among `picks`."""
    said = {}
    for k, one in enumerate(picks):
        frames = labelled.get(one.candidate)
        if frames is None or frames.forces is None:
            continue
        force = float(np.linalg.norm(frames.forces, axis=-1).max())
        if force > largest_force:
            del labelled[one.candidate]
            said[k] = f"mean force {force:.0f} kcal/mol/Å, beyond --largest-force {largest_force:g}"
    return said


def _kelvin(candidates: Candidates, one: Pick) -> float:
    return candidates.trajectories[candidates.trajectory[one.candidate]].temperature


def _one(frames: BeadFrames, k: int) -> BeadFrames:
    assert frames.forces is not None
    assert frames.force_noise is not None
    part = slice(k, k + 1)
    return BeadFrames(
        frames.system,
        frames.positions[part],
        frames.forces[part],
        frames.force_noise[part],
        time=frames.time[part],
        temperature=frames.temperature,
    )


def _entries(
    protein: Protein, candidates: Candidates, labelled: dict[int, BeadFrames]
) -> dict[str, BeadFrames]:
    together: dict[str, list[BeadFrames]] = {}
    for number in sorted(labelled):
        one = candidates.trajectories[candidates.trajectory[number]]
        key = f"{protein.name}/{one.temperature:g}/{one.replica}"
        together.setdefault(key, []).append(labelled[number])
    return {key: _joined(parts) for key, parts in together.items()}


def _joined(parts: Sequence[BeadFrames]) -> BeadFrames:
    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(part, name) for part in parts])

    return BeadFrames(
        parts[0].system,
        joined("positions"),
        joined("forces"),
        joined("force_noise"),
        time=joined("time"),
        temperature=parts[0].temperature,
    )
