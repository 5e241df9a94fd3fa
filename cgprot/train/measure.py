"""Errors on held-out frames while training goes on."""

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor

from cgprot.model.potential import Potential
from cgprot.train.batches import Batch, Frame, join_frames
from cgprot.train.loss import ForceErrors
from cgprot.train.world import World

BATCH_FRAMES = 8


def held_out_errors(
    potential: Potential,
    frames: Sequence[Frame],
    names: Sequence[str],
    world: World,
    batch_edges: int | None = None,
) -> dict[str, ForceErrors]:
    """Errors of all that is learned; every process takes its share of the frames.

    Energies are compared after the mean difference of each composition is taken off.

    Parameters
    ----------
    names : what is learned, "forces" among it
    batch_edges : most edges at a time, if there is a limit; a larger frame comes alone
    """
    errors = {name: ForceErrors() for name in names}
    differences = torch.zeros(len(frames) if "energy" in names else 0, dtype=torch.float64)
    mine = list(range(world.rank, len(frames), world.size))
    for numbers in in_pieces(mine, [frame.graph.edges.shape[1] for frame in frames], batch_edges):
        batch = join_frames([frames[k] for k in numbers]).to(world.device)
        values = potential.predict(batch.graph)
        for name, (predicted, label, noise) in compared(values, batch, names).items():
            errors[name].add(predicted, label, noise)
        if "energy" in names:
            differences[numbers] = (values["energy"] - batch.targets["energy"]).double().cpu()
    for name in names:
        errors[name] = summed(errors[name], world)
    if "energy" in names:
        _take_means_off(errors["energy"], torch.tensor(world.sum(differences.tolist())), frames)
    return errors


def in_pieces(numbers: Sequence[int], edges: Sequence[int], batch_edges: int | None) -> Iterator[list[int]]:
    """A few frames at a time, in their order."""
    piece: list[int] = []
    for number in numbers:
        total = edges[number] + sum(edges[k] for k in piece)
        too_large = batch_edges is not None and total > batch_edges
        if piece and (too_large or len(piece) == BATCH_FRAMES):
            yield piece
            piece = []
        piece.append(number)
    if piece:
        yield piece


def compared(
    values: Mapping[str, Tensor], batch: Batch, names: Sequence[str]
) -> dict[str, tuple[Tensor, Tensor, Tensor]]:
    """Prediction, label and the label's standard error by name."""
    predicted = dict(values)
    for name, projection in batch.projections.items():
        predicted[name] = projection.project(batch.graph, values["forces"])
    pairs = {name: (predicted[name], batch.targets[name]) for name in names if name != "forces"}
    others = {name: (p, label, torch.full_like(label, torch.nan)) for name, (p, label) in pairs.items()}
    return {"forces": (values["forces"], batch.forces, batch.force_noise)} | others


def summed(errors: ForceErrors, world: World) -> ForceErrors:
    """The errors of all processes together."""
    total = ForceErrors()
    total.add_sums(*world.sum(errors.sums))
    return total


def _take_means_off(errors: ForceErrors, differences: Tensor, frames: Sequence[Frame]) -> None:
    composition = torch.tensor([frame.composition for frame in frames])
    for number in composition.unique():
        chosen = composition == number
        differences[chosen] -= differences[chosen].mean()
    errors.square = differences.square().sum().item()
    errors.absolute = differences.abs().sum().item()
