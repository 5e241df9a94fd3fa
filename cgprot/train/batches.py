"""Labelled frames, ready for a network, and batches of them."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cgprot.beads import BeadFrames
from cgprot.errors import InputError
from cgprot.files.dataset import read_dataset
from cgprot.model.graph import Graph, build_graph, join_graphs
from cgprot.train.projections import NAMES as MADE_OF_FORCES
from cgprot.train.projections import Projection, join_projections, projections_of

Item = TypeVar("Item")


class Frame(NamedTuple):
    """One labelled frame, its neighbours found."""

    entry: str  # "protein/temperature/replica"
    graph: Graph  # edges as int32, to spare memory
    forces: Tensor  # (n_beads, 3) [kcal/mol/Å]
    force_noise: Tensor  # (n_beads, 3) [kcal/mol/Å], standard error, NaN where it is not known
    targets: Mapping[str, Tensor]  # further labels, (1, ...) of the frame or (n_beads, ...) of its beads
    composition: int  # which of the different sets of bead types, counted from 0
    projections: Mapping[str, Projection]  # those that are learned; shared by the frames of an entry


class Batch(NamedTuple):
    """Some frames as one graph; the label of bead i in row i, that of a frame in the frame's row."""

    graph: Graph
    forces: Tensor  # (n_total, 3) [kcal/mol/Å]
    force_noise: Tensor  # (n_total, 3) [kcal/mol/Å]
    targets: Mapping[str, Tensor]  # (n_systems, ...) or (n_total, ...)
    composition: Tensor  # (n_systems,)
    projections: Mapping[str, Projection]

    def to(self, device: torch.device) -> "Batch":
        """The same on another device."""
        return Batch(
            self.graph.to(device),
            self.forces.to(device),
            self.force_noise.to(device),
            {name: target.to(device) for name, target in self.targets.items()},
            self.composition.to(device),
            {name: projection.to(device) for name, projection in self.projections.items()},
        )


def read_datasets(paths: Sequence[Path]) -> dict[str, BeadFrames]:
    """The entries of several datasets; where files share a key, the file's name goes before it.

    Raises
    ------
    InputError
        if beads come from different mappings, labels are missing or not finite, nothing is there, or a file
        is given twice: its frames would pass for independent ones
    """
    known: set[Path] = set()
    for path in paths:
        if (own := Path(path).resolve()) in known:
            raise InputError(f"{path}: given twice: leave out one")
        known.add(own)
    entries: dict[str, BeadFrames] = {}
    for path in paths:
        for key, frames in read_dataset(path).items():
            check_labels(frames, f"{path}, {key}")
            entries[key if key not in entries else f"{path}:{key}"] = frames
    if not any(len(frames) for frames in entries.values()):
        raise InputError(f"{', '.join(map(str, paths))}: no frames: choose other datasets")
    check_one_mapping(entries)
    return entries


def check_labels(frames: BeadFrames, where: str) -> None:
    """Refuse frames without forces or with a value that is not finite, naming the first."""
    if frames.forces is None:
        raise InputError(f"{where}: no forces: make them with `cgprot map` or `cgprot label`")
    named = {name: getattr(frames, name) for name in ("positions", "forces", "force_noise")}
    for name, array in (named | dict(frames.properties)).items():
        if array is not None and not np.isfinite(array).all():
            frame = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise InputError(f"{where}, frame {frame}: {name} not finite: leave it out of the dataset")
    if frames.force_noise is not None and (frames.force_noise < 0).any():
        raise InputError(f"{where}: force_noise is negative: give the labels' standard errors")


def check_one_mapping(entries: Mapping[str, BeadFrames]) -> None:
    """Refuse beads that were made by different rules."""
    first_key, first = next(iter(entries.items()))
    for key, frames in entries.items():
        if frames.system.mapping_hash != first.system.mapping_hash:
            raise InputError(
                f"{key} and {first_key} come from different mappings "
                f"({frames.system.mapping}, {first.system.mapping}): map all data with the same rules"
            )


def shared_proteins(training: Mapping[str, BeadFrames], validation: Mapping[str, BeadFrames]) -> list[str]:
    """Entries of the validation data whose protein, by beads and bonds, is in the training data too.

    Names are no help: the same histidine is HIE in one force field and HSE in another.
    """
    known = {_protein(frames) for frames in training.values()}
    return [key for key, frames in validation.items() if _protein(frames) in known]


def _protein(frames: BeadFrames) -> tuple[bytes, frozenset[tuple[int, ...]]]:
    types = np.asarray(frames.system.bead_type, dtype=np.int64)
    return types.tobytes(), frozenset(map(tuple, np.sort(frames.system.bonds, axis=1).tolist()))


def prepare_frames(
    entries: Mapping[str, BeadFrames], cutoff: float, targets: Sequence[str] = ()
) -> list[Frame]:
    """Find the neighbours of every frame once.

    Parameters
    ----------
    cutoff : [Å]
    targets : names of the properties that are to be learned; energies lose their mean over all frames of
        the same composition, since only their differences mean something

    Raises
    ------
    InputError
        if an entry lacks one of them, or a frame has no graph
    """
    for entry, frames in entries.items():
        for name in targets:
            if name not in frames.properties and name not in MADE_OF_FORCES:
                raise InputError(
                    f"{entry}: no {name} among its labels: leave out loss.{name}, or choose other data"
                )
    compositions, shifts = _compositions(entries), _energy_means(entries) if "energy" in targets else {}
    n_frames = sum(len(frames) for frames in entries.values())
    with tqdm(total=n_frames, desc="neighbours", disable=not sys.stderr.isatty()) as bar:
        prepared = []
        for entry, frames in entries.items():
            labels = _targets(frames, targets, shifts.get(compositions[entry], 0.0))
            projections = projections_of(frames.system, targets)
            for number in range(len(frames)):
                frame = _prepare(entry, frames, number, cutoff, labels, compositions[entry])
                prepared.append(_with_projections(frame, projections))
                bar.update()
    return prepared


def _compositions(entries: Mapping[str, BeadFrames]) -> dict[str, int]:
    """The number of each entry's set of bead types, in the order of the entries."""
    numbers: dict[tuple[int, ...], int] = {}
    return {
        key: numbers.setdefault(tuple(sorted(frames.system.bead_type.tolist())), len(numbers))
        for key, frames in entries.items()
    }


def _energy_means(entries: Mapping[str, BeadFrames]) -> dict[int, float]:
    together: dict[int, list[np.ndarray]] = {}
    for key, number in _compositions(entries).items():
        together.setdefault(number, []).append(entries[key].properties["energy"])
    return {number: float(np.concatenate(parts).mean()) for number, parts in together.items()}


def _targets(frames: BeadFrames, names: Sequence[str], energy_mean: float) -> dict[str, np.ndarray]:
    """(n_frames, 1 or n_beads, ...) by name."""
    labels = {}
    for name in names:
        if name in MADE_OF_FORCES:
            continue
        values = np.asarray(frames.properties[name], dtype=np.float64)
        values = values - energy_mean if name == "energy" else values
        labels[name] = values if name.startswith("bead_") else values[:, None]
    return labels


def _prepare(
    entry: str,
    frames: BeadFrames,
    number: int,
    cutoff: float,
    labels: Mapping[str, np.ndarray],
    composition: int,
) -> Frame:
    system, given = frames.system, frames.properties
    try:
        graph = build_graph(
            frames.positions[number][None],
            system.bead_type,
            cutoff,
            box=None if frames.box is None else frames.box[number],
            charge=system.charge,
            total_charge=given["total_charge"][number] if "total_charge" in given else system.charge.sum(),
            spin=given["spin"][number] if "spin" in given else None,
            bonds=system.bonds,
        )
    except InputError as error:
        raise InputError(f"{entry}, frame {number}: {error}")
    assert frames.forces is not None  # check_labels
    forces = torch.as_tensor(frames.forces[number], dtype=torch.float32)
    noise = frames.force_noise
    return Frame(
        entry=entry,
        graph=graph._replace(edges=graph.edges.int()),
        forces=forces,
        force_noise=torch.as_tensor(np.full_like(forces, np.nan) if noise is None else noise[number]).float(),
        targets={name: torch.as_tensor(values[number]).float() for name, values in labels.items()},
        composition=composition,
        projections={},
    )


def _with_projections(frame: Frame, projections: Mapping[str, Projection]) -> Frame:
    labels = {name: known.project(frame.graph, frame.forces) for name, known in projections.items()}
    return frame._replace(targets={**frame.targets, **labels}, projections=projections)


def join_frames(frames: Sequence[Frame]) -> Batch:
    """One batch of frames, of one system or of many."""
    graph = join_graphs([frame.graph for frame in frames])
    sizes = [len(frame.forces) for frame in frames]
    return Batch(
        graph=graph._replace(edges=graph.edges.long()),
        forces=torch.cat([frame.forces for frame in frames]),
        force_noise=torch.cat([frame.force_noise for frame in frames]),
        targets={name: torch.cat([f.targets[name] for f in frames]) for name in frames[0].targets},
        composition=torch.tensor([frame.composition for frame in frames]),
        projections=join_projections([frame.projections for frame in frames], sizes),
    )


def spread_evenly(frames: Sequence[Item], at_most: int) -> list[Item]:
    """At most so many frames, evenly spaced through all of them."""
    numbers = np.linspace(0, len(frames) - 1, min(at_most, len(frames))).round().astype(int)
    return [frames[k] for k in numbers]
