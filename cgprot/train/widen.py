"""A network with more channels that computes the same: T. Chen et al., Net2Net, ICLR 2016, arXiv 1511.05641.

Every channel comes k times. What reads it reads the k copies with fractions that add up to one and are drawn
anew for each weight: with equal ones the copies would get equal gradients and stay copies for ever.
"""

import torch
from torch import Tensor

from cgprot.model.potential import Potential

_SPREAD = 0.5  # of a fraction, in units of its mean 1/k
_SPECIES = "network.embedding.species.weight"  # a table: its columns are written, not read


def widened(potential: Potential, copies: int, seed: int) -> Potential:
    """The same function of positions with `copies` times the channels, to the rounding of its arithmetic.

    Of potentials without outputs beside energy and forces: their heads sum over channels, copies and all.
    """
    config = potential.config
    channels = config.channels
    assert not config.outputs
    wide = Potential(config.model_copy(update={"channels": copies * channels}))
    wide = wide.to(potential.energy_scale.dtype)
    random = torch.Generator().manual_seed(seed)
    new = wide.state_dict()
    for name, weight in potential.state_dict().items():
        written = [0, 1] if name == _SPECIES else [0]
        for axis in range(weight.ndim):
            if new[name].shape[axis] != weight.shape[axis]:
                weight = _repeated(weight, axis, copies, channels)
                if axis not in written:
                    weight = weight * _fractions(weight, copies, channels, random)
        new[name] = weight
    wide.load_state_dict(new)
    return wide


def _repeated(weight: Tensor, axis: int, copies: int, channels: int) -> Tensor:
    """An axis of blocks of channels (f_I, f_A, f_S say), every block `copies` times in a row."""
    blocks = weight.unflatten(axis, (-1, min(channels, weight.shape[axis])))
    return blocks.repeat_interleave(copies, axis).flatten(axis, axis + 1)


def _fractions(weight: Tensor, copies: int, channels: int, random: torch.Generator) -> Tensor:
    """1/k and something, for the last axis of a weight whose blocks have been repeated."""
    block = min(channels, weight.shape[-1] // copies)
    parts = weight.new_empty(weight.shape[0], weight.shape[-1] // (copies * block), copies, block)
    noise = parts.normal_(generator=random)
    return ((1 + _SPREAD * (noise - noise.mean(2, keepdim=True))) / copies).flatten(1)
