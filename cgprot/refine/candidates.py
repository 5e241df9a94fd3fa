"""The frames that may be picked, and what speaks for each."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import InputError
from cgprot.model.committee import force_spread
from cgprot.model.graph import build_graph
from cgprot.model.potential import Potential
from cgprot.refine.dynamics import Trajectory
from cgprot.refine.pick import Scores, ways
from cgprot.train.batches import spread_evenly

_LOOKED_AT = 25  # frames of a replica, evenly spaced, that the committee looks at beside those before a trip
_PERCENT = 99.9  # of the forces learnt from are smaller than what "large" is measured by


class Candidates(NamedTuple):
    """All frames of a round's simulations.

    Attributes
    ----------
    trajectories : of all proteins
    trajectory, frame : (n,) int, where a candidate is
    time : (n,) [ps]
    scores : of each
    largest_force : (n,) on a bead by the model [kcal/mol/Å]; NaN where it was not looked at
    """

    trajectories: Sequence[Trajectory]
    trajectory: np.ndarray
    frame: np.ndarray
    time: np.ndarray
    scores: Scores
    largest_force: np.ndarray

    def positions(self, candidate: int) -> np.ndarray:
        """(n_beads, 3) [Å]."""
        return self.trajectories[self.trajectory[candidate]].positions[self.frame[candidate]]


def candidates_of(
    trajectories: Sequence[Trajectory],
    protein: Sequence[int],
    members: Sequence[Potential],
    usual: Mapping[int, float],
) -> Candidates:
    """Every frame, with the scores of those that were looked at.

    Parameters
    ----------
    protein : of each trajectory, counted from 0
    members : of the committee, or the one model
    usual : see `usual_forces`
    """
    lengths = [len(one.time) for one in trajectories]
    trajectory = np.repeat(np.arange(len(lengths)), lengths)
    before_trip = np.concatenate([_before_trip(one) for one in trajectories])
    looked = [_look(one, members, usual) for one in trajectories]
    spread, force, largest = (np.concatenate([numbers[k] for numbers in looked]) for k in range(3))
    scores = Scores(np.repeat(protein, lengths), trajectory, before_trip, spread, force)
    frame = np.concatenate([np.arange(length) for length in lengths])
    time = np.concatenate([one.time for one in trajectories])
    return Candidates(trajectories, trajectory, frame, time, scores, largest)


def usual_forces(entries: Mapping[str, BeadFrames]) -> dict[int, float]:
    """By bead type the force that 99.9 % of those in the training data do not exceed [kcal/mol/Å]."""
    by_type: dict[int, list[np.ndarray]] = {}
    for frames in entries.values():
        assert frames.forces is not None  # check_labels
        size = np.linalg.norm(frames.forces, axis=-1)  # (n_frames, n_beads)
        for number in np.unique(frames.system.bead_type).tolist():
            by_type.setdefault(number, []).append(size[:, frames.system.bead_type == number].ravel())
    return {
        number: float(np.percentile(np.concatenate(parts), _PERCENT)) for number, parts in by_type.items()
    }


def _before_trip(one: Trajectory) -> np.ndarray:
    return np.full(len(one.time), np.inf) if one.trip is None else np.maximum(one.trip - one.time, 0.0)


def _look(
    one: Trajectory, members: Sequence[Potential], usual: Mapping[int, float]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Spread, force beside the usual, and force of each frame; NaN of those not looked at."""
    found = np.full((3, len(one.time)), np.nan)
    sampled = spread_evenly(range(len(one.time)), _LOOKED_AT)
    last = ways(np.zeros(len(one.time), dtype=int), _before_trip(one))
    for frame in sorted({*sampled, *last}):
        if np.isfinite(one.positions[frame]).all():
            found[:, frame] = _scores(members, one.system, one.positions[frame], usual)
    return found[0], found[1], found[2]


def _scores(
    members: Sequence[Potential], system: BeadSystem, positions: np.ndarray, usual: Mapping[int, float]
) -> tuple[float, float, float]:
    try:
        graph = build_graph(
            positions[None],
            system.bead_type,
            members[0].config.reach,
            charge=system.charge,
            total_charge=system.charge.sum(),
            bonds=system.bonds,
        )
    except InputError:  # beads lie in each other
        return np.nan, np.nan, np.nan
    spread = np.nan
    if len(members) > 1:
        forces, of_beads = force_spread(members, graph)
        spread = float(of_beads.max())
    else:
        _, forces = members[0].energy_and_forces(graph)
    size = np.linalg.norm(forces.detach().numpy().astype(np.float64), axis=-1)
    highest = max(usual.values())  # a type that was never learnt from is measured by the others
    beside = size / np.array([usual.get(number, highest) for number in system.bead_type.tolist()])
    return spread, float(beside.max()), float(size.max())
