"""One training on several processes, as `torchrun` starts them, or on this one alone.

Every process takes its share of each batch; sums over all of them make the gradient and the log. Only the
first process writes. What ends one ends all: errors are exchanged where they are expected, and whoever waits
for a process that has died is told so by the connection.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

import torch
import torch.distributed.nn.functional  # its defaults would keep alive a group that is there at its import
from torch import distributed

from cgprot.errors import CgprotError, UsageError

Result = TypeVar("Result")
_SET_BY_TORCHRUN = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT"}


class ProcessLost(CgprotError):
    """Another process of this training ended (exit code 1)."""


class World:
    """The processes of a training.

    Attributes
    ----------
    rank, size : this process, counted from 0, and how many there are
    device : where this one computes
    """

    def __init__(self, rank: int, size: int, device: torch.device) -> None:
        self.rank, self.size, self.device = rank, size, device

    @property
    def writes(self) -> bool:
        """Whether this process writes the run folder."""
        return self.rank == 0

    def leave(self, error: CgprotError) -> NoReturn:
        """End with an error that all processes have; only the first tells it."""
        raise error if self.writes else SystemExit(error.exit_code)

    def together(self, action: Callable[[], Result]) -> Result:
        """`action()` on every process; an error of one ends all, told once."""
        result, failure = None, None
        try:
            result = action()
        except CgprotError as error:
            if self.size == 1:
                raise
            failure = (type(error), str(error))
        failures: list = [failure] * self.size
        if self.size > 1:
            self._wait(lambda: distributed.all_gather_object(failures, failure))
        for found in failures:
            if found is not None:
                self.leave(found[0](found[1]))
        return result  # type: ignore[return-value]

    def first(self, action: Callable[[], object]) -> None:
        """`action()` on the first process, the others wait for it; an error ends all."""
        self.together(lambda: action() if self.writes else None)

    def sum(self, numbers: Sequence[float]) -> list[float]:
        """The sums over all processes, in double precision."""
        if self.size == 1:
            return list(numbers)
        tensor = torch.tensor(numbers, dtype=torch.float64)
        self._wait(lambda: distributed.all_reduce(tensor))
        return tensor.tolist()

    def largest(self, number: int) -> int:
        """The largest over all processes."""
        if self.size == 1:
            return number
        tensor = torch.tensor([number])
        self._wait(lambda: distributed.all_reduce(tensor, op=distributed.ReduceOp.MAX))
        return int(tensor)

    def sum_gradients(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace every gradient by its sum over all processes; one that is missing counts as zero.

        The sum is made on the processors, of GPUs' gradients too: a few MB, and who waits for a process that
        has died is told, which NCCL would not do.
        """
        if self.size == 1:
            return
        learned = list(parameters)
        parts = [torch.zeros_like(p) if p.grad is None else p.grad for p in learned]
        flat = torch.cat([part.reshape(-1) for part in parts]).cpu()
        self._wait(lambda: distributed.all_reduce(flat))
        summed = flat.to(self.device).split([parameter.numel() for parameter in learned])
        for parameter, gradient in zip(learned, summed, strict=True):
            parameter.grad = gradient.view_as(parameter)

    def _wait(self, exchange: Callable[[], object]) -> None:
        try:
            exchange()
        except RuntimeError:
            lost = ProcessLost("another process of this training ended: mend what it said, then --resume")
            self.leave(lost)


@contextmanager
def joined(device: str) -> Iterator[World]:
    """This process among those that `torchrun` started, or alone.

    Parameters
    ----------
    device : "cpu", "cuda" or "auto"

    Raises
    ------
    UsageError
        if there is no such device
    """
    if not os.environ.keys() >= _SET_BY_TORCHRUN:
        yield World(0, 1, choose_device(device))
        return
    rank, size, local = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"))
    chosen = choose_device(device, local, int(os.environ.get("LOCAL_WORLD_SIZE", size)))
    distributed.init_process_group("gloo")
    try:
        yield World(rank, size, chosen)
    finally:
        distributed.destroy_process_group()


def choose_device(device: str, local_rank: int = 0, n_local: int = 1) -> torch.device:
    """The device of a process; what "auto" chose is said on stderr.

    float32 stays float32: TF32 is switched off.

    Parameters
    ----------
    device : "cpu", "cuda", or "auto": CUDA if every process of this machine finds a device of its own
    local_rank, n_local : this process among those of its machine, counted from 0, and how many there are
    """
    torch.set_float32_matmul_precision("highest")
    n_cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == "cuda" and local_rank >= n_cuda:
        raise UsageError(
            f"train.device=cuda: {n_cuda} CUDA devices for process {local_rank}: set cpu, or start as many "
            "processes as there are devices"
        )
    use_cuda = device == "cuda" or (device == "auto" and n_cuda >= n_local)
    chosen = torch.device("cuda", local_rank) if use_cuda else torch.device("cpu")
    if use_cuda:
        torch.cuda.set_device(chosen)
    if device == "auto":
        print(f"cgprot train: device {chosen}", file=sys.stderr)
    return chosen
