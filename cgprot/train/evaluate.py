"""Force errors of a model beside their noise floor, in all, by entry and by bead type."""

import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tqdm import tqdm

from cgprot.beads import BeadFrames
from cgprot.model.potential import Potential
from cgprot.train.batches import Frame, join_frames, prepare_frames
from cgprot.train.loss import ForceErrors

BATCH_FRAMES = 8


class ErrorRow(NamedTuple):
    """Errors of one group of force components [kcal/mol/Å]; `noise_floor` is NaN if unknown."""

    group: str  # "all", "entry" or "bead type"
    name: str
    n_components: int
    rmse: float
    mae: float
    noise_floor: float
    signal: float


def force_errors(potential: Potential, entries: Mapping[str, BeadFrames]) -> list[ErrorRow]:
    """Compare forces with labels: one row in all, one per entry, one per bead type.

    Parameters
    ----------
    entries : labelled frames by key, as `read_datasets` gives them
    """
    type_names = {
        int(number): str(name)
        for frames in entries.values()
        for number, name in zip(frames.system.bead_type, frames.system.type_name, strict=True)
    }
    sums = sum_errors(potential, prepare_frames(entries, potential.config.reach))
    named = {
        (group, type_names[int(name)] if group == "bead type" else name): errors
        for (group, name), errors in sums.items()
    }
    return [
        ErrorRow(*key, errors.n, errors.rmse, errors.mae, errors.noise_floor, errors.signal)
        for key, errors in named.items()
    ]


def sum_errors(potential: Potential, frames: Sequence[Frame]) -> dict[tuple[str, str], ForceErrors]:
    """Errors by ("all", ""), ("entry", key) and ("bead type", number)."""
    sums: dict[tuple[str, str], ForceErrors] = defaultdict(ForceErrors)
    starts = range(0, len(frames), BATCH_FRAMES)
    for start in tqdm(starts, desc="errors", leave=False, disable=not sys.stderr.isatty()):
        chosen = frames[start : start + BATCH_FRAMES]
        batch = join_frames(chosen)
        _, predicted = potential.energy_and_forces(batch.graph)
        sums["all", ""].add(predicted, batch.forces, batch.force_noise)
        sizes = [len(frame.forces) for frame in chosen]
        for frame, part in zip(chosen, predicted.split(sizes), strict=True):
            sums["entry", frame.entry].add(part, frame.forces, frame.force_noise)
        for number in batch.graph.bead_type.unique().tolist():
            rows = batch.graph.bead_type == number
            sums["bead type", str(number)].add(predicted[rows], batch.forces[rows], batch.force_noise[rows])
    return dict(sorted(sums.items(), key=lambda item: _order(item[0])))


def _order(key: tuple[str, str]) -> tuple[int, int, str]:
    group, name = key
    number = int(name) if group == "bead type" else 0
    return ("all", "entry", "bead type").index(group), number, name
