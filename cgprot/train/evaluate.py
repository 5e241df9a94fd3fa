"""Force errors of a model beside their noise floor: in all, by protein, temperature, residue and bead type.

A label l is the mean force F plus noise of standard error σ that knows nothing of the model, hence with the
prediction p

    <(p - l)²> = <(p - F)²> + <σ²>,   <l²> = <F²> + <σ²>

and the signal explained is 1 - <(p - F)²> / <F²>. This holds on data that the model was not trained on: noise
that it has learnt by heart would be subtracted twice.
"""

import math
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor
from tqdm import tqdm

from cgprot.beads import BeadFrames
from cgprot.model.committee import force_spread
from cgprot.model.potential import Potential
from cgprot.train.batches import Frame, join_frames, prepare_frames
from cgprot.train.blocks import blocks_of, interval, ratios
from cgprot.train.loss import ForceErrors
from cgprot.train.measure import BATCH_FRAMES

_BINS = 120
GROUPS = ("all", "protein", "temperature", "residue", "bead type", "entry")


class ErrorRow(NamedTuple):
    """Errors of one group of force components [kcal/mol/Å]; what is not known is NaN.

    `explained` is a part of 1; without a noise floor it counts noise as unexplained, hence is a lower bound.
    Those with `low` and `high` are 95 % intervals.
    """

    group: str  # one of GROUPS
    name: str
    n_components: int
    rmse: float
    mae: float
    noise_floor: float
    signal: float  # root mean square of the labels
    mean_force_rmse: float = math.nan
    mean_force_rmse_low: float = math.nan
    mean_force_rmse_high: float = math.nan
    explained: float = math.nan
    explained_low: float = math.nan
    explained_high: float = math.nan


class Evaluation(NamedTuple):
    """What was measured.

    Attributes
    ----------
    rows : in the order of GROUPS
    n_frames, n_blocks : the intervals are those of blocks of frames drawn anew
    edges, counts : of the histogram of labels and predictions, [kcal/mol/Å]
    spread, square : (n_beads of all frames,) of a committee, its spread and the squared error of its mean
        force, noise subtracted [kcal/mol/Å and its square]; empty of a single model
    beads : (n_frames,) number of beads
    """

    rows: list[ErrorRow]
    n_frames: int
    n_blocks: int
    edges: np.ndarray
    counts: np.ndarray
    spread: np.ndarray
    square: np.ndarray
    beads: np.ndarray


def force_errors(potential: Potential, entries: Mapping[str, BeadFrames]) -> list[ErrorRow]:
    """Compare forces with labels: one row in all, and one for each member of each group.

    Parameters
    ----------
    entries : labelled frames by key, as `read_datasets` gives them
    """
    return measure([potential], entries).rows


class Compared(NamedTuple):
    """Some frames of one entry; arrays (n_frames, n_beads, 3) [kcal/mol/Å]."""

    names: dict[str, str | np.ndarray]  # of `names_of`
    block: np.ndarray  # (n_frames,) int
    forces: np.ndarray
    labels: np.ndarray
    noise: np.ndarray
    spread: np.ndarray | None  # (n_frames, n_beads) of a committee


def measure(members: Sequence[Potential], entries: Mapping[str, BeadFrames]) -> Evaluation:
    """Compare the forces of a model, or the mean forces of a committee, with labels."""
    labelled = [
        np.abs(frames.forces) for frames in entries.values() if frames.forces is not None and len(frames)
    ]
    highest = max(float(np.percentile(forces, 99.9)) for forces in labelled)
    edges = np.linspace(-1, 1, _BINS + 1) * (highest or 1.0)
    sums, counts = BlockSums(), np.zeros((_BINS, _BINS))
    spread, square, beads, n_blocks = [np.empty(0)], [np.empty(0)], [], 0
    for part in compared(members, entries):
        sums.add(part)
        labels, forces = (array.ravel().clip(edges[0], edges[-1]) for array in (part.labels, part.forces))
        counts += np.histogram2d(labels, forces, bins=(edges, edges))[0]
        if part.spread is not None:
            spread.append(part.spread.ravel())
            square.append(bead_squares(part).ravel())
        beads += [part.forces.shape[1]] * len(part.forces)
        n_blocks = int(part.block[-1]) + 1
    return Evaluation(
        rows=sums.rows(),
        n_frames=len(beads),
        n_blocks=n_blocks,
        edges=edges,
        counts=counts,
        spread=np.concatenate(spread),
        square=np.concatenate(square),
        beads=np.array(beads),
    )


def compared(members: Sequence[Potential], entries: Mapping[str, BeadFrames]) -> Iterator[Compared]:
    """Predictions and labels, a few frames at a time; neighbours are held of one entry only."""
    first_block, n_frames = 0, sum(len(frames) for frames in entries.values())
    with tqdm(total=n_frames, desc="forces", leave=False, disable=not sys.stderr.isatty()) as bar:
        for key, frames in entries.items():
            names, block = names_of(key, frames), first_block + blocks_of(len(frames))
            prepared = prepare_frames({key: frames}, members[0].config.reach)
            for start in range(0, len(frames), BATCH_FRAMES):
                chosen = prepared[start : start + BATCH_FRAMES]
                forces, spread = predict(members, chosen)
                labels, noise = _stacked(chosen, "forces"), _stacked(chosen, "force_noise")
                yield Compared(names, block[start : start + BATCH_FRAMES], forces, labels, noise, spread)
                bar.update(len(chosen))
            first_block += len(np.unique(block))


def predict(members: Sequence[Potential], frames: Sequence[Frame]) -> tuple[np.ndarray, np.ndarray | None]:
    """Forces (n_frames, n_beads, 3), and of a committee the spread (n_frames, n_beads) [kcal/mol/Å]."""
    graph = join_frames(frames).graph
    n_frames = len(frames)
    if len(members) == 1:
        return _numpy(members[0].energy_and_forces(graph)[1]).reshape(n_frames, -1, 3), None
    forces, spread = force_spread(members, graph)
    return _numpy(forces).reshape(n_frames, -1, 3), _numpy(spread).reshape(n_frames, -1)


def bead_squares(part: Compared) -> np.ndarray:
    """(n_frames, n_beads) mean over x, y, z of the squared error less the noise's variance, where known."""
    return ((part.forces - part.labels) ** 2 - np.nan_to_num(part.noise) ** 2).mean(-1)


def names_of(key: str, frames: BeadFrames) -> dict[str, str | np.ndarray]:
    """By group: the name that all beads of the frames share, or (n_beads,) one for each."""
    protein, temperature, _ = key.rsplit("/", 2)
    kelvin = float(temperature) if frames.temperature is None else frames.temperature
    return {
        "all": "",
        "protein": protein.rpartition(":")[2],
        "temperature": f"{kelvin:g} K",
        "residue": frames.system.residue_name.astype(str),
        "bead type": frames.system.type_name.astype(str),
        "entry": key,
    }


class BlockSums:
    """Sums over force components by group, name and block of frames."""

    def __init__(self) -> None:
        self._sums: dict[tuple[str, str], dict[int, np.ndarray]]
        self._sums = defaultdict(lambda: defaultdict(lambda: np.zeros(5)))

    def add(self, part: Compared) -> None:
        """Count frames."""
        error, labels = part.forces - part.labels, part.labels
        squares = [np.ones_like(error), error**2, np.abs(error), labels**2, part.noise**2]
        per_bead = np.stack(squares).sum(-1)  # (5, n_frames, n_beads)
        for group, name in part.names.items():
            of_bead = np.full(error.shape[1], name) if isinstance(name, str) else name
            different, number = np.unique(of_bead, return_inverse=True)
            by_name = (per_bead @ np.eye(len(different))[number]).transpose(2, 1, 0)  # (n_names, n_frames, 5)
            for one, sums in zip(different.tolist(), by_name, strict=True):
                for block, five in zip(part.block.tolist(), sums, strict=True):
                    self._sums[group, one][block] += five

    def rows(self) -> list[ErrorRow]:
        """One for each group and name, groups in the order of GROUPS."""
        ordered = sorted(self._sums, key=lambda key: (GROUPS.index(key[0]), _natural(key[1])))
        return [
            _row(group, name, np.array(list(self._sums[group, name].values()))) for group, name in ordered
        ]


def _row(group: str, name: str, sums: np.ndarray) -> ErrorRow:
    """sums : (n_blocks, 5)."""
    total = sums.sum(0)
    errors = ForceErrors(int(total[0]), *total[1:].tolist())
    values = np.stack([ratios(total), *interval(sums)])  # (3, 2): the number, its limits
    roots = np.sqrt(np.maximum(values[:, 0], 0.0)).tolist()
    parts = np.minimum(values[:, 1], 1.0).tolist()
    own = (errors.rmse, errors.mae, errors.noise_floor, errors.signal)
    return ErrorRow(group, name, errors.n, *own, *roots, *parts)


def _natural(name: str) -> tuple[float, str]:
    """300 K before 1000 K."""
    number, _, unit = name.partition(" ")
    return (float(number) if unit == "K" else 0.0, name)


def _stacked(frames: Sequence[Frame], name: str) -> np.ndarray:
    return np.stack([_numpy(getattr(frame, name)) for frame in frames])


def _numpy(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().double().numpy()
