"""Compiled loops that can be differentiated to any order.

What a loop computes is the derivative of a form Φ(G, ...) by G, where the form is linear in each argument on
its own. The derivative of such a form by one argument, contracted with a vector in its place, is the form
again: derivatives of derivatives need no new loops, only one loop for each argument.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from cgprot.model.lanes import LANES

Form = tuple[Callable[..., Tensor], ...]  # of what to differentiate for (usually edges), then all arguments


class Derivative(torch.autograd.Function):
    """∂Φ/∂(argument `slot`) of a form; the argument in that slot is ignored.

    With u in the place of argument s:  u · ∂Φ/∂x_s = Φ(..., u, ...),  so its derivative by x_t is
    ∂Φ/∂x_t at x_s = u.
    """

    @staticmethod
    def forward(ctx, form, slot, near, *arguments):
        ctx.form, ctx.slot, ctx.near = form, slot, near
        ctx.save_for_backward(*arguments)
        return form[slot](near, *[None if x is None else x.detach().contiguous() for x in arguments])

    @staticmethod
    def backward(ctx, upstream):
        arguments = list(ctx.saved_tensors)
        wanted = _wanted(ctx, arguments)
        arguments[ctx.slot] = upstream
        gradients = [
            Derivative.apply(ctx.form, slot, ctx.near, *arguments) if go_on and slot != ctx.slot else None
            for slot, go_on in enumerate(wanted)
        ]
        return None, None, None, *gradients


def _wanted(ctx, arguments: list[Tensor | None]) -> list[bool]:
    """The arguments whose derivative this backward pass goes on to use.

    `needs_input_grad` is true of every weight on the way from the energy to the positions, and of every
    position on the way from the loss to the weights.
    """
    nodes = iter(ctx.next_functions)  # of the tensors alone
    return [x is not None and _is_executed(next(nodes)[0]) for x in arguments]


def _is_executed(node: torch.autograd.graph.Node | None) -> bool:
    if node is None or hasattr(node, "variable"):  # of a leaf torch does not tell
        return node is not None
    return torch._C._will_engine_execute_node(node)


def padded(x: Tensor) -> Tensor:
    """Zeros after the channels, to a multiple of what a kernel takes at once."""
    missing = -x.shape[-1] % LANES
    return torch.nn.functional.pad(x, (0, missing)) if missing else x


def fill(kernel: Callable[..., None], out: Tensor, *inputs: Tensor | bool) -> Tensor:
    """Run a kernel over the rows of `out`, shared among torch's threads."""
    _share(kernel, len(out), 4 * torch.get_num_threads(), *inputs, out)
    return out


def fill_blocks(kernel: Callable[..., None], like: Tensor, *inputs: Tensor) -> Tensor:
    """Run a kernel over the blocks of channels of a new table, shared among torch's threads."""
    out = torch.empty_like(like)
    blocks = out.shape[-1] // LANES
    _share(kernel, blocks, blocks, *inputs, out)
    return out


def _share(kernel: Callable[..., None], n_rows: int, n_tasks: int, *arguments: Tensor | bool) -> None:
    arrays = [x.numpy() if isinstance(x, Tensor) else x for x in arguments]
    n_threads = torch.get_num_threads()
    if n_threads == 1:
        kernel(0, n_rows, *arrays)
        return
    bounds = np.linspace(0, n_rows, n_tasks + 1).astype(int).tolist()
    tasks = [_pool(n_threads).submit(kernel, *rows, *arrays) for rows in pairwise(bounds)]
    for task in tasks:
        task.result()


@cache
def _pool(n_threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(n_threads)
