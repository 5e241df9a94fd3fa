"""One process to a run folder."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cgprot.errors import StorageError

LOCK_FILE = ".lock"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold `folder` against every other process; a killed one lets go by itself.

    Raises
    ------
    StorageError
        if another process runs in it
    """
    path = Path(folder) / LOCK_FILE
    try:
        stream = open(path, "a")  # noqa: SIM115
    except OSError as error:
        raise StorageError(f"{path}: could not be opened ({error}): check the folder")
    with stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StorageError(f"{folder}: another process runs in it: wait for it or choose another folder")
        yield
