"""Every frame of a trajectory, or a refusal of one cut short: MDAnalysis ends with its last whole frame."""

import os
import struct
from collections.abc import Iterator

from MDAnalysis.coordinates.base import ReaderBase, Timestep
from MDAnalysis.coordinates.DCD import DCDReader
from MDAnalysis.coordinates.XDR import XDRBaseReader
from MDAnalysis.lib.formats.libdcd import DCDFile

from cgprot.errors import InputError

_DCD_HEAD = "i4si"  # length of the record, what it holds, number of frames
_DCD_RECORD = 84  # that length [bytes]


def steps(trajectory: ReaderBase, names: str) -> Iterator[Timestep]:
    """Every frame of a trajectory.

    Parameters
    ----------
    names : of the files, for errors

    Raises
    ------
    InputError
        if a frame is damaged, or a file ends before its last frame does
    """
    for reader in _readers(trajectory):
        _refuse_cut_xdr(reader)
    frames = iter(trajectory)
    for number in range(len(trajectory) + 1):
        try:
            step = next(frames)
        except StopIteration:
            if number < len(trajectory):
                raise InputError(
                    f"{names}: ends within frame {number + 1} of {len(trajectory)}: copy it again"
                )
            return
        except (OSError, ValueError, EOFError) as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(f"{names}: damaged ({reason}): copy the file again or cut it before that")
        yield step


def refuse_cut_dcd(trajectory: ReaderBase) -> None:
    """Refuse a DCD of fewer frames than its header counts, which `steps` takes as it is.

    Raises
    ------
    InputError
        if it is one, or one of several is
    """
    for reader in _readers(trajectory):
        stated, found = _frames_of_dcd(reader.filename) if isinstance(reader, DCDReader) else (0, 0)
        if stated > found:
            raise InputError(
                f"{reader.filename}: {found} whole frames, its header counts {stated}: copy it again, "
                f"or write what it has to a new file"
            )


def _readers(trajectory: ReaderBase) -> list[ReaderBase]:
    return getattr(trajectory, "readers", [trajectory])


def _refuse_cut_xdr(reader: ReaderBase) -> None:
    """Refuse an XTC or TRR with a piece of a frame behind those that MDAnalysis counts."""
    if isinstance(reader, XDRBaseReader) and _end_of_frames(reader) < os.path.getsize(reader.filename):
        raise InputError(
            f"{reader.filename}: ends within frame {len(reader) + 1}: copy it again or let its writer finish"
        )


def _frames_of_dcd(path: str) -> tuple[int, int]:
    """The number of frames in the header, and of those in the file."""
    with open(path, "rb") as stream:
        head = stream.read(struct.calcsize(_DCD_HEAD))
    either = [struct.unpack(order + _DCD_HEAD, head) for order in "<>"]
    stated = next((count for length, _, count in either if length == _DCD_RECORD), 0)
    # Counted after the header was read: a run that goes on writes its frames first.
    with DCDFile(path) as file:
        return stated, file.n_frames


def _end_of_frames(reader: XDRBaseReader) -> int:
    """Where the last whole frame of an XTC or TRR ends [bytes]; it is read with a stream of its own."""
    with type(reader._xdr)(reader.filename) as file:
        file.set_offsets(reader._xdr.offsets)
        file.seek(len(reader) - 1)
        try:
            file.read()
        except (OSError, StopIteration):
            return os.path.getsize(reader.filename)  # found when that frame's turn comes
        return file._bytes_tell()
