"""DCD trajectories that survive a kill: appended frame by frame, cut back to a frame on resume.

The layout is CHARMM's as MDAnalysis, mdtraj, OpenMM and VMD read it: little endian, float32,
no fixed atoms, and a unit cell where a run has one.
"""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cgprot.errors import InputError, StorageError
from cgprot.files.growing import GrowingFile, Mark
from cgprot.units import AKMA_PS

Cell = tuple[float, float, float, float, float, float]

_TITLE = b"cgprot".ljust(80)
# Three Fortran records, each between its own length: control, title, number of atoms.
_HEADER = struct.Struct("<i4s9if10ii ii80si iii")
_FRAME_COUNT_AT = 8
_LAST_STEP_AT = 20
_LARGEST = 2**31 - 1
_CHARMM_VERSION = 24
_HAS_CELL = 12  # the field of the header
_CELL_ORDER = (0, 5, 1, 4, 3, 2)  # a, gamma, b, beta, alpha, c, as MDAnalysis, mdtraj, OpenMM and VMD read it


class DcdFile:
    """One trajectory that grows.

    Attributes
    ----------
    n_beads : beads in a frame
    interval_steps : steps between frames
    n_frames : frames written so far
    cell : edges [Å] and angles [degrees] of the periodic box, the same in every frame, or None
    """

    def __init__(
        self,
        file: GrowingFile,
        n_beads: int,
        interval_steps: int,
        n_frames: int = 0,
        cell: Cell | None = None,
    ) -> None:
        self._file, self.cell = file, cell
        self.n_beads, self.interval_steps, self.n_frames = n_beads, interval_steps, n_frames

    @classmethod
    def create(
        cls,
        path: Path,
        n_beads: int,
        interval_steps: int,
        timestep_ps: float,
        start_step: int = 0,
        cell: Cell | None = None,
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
        header = _header(n_beads, interval_steps, timestep_ps, start_step, cell is not None)
        return cls(GrowingFile.create(path, header, amended=True), n_beads, interval_steps, cell=cell)

    @classmethod
    def reopen(cls, path: Path, mark: Mark) -> "DcdFile":
        """Cut a file back to where it stood and go on behind it.

        Raises
        ------
        StorageError
            if it is no such file, ends before, or a frame that is to be kept is damaged
        """
        header, n_frames = check_dcd(path, mark)
        file = cls(
            GrowingFile.reopen(path, mark),
            header["n_beads"],
            header["interval_steps"],
            n_frames,
            cell_of_dcd(path),
        )
        file.sync()
        return file

    @property
    def mark(self) -> Mark:
        """Where the file stands."""
        return self._file.mark

    def append(self, values: np.ndarray) -> None:
        """Write one frame, (n_beads, 3), positions in Å where the file is to be read as a DCD."""
        frame = np.empty(1, dtype=_frame_type(self.n_beads, self.cell is not None))
        if self.cell is not None:
            frame["cell"] = [self.cell[i] for i in _CELL_ORDER]
            frame["cell_head"] = frame["cell_tail"] = frame["cell"].nbytes
        for axis, name in enumerate("xyz"):
            frame[name] = values[:, axis]
            frame[name + "_head"] = frame[name + "_tail"] = 4 * self.n_beads
        self._file.append(frame.tobytes())
        self.n_frames += 1

    def sync(self) -> None:
        """State the number of frames in the header and bring everything to the disk."""
        last_step = min(self.n_frames * self.interval_steps, _LARGEST)
        self._file.sync(
            {_FRAME_COUNT_AT: struct.pack("<i", self.n_frames), _LAST_STEP_AT: struct.pack("<i", last_step)}
        )


def check_dcd(path: Path, mark: Mark) -> tuple[dict, int]:
    """What the header says and the number of frames up to `mark`, all of them whole.

    Raises
    ------
    StorageError
        if it is no such file, ends before, or one of those frames is damaged
    """
    header, frames = _open_frames(path)
    n_frames, rest = divmod(
        mark.size - _HEADER.size, _frame_type(header["n_beads"], header["has_cell"]).itemsize
    )
    whole = _count_whole(frames)
    if whole < n_frames or rest:
        raise StorageError(f"{path}: holds {whole} whole frames, not {n_frames}: restore it from a copy")
    return header, n_frames


def _header(n_beads: int, interval_steps: int, timestep_ps: float, start_step: int, has_cell: bool) -> bytes:
    control = [0, start_step, interval_steps, 0, 0, 0, 0, 0, 0]
    flags = [int(has_cell)] + [0] * 8 + [_CHARMM_VERSION]
    return _HEADER.pack(
        84, b"CORD", *control, timestep_ps / AKMA_PS, *flags, 84,
        4 + len(_TITLE), 1, _TITLE, 4 + len(_TITLE),
        4, n_beads, 4,
    )  # fmt: skip


def _frame_type(n_beads: int, has_cell: bool) -> np.dtype:
    fields: list[tuple] = []
    if has_cell:
        fields += [("cell_head", "<i4"), ("cell", "<f8", (len(_CELL_ORDER),)), ("cell_tail", "<i4")]
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
    has_cell = fields[_HAS_CELL] == 1
    expected = _HEADER.unpack(_header(fields[-2], fields[4], 0.0, fields[3], has_cell))
    alike = [i for i in range(len(fields)) if i not in (2, 5, 11)]
    if fields[-2] <= 0 or any(fields[i] != expected[i] for i in alike):
        raise StorageError(f"{path}: not a DCD that cgprot wrote: read it with MDAnalysis")
    header = {"start_step": fields[3], "interval_steps": fields[4], "n_beads": fields[-2]}
    header |= {"timestep_ps": fields[11] * AKMA_PS, "has_cell": has_cell}
    kind = _frame_type(header["n_beads"], has_cell)
    n_frames = (size - _HEADER.size) // kind.itemsize
    if n_frames == 0:
        return header, np.empty(0, dtype=kind)
    return header, np.memmap(path, dtype=kind, mode="r", offset=_HEADER.size, shape=(n_frames,))


def _count_whole(frames: np.ndarray) -> int:
    """Frames before the first whose record marks are not the length of the record."""
    whole = np.ones(len(frames), dtype=bool)
    for name in ("cell", *"xyz") if "cell" in (frames.dtype.names or ()) else "xyz":
        length = frames.dtype[name].itemsize
        whole &= (frames[name + "_head"] == length) & (frames[name + "_tail"] == length)
    return len(frames) if whole.all() else int(whole.argmin())


def cell_of_dcd(path: Path) -> Cell | None:
    """Edges [Å] and angles [degrees] of the periodic box that a file of `DcdFile` states, if any."""
    header, frames = _open_frames(path)
    if not header["has_cell"] or len(frames) == 0:
        return None
    stored = dict(zip(_CELL_ORDER, frames["cell"][0].tolist(), strict=True))
    return stored[0], stored[1], stored[2], stored[3], stored[4], stored[5]


def frames_of_dcd(path: Path) -> tuple[int, Iterator[tuple[np.ndarray, float]]]:
    """The number of beads, and one by one the whole frames: (n_beads, 3) float32 [Å] and time [ps].

    Raises
    ------
    StorageError
        if it is no file that `DcdFile` wrote
    """
    header, frames = _open_frames(path)
    steps = header["start_step"] + header["interval_steps"] * np.arange(_count_whole(frames))
    times = steps * header["timestep_ps"]
    return header["n_beads"], (
        (np.stack([frame[name] for name in "xyz"], axis=-1), float(time))
        for frame, time in zip(frames, times, strict=False)
    )


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
