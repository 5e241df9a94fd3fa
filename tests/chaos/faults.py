"""Failures of the disk, or of the machine, at any chosen call that reaches it."""

import builtins
import errno
import io
import os
from contextlib import contextmanager

_CHANGING = set("wax+")


class Faults:
    """Counts the calls that change the disk; at one of them, something happens.

    Parameters
    ----------
    folder : only files in it count
    at : the number of the call, from 1; 0 for none
    happen : called with a function that does half of a write (or nothing, where there are no halves)
    """

    def __init__(self, folder, at=0, happen=None):
        self.folder, self.at, self.happen = str(folder), at, happen
        self.calls = []

    def count(self, what, half=lambda: None):
        self.calls.append(what)
        if len(self.calls) == self.at:
            self.happen(half)

    @contextmanager
    def injected(self):
        """Calls go through here within the block."""
        real = builtins.open, os.fsync, os.replace
        builtins.open = io.open = self._open(real[0])
        os.fsync, os.replace = self._fsync(real[1]), self._replace(real[2])
        try:
            yield self
        finally:
            builtins.open = io.open = real[0]
            os.fsync, os.replace = real[1:]

    def _open(self, real):
        def opened(file, mode="r", *rest, **more):
            # Truncation by mode "w" is a change of its own.
            mine = str(file).startswith(self.folder) and _CHANGING & set(mode)
            if mine:
                self.count(f"open {os.path.basename(file)}")
            stream = real(file, mode, *rest, **more)
            return _Stream(stream, self, os.path.basename(file)) if mine else stream

        return opened

    def _fsync(self, real):
        def fsync(number):
            self.count("fsync")  # and not the wait: processes die here, not machines

        return fsync

    def _replace(self, real):
        def replace(old, new):
            if str(new).startswith(self.folder):  # compilers rename files of their own
                self.count(f"replace {os.path.basename(new)}")
            real(old, new)

        return replace


class _Stream:
    """A stream whose writes and cuts count; each reaches the file at once, as the worst buffer would."""

    def __init__(self, stream, faults, name):
        self._stream, self._faults, self._name = stream, faults, name

    def write(self, data):
        def half():
            self._stream.write(data[: len(data) // 2])
            self._stream.flush()

        self._faults.count(f"write {self._name}", half)
        written = self._stream.write(data)
        self._stream.flush()
        return written

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def truncate(self, *size):
        self._faults.count(f"truncate {self._name}")
        return self._stream.truncate(*size)

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._stream.close()

    def __iter__(self):
        return iter(self._stream)


def die(half):
    """As kill -9 does, in the middle of a write."""
    half()
    os._exit(9)


def die_before(_):
    """As kill -9 does, before the call."""
    os._exit(9)


def disk_full(half):
    """Half of it fits."""
    half()
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def broken(_):
    """The disk fails."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))
