"""Forces of many replicas from several processes, one a GPU or core: `torchrun -m cgprot simulate ...`.

The first process runs the simulation and is the only one to write. The others keep a share of the
replicas each and do nothing but answer with its forces. A replica's forces are the same in any company,
so the files are the same, byte for byte, however many processes there are.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta

import numpy as np
import torch
import torch.distributed as dist

from cgprot.beads import Forces
from cgprot.errors import InputError, UsageError

_AGAIN, _END = 1, 0
# A start, compilation included, may take the others some minutes longer.
_PATIENCE = timedelta(minutes=30)


def processes() -> int:
    """How many processes torchrun started; 1 without it."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def is_first() -> bool:
    """Whether this process runs the simulation."""
    return _rank() == 0


def _rank() -> int:
    return int(os.environ.get("RANK", "0"))


def _share_of(process: int, n_processes: int, n_replicas: int) -> slice:
    """The replicas of one process, as even as can be."""
    bounds = np.linspace(0, n_replicas, n_processes + 1).round().astype(int)
    return slice(int(bounds[process]), int(bounds[process + 1]))


def share(n_replicas: int) -> int:
    """How many replicas this process computes the forces of: all of them if it is alone.

    Raises
    ------
    UsageError
        if there are fewer replicas than processes
    """
    if n_replicas < processes():
        raise UsageError(
            f"{n_replicas} replicas for {processes()} processes: start no more processes than replicas"
        )
    own = _share_of(_rank(), processes(), n_replicas)
    return own.stop - own.start


@contextmanager
def together(forces: Forces, shape: tuple[int, int, int]) -> Iterator[Forces | None]:
    """Forces of all replicas in the first process; None in the others, once they have answered it to its end.

    Parameters
    ----------
    forces : of this process's `share`: positions (n_share, n_beads, 3) [Å] -> energies (n_share,)
        [kcal/mol], forces of the shape of the positions [kcal/mol/Å], all float64
    shape : of the positions of all replicas
    """
    if processes() == 1:
        yield forces
        return
    dist.init_process_group("gloo", timeout=_PATIENCE)
    try:
        if is_first():
            try:
                yield lambda positions: _asked(forces, positions)
            finally:
                _tell(_END)
        else:
            _answer(forces, shape)
            yield None
    finally:
        dist.destroy_process_group()


def _tell(word: int) -> None:
    dist.broadcast(torch.tensor([word]), src=0)


def _told() -> int:
    """What the first process wants; nothing more if it has gone, it says why itself."""
    word = torch.zeros(1, dtype=torch.int64)
    try:
        dist.broadcast(word, src=0)
    except RuntimeError:
        return _END
    return int(word)


def _asked(forces: Forces, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    _tell(_AGAIN)
    return _together(forces, np.ascontiguousarray(positions))


def _answer(forces: Forces, shape: tuple[int, int, int]) -> None:
    """Compute this process's share whenever the first one asks, until it ends."""
    # Signals are for the first process: it writes a checkpoint, then ends the others.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while _told() == _AGAIN:
        with suppress(InputError):  # the first process has it too
            _together(forces, np.empty(shape))


def _together(forces: Forces, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All processes at once: positions go out from the first, every share comes back to all."""
    dist.broadcast(torch.from_numpy(positions), src=0)
    n_replicas, n_beads, _ = positions.shape
    n_processes = dist.get_world_size()
    shares = [_share_of(process, n_processes, n_replicas) for process in range(n_processes)]
    largest = max(share.stop - share.start for share in shares)
    own = np.zeros((largest, 1 + 3 * n_beads))
    problem = _fill(own, forces, positions[shares[dist.get_rank()]])
    _raise_first(problem)
    gathered = [torch.empty(own.shape, dtype=torch.float64) for _ in shares]
    dist.all_gather(gathered, torch.from_numpy(own))
    rows = [part.numpy()[: share.stop - share.start] for part, share in zip(gathered, shares, strict=True)]
    whole = np.concatenate(rows)
    return whole[:, 0].copy(), whole[:, 1:].reshape(positions.shape)


def _fill(own: np.ndarray, forces: Forces, positions: np.ndarray) -> str:
    """Put a share's energies and forces into rows; what stands in the way, if anything."""
    try:
        energy, force = forces(positions)
    except InputError as error:
        return str(error)
    own[: len(energy), 0], own[: len(energy), 1:] = energy, force.reshape(len(energy), -1)
    return ""


def _raise_first(problem: str) -> None:
    # A single number in the usual case, texts only when there are some.
    failed = torch.tensor([int(bool(problem))])
    dist.all_reduce(failed)
    if not failed:
        return
    problems: list[str] = [""] * dist.get_world_size()
    dist.all_gather_object(problems, problem)
    raise InputError(next(text for text in problems if text))
