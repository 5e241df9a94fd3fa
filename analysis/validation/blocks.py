"""Trajectories cut into blocks of equal time, and how far two of them are apart beside what chance makes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from cgprot.analyse.compare import jensen_shannon
from cgprot.analyse.sampling import FEWEST_BLOCKS, cut, divergence_by_chance, divergence_error
from cgprot.beads import BeadFrames

TOLD = ("divergence", "error", "chance", "chance_95", "halves_ours", "halves_all_atom", "blocks")
Values = Callable[[BeadFrames], np.ndarray]


class Blocks(NamedTuple):
    """Something that was seen in every frame, a block each."""

    ours: list[np.ndarray]
    all_atom: list[np.ndarray]
    time_ps: float

    def maps(self, of: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """A distribution of every block, (n_blocks, ...) each."""
        return np.array([of(block) for block in self.ours]), np.array([of(block) for block in self.all_atom])


def in_blocks(ours: list[BeadFrames], all_atom: BeadFrames, values: Values, asked_ps: float) -> Blocks:
    """Both in blocks of `asked_ps`, or shorter where no trajectory of one side is as long.

    A replica that is shorter than a block, as it stopped, gives none.
    """
    time_ps = min(asked_ps, max(map(duration, ours)), duration(all_atom))
    pieces = [
        [block for frames in side for block in cut(values(frames), length(frames, time_ps))]
        for side in (ours, [all_atom])
    ]
    return Blocks(*pieces, time_ps)


def duration(frames: BeadFrames) -> float:
    """From the first frame to the end of the last [ps]."""
    return float(np.ptp(frames.time)) + interval(frames)


def interval(frames: BeadFrames) -> float:
    """Between frames [ps]."""
    return float(frames.time[1] - frames.time[0]) if len(frames) > 1 else 0.0


def length(frames: BeadFrames, time_ps: float) -> int:
    """Frames in a time."""
    return max(1, round(time_ps / interval(frames))) if len(frames) > 1 else 1


def divergence(ours: np.ndarray, all_atom: np.ndarray) -> dict:
    """Of distributions in blocks (n_blocks, ...): its standard error, what chance makes of it, of halves.

    What cannot be told from so few blocks is nan.
    """
    enough = min(len(ours), len(all_atom)) >= FEWEST_BLOCKS
    chance = divergence_by_chance(ours, all_atom) if enough else np.array([np.nan])
    return {
        "divergence": jensen_shannon(ours.mean(0), all_atom.mean(0)),
        "error": divergence_error(ours, all_atom) if min(len(ours), len(all_atom)) > 1 else float("nan"),
        "chance": float(chance.mean()),
        "chance_95": float(np.quantile(chance, 0.95)),
        "halves_ours": of_halves(ours),
        "halves_all_atom": of_halves(all_atom),
        "blocks": [len(ours), len(all_atom)],
    }


def of_halves(maps: np.ndarray) -> float:
    """Divergence of the first half of the blocks from the second; nan of a single block."""
    middle = len(maps) // 2
    return jensen_shannon(maps[:middle].mean(0), maps[middle:].mean(0)) if middle else float("nan")
