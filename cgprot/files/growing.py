"""Files that grow from checkpoint to checkpoint, and are cut back to one on resume."""

import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import IO, NamedTuple

from cgprot.errors import StorageError

_CHUNK = 2**20  # bytes read at once


class Mark(NamedTuple):
    """Where a file stood: its bytes, the last of them that came at once, and their CRC-32.

    `body` is the CRC-32 of all that follows the first `head` bytes, which may be amended; None in marks that
    are older than it.
    """

    size: int
    tail: int
    crc: int
    head: int = 0
    body: int | None = None


class GrowingFile:
    """A file to which whole pieces (a frame, some lines) are added.

    It is opened for every piece and closed again, so a thousand replicas need no thousand open
    files; a file that vanished meanwhile is an error, never begun anew.

    Attributes
    ----------
    path : the file
    mark : where it stands
    """

    def __init__(self, path: Path, mark: Mark) -> None:
        self.path, self.mark = Path(path), mark
        self._synced = False

    @classmethod
    def create(cls, path: Path, head: bytes, amended: bool = False) -> "GrowingFile":
        """A new file that begins with `head`, which `sync` may amend if so said."""
        body = (len(head), 0) if amended else (0, zlib.crc32(head))
        file = cls(path, Mark(len(head), 0, 0, *body))
        file._change("wb", lambda stream: stream.write(head))
        return file

    @classmethod
    def reopen(cls, path: Path, mark: Mark) -> "GrowingFile":
        """Cut a file back to `mark` and go on behind it.

        Raises
        ------
        StorageError
            if it is shorter than that or does not end there in the same bytes; it is then as it was
        """
        check_tail(path, mark)
        file = cls(path, mark)
        file._change("rb+", lambda stream: stream.truncate(mark.size))
        return file

    def append(self, piece: bytes) -> None:
        """Add a piece."""
        end = self.mark.size

        def write(stream: IO[bytes]) -> None:
            # Not "append": what a failed write left behind is overwritten.
            stream.seek(end)
            stream.write(piece)

        self._synced = False
        self._change("rb+", write)
        body = None if self.mark.body is None else zlib.crc32(piece, self.mark.body)
        self.mark = Mark(end + len(piece), len(piece), zlib.crc32(piece), self.mark.head, body)

    def sync(self, head: dict[int, bytes] | None = None) -> None:
        """Bring what is new to the disk; `head` are bytes of the head to overwrite, by their place."""
        if self._synced:
            return

        def write(stream: IO[bytes]) -> None:
            for place, content in (head or {}).items():
                stream.seek(place)
                stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())

        self._change("rb+", write)
        self._synced = True

    def _change(self, mode: str, write: Callable[[IO[bytes]], object]) -> None:
        try:
            with open(self.path, mode) as stream:
                write(stream)
        except OSError as error:
            raise StorageError(f"{self.path}: could not be written ({error}): free space, then resume")


def check_tail(path: Path, mark: Mark) -> None:
    """Nothing if a file reaches `mark` and ends there in the bytes that were written.

    Raises
    ------
    StorageError
        otherwise
    """
    try:
        with open(path, "rb") as stream:
            stream.seek(mark.size - mark.tail)
            tail = stream.read(mark.tail)
            size = stream.seek(0, os.SEEK_END)
    except OSError as error:
        raise StorageError(f"{path}: could not be read ({error}): restore it from a copy")
    if size < mark.size:
        raise StorageError(f"{path}: {size} bytes, the checkpoint needs {mark.size}: restore it from a copy")
    if zlib.crc32(tail) != mark.crc:
        raise StorageError(
            f"{path}: changed before byte {mark.size}, where its checkpoint was: restore it from a copy"
        )


def check_body(path: Path, mark: Mark) -> None:
    """Nothing if all that was ever added to a file, up to `mark`, is as it was written.

    Raises
    ------
    StorageError
        otherwise
    """
    check_tail(path, mark)
    if mark.body is None:
        return
    found, left = 0, mark.size - mark.head
    with open(path, "rb") as stream:
        stream.seek(mark.head)
        while piece := stream.read(min(_CHUNK, left)):
            found, left = zlib.crc32(piece, found), left - len(piece)
    if found != mark.body:
        raise StorageError(f"{path}: changed since it was written: restore it from a copy")
