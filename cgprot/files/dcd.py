"""DCD trajectories that survive a kill: appended frame by frame, cut back to a frame on resume.

The layout is CHARMM's as MDAnalysis, mdtraj, OpenMM and VMD read it: little endian, float32,
neither unit cell nor fixed atoms.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cgprot.errors import InputError, StorageError
from cgprot.units import AKMA_PS

_TITLE = b"cgprot".ljust(80)
# Three Fortran records, each between its own length: control, title, number of atoms.
_HEADER = struct.Struct("<i4s9if10ii ii80si iii")
_FRAME_COUNT_AT = 8
_LAST_STEP_AT = 20
_LARGEST = 2**31 - 1
_CHARMM_VERSION = 24


@dataclass
class DcdFile:
    """One trajectory that grows.

    The file is opened for every call and closed again, so a thousand replicas need no thousand
    open files.

    Attributes
    ----------
    path : the file
    n_beads : beads in a frame
    interval_steps : steps between frames
    n_frames : frames written so far
    """

    path: Path
    n_beads: int
    interval_steps: int
    n_frames: int = 0

    @classmethod
    def create(
        cls, path: Path, n_beads: int, interval_steps: int, timestep_ps: float, start_step: int = 0
    ) -> "DcdFile":
        """Write the header of a new file; its first frame is that of `start_step`.

        Raises
        ------
        InputError
            if a number does not fit into the 31 bits that the format has for it
        """
        for name, number in (("step", start_step), ("interval in steps", interval_steps)):
            if not 0 <= number <= _LARGEST:
                raise InputError(f"{path}: {name} {number:.6g} does not fit into a DCD: keep it below 2**31")
        header = _header(n_beads, interval_steps, timestep_ps, start_step)
        file = cls(Path(path), n_beads, interval_steps)
        file._change("wb", lambda stream: stream.write(header))
        return file

    @classmethod
    def reopen(cls, path: Path, n_frames: int) -> "DcdFile":
        """Cut a file to its first `n_frames` frames and go on behind them.

        Raises
        ------
        StorageError
            if it is no such file, holds fewer whole frames, or one of those to be kept is damaged
        """
        header, frames = _open_frames(path)
        whole = _count_whole(frames)
        if whole < n_frames:
            raise StorageError(f"{path}: holds {whole} whole frames, not {n_frames}: restore it from a copy")
        n_beads = header["n_beads"]
        file = cls(Path(path), n_beads, header["interval_steps"], n_frames)
        end = _HEADER.size + n_frames * _frame_type(n_beads).itemsize
        del frames
        file._change("rb+", lambda stream: stream.truncate(end))
        file.sync()
        return file

    def append(self, positions: np.ndarray) -> None:
        """Write one frame, (n_beads, 3) [Å]."""
        frame = np.empty(1, dtype=_frame_type(self.n_beads))
        for axis, name in enumerate("xyz"):
            frame[name] = positions[:, axis]
            frame[name + "_head"] = frame[name + "_tail"] = 4 * self.n_beads
        self._change("ab", lambda stream: stream.write(frame.tobytes()))
        self.n_frames += 1

    def sync(self) -> None:
        """State the number of frames in the header and bring everything to the disk."""

        def write(stream: Any) -> None:
            stream.seek(_FRAME_COUNT_AT)
            stream.write(struct.pack("<i", self.n_frames))
            stream.seek(_LAST_STEP_AT)
            stream.write(struct.pack("<i", min(self.n_frames * self.interval_steps, _LARGEST)))
            stream.flush()
            os.fsync(stream.fileno())

        self._change("rb+", write)

    def _change(self, mode: str, write: Any) -> None:
        try:
            with open(self.path, mode) as stream:
                write(stream)
        except OSError as error:
            raise StorageError(f"{self.path}: could not be written ({error}): free space, then resume")


def _header(n_beads: int, interval_steps: int, timestep_ps: float, start_step: int) -> bytes:
    control = [0, start_step, interval_steps, 0, 0, 0, 0, 0, 0]
    flags = [0] * 9 + [_CHARMM_VERSION]
    return _HEADER.pack(
        84, b"CORD", *control, timestep_ps / AKMA_PS, *flags, 84,
        4 + len(_TITLE), 1, _TITLE, 4 + len(_TITLE),
        4, n_beads, 4,
    )  # fmt: skip


def _frame_type(n_beads: int) -> np.dtype:
    fields: list[tuple] = []
    for name in "xyz":
        fields += [(name + "_head", "<i4"), (name, "<f4", (n_beads,)), (name + "_tail", "<i4")]
    return np.dtype(fields)


def _open_frames(path: Path) -> tuple[dict, np.ndarray]:
    """What the header says, and every frame whose bytes are all there."""
    try:
        size = os.path.getsize(path)
        with open(path, "rb") as stream:
            fields = _HEADER.unpack(stream.read(_HEADER.size))
    except (OSError, struct.error) as error:
        raise StorageError(f"{path}: not a readable DCD ({error}): check the path")
    expected = _HEADER.unpack(_header(fields[-2], fields[4], 0.0, fields[3]))
    alike = [i for i in range(len(fields)) if i not in (2, 5, 11)]
    if fields[-2] <= 0 or any(fields[i] != expected[i] for i in alike):
        raise StorageError(f"{path}: not a DCD that cgprot wrote: read it with MDAnalysis")
    header = {"start_step": fields[3], "interval_steps": fields[4], "n_beads": fields[-2]}
    header["timestep_ps"] = fields[11] * AKMA_PS
    kind = _frame_type(header["n_beads"])
    n_frames = (size - _HEADER.size) // kind.itemsize
    if n_frames == 0:
        return header, np.empty(0, dtype=kind)
    return header, np.memmap(path, dtype=kind, mode="r", offset=_HEADER.size, shape=(n_frames,))


def _count_whole(frames: np.ndarray) -> int:
    """Frames before the first whose record marks are not the length of the record."""
    whole = np.ones(len(frames), dtype=bool)
    for name in "xyz":
        length = frames.dtype[name].itemsize
        whole &= (frames[name + "_head"] == length) & (frames[name + "_tail"] == length)
    return len(frames) if whole.all() else int(whole.argmin())


def read_dcd(path: Path, n_frames: int | None = None) -> tuple[np.ndarray, np.ndarray]:
    """All whole frames of a file that `DcdFile` wrote, or the first `n_frames`, even while it grows.

    Returns
    -------
    positions : (n_frames, n_beads, 3) float32 [Å]
    time : (n_frames,) [ps]

    Raises
    ------
    StorageError
        if it is no such file
    """
    header, frames = _open_frames(path)
    frames = frames[: _count_whole(frames)][:n_frames]
    step = header["start_step"] + header["interval_steps"] * np.arange(len(frames))
    return np.stack([frames[name] for name in "xyz"], axis=-1), step * header["timestep_ps"]
