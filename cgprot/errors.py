"""What can go wrong, each with its exit code; a message is one line: what, where, how to mend it."""


class CgprotError(Exception):
    """Base of every error that cgprot raises on purpose."""

    exit_code = 1


class UsageError(CgprotError):
    """The command line or the configuration asks for something that does not exist."""

    exit_code = 2


class InputError(CgprotError, ValueError):
    """A file or an array holds something that cgprot cannot use."""

    exit_code = 3


class UnstableError(CgprotError):
    """A simulation left sanity and was stopped."""

    exit_code = 4


class StorageError(CgprotError, OSError):
    """A file could not be read or written."""

    exit_code = 5
