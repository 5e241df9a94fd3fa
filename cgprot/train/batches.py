"""Labelled frames and the order in which training sees them."""

import sys
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from cgprot.beads import BeadFrames
from cgprot.errors import InputError
from cgprot.files.dataset import read_dataset
from cgprot.model.graph import Graph, build_graph, join_graphs


class Frame(NamedTuple):
    """One labelled frame, its neighbours found."""

    entry: str  # "protein/temperature/replica"
    graph: Graph  # edges as int32, to spare memory
    forces: Tensor  # (n_beads, 3) [kcal/mol/Å]
    force_noise: Tensor  # (n_beads, 3) [kcal/mol/Å], standard error, NaN where it is not known


class Batch(NamedTuple):
    """Some frames as one graph; the label of bead i in row i."""

    graph: Graph
    forces: Tensor  # (n_total, 3) [kcal/mol/Å]
    force_noise: Tensor  # (n_total, 3) [kcal/mol/Å]


def read_datasets(paths: Sequence[Path]) -> dict[str, BeadFrames]:
    """The entries of several datasets; where files share a key, the file's name goes before it.

    Raises
    ------
    InputError
        if beads come from different mappings, labels are missing or not finite, or nothing is there
    """
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
    for name in ("positions", "forces", "force_noise"):
        array = getattr(frames, name)
        if array is not None and not np.isfinite(array).all():
            frame = int(np.argwhere(~np.isfinite(array))[0, 0])
            raise InputError(f"{where}, frame {frame}: {name} not finite: leave it out of the dataset")


def check_one_mapping(entries: Mapping[str, BeadFrames]) -> None:
    """Refuse beads that were made by different rules."""
    first_key, first = next(iter(entries.items()))
    for key, frames in entries.items():
        if frames.system.mapping_hash != first.system.mapping_hash:
            raise InputError(
                f"{key} and {first_key} come from different mappings "
                f"({frames.system.mapping}, {first.system.mapping}): map all data with the same rules"
            )


def prepare_frames(entries: Mapping[str, BeadFrames], cutoff: float) -> list[Frame]:
    """Find the neighbours of every frame once; `cutoff` [Å]."""
    n_frames = sum(len(frames) for frames in entries.values())
    with tqdm(total=n_frames, desc="neighbours", disable=not sys.stderr.isatty()) as bar:
        prepared = []
        for entry, frames in entries.items():
            for number in range(len(frames)):
                prepared.append(_prepare(entry, frames, number, cutoff))
                bar.update()
    return prepared


def _prepare(entry: str, frames: BeadFrames, number: int, cutoff: float) -> Frame:
    try:
        graph = build_graph(
            frames.positions[number][None],
            frames.system.bead_type,
            cutoff,
            charge=frames.system.charge,
            total_charge=frames.system.charge.sum(),
            bonds=frames.system.bonds,
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
    )


def join_frames(frames: Sequence[Frame]) -> Batch:
    """One batch of frames, of one system or of many."""
    graph = join_graphs([frame.graph for frame in frames])
    return Batch(
        graph=graph._replace(edges=graph.edges.long()),
        forces=torch.cat([frame.forces for frame in frames]),
        force_noise=torch.cat([frame.force_noise for frame in frames]),
    )


def batch_numbers(step: int, batch_frames: int, n_frames: int, seed: int) -> list[int]:
    """Which frames step `step` sees, counted from 0.

    All frames come once in an order of their own in every epoch. The order is a function of (seed, epoch)
    alone: a resumed run needs no sampler state.
    """
    seen = range(step * batch_frames, (step + 1) * batch_frames)
    return [int(_epoch_order(seed, k // n_frames, n_frames)[k % n_frames]) for k in seen]


@lru_cache(maxsize=2)
def _epoch_order(seed: int, epoch: int, n_frames: int) -> np.ndarray:
    return np.random.Generator(np.random.Philox(key=[seed, epoch])).permutation(n_frames)


def spread_evenly(frames: Sequence[Frame], at_most: int) -> list[Frame]:
    """At most so many frames, evenly spaced through all of them."""
    numbers = np.linspace(0, len(frames) - 1, min(at_most, len(frames))).round().astype(int)
    return [frames[k] for k in numbers]
