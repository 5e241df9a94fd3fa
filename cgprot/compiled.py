"""Loops compiled to machine code, kept on disk until any source of such loops changes.

Numba keeps machine code for as long as the file of the function itself stays as it was. But a loop takes in
what it calls from other files, and their constants: after an update of one of them the old code would run on.
So here the text of every file of this package that has to do with such loops counts.
"""

import functools
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import FunctionCache, IndexDataCacheFile

PACKAGE = Path(__file__).parent
# What files of loops hold, or of the tuples that these take: machine code knows their fields by number.
_TELLING = (b"numba", b"llvmlite", b"kernel", b"NamedTuple")


@functools.cache
def sources_sha256(package: Path) -> str:
    """Of all files that compiled loops come from, and of the constants of units.py."""
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        text = path.read_bytes()
        if path.name == "units.py" or any(word in text for word in _TELLING):
            digest.update(b"%s %d " % (path.name.encode(), len(text)) + text)
    return digest.hexdigest()


class _Cache(FunctionCache):
    """Numba's, but under a name that tells the sources.

    In the file itself would be too late: an old one may name types that are no longer where they were.
    """

    def __init__(self, function: Callable) -> None:
        super().__init__(function)
        self._name_of_all = f"{self._impl.filename_base}-"
        self._name_of_these = f"{self._name_of_all}{sources_sha256(PACKAGE)[:16]}"
        self._cache_file = IndexDataCacheFile(
            self._cache_path, self._name_of_these, self._impl.locator.get_source_stamp()
        )

    def save_overload(self, signature: object, data: object) -> None:
        """Keep new machine code, and remove what earlier sources left."""
        super().save_overload(signature, data)
        for file in Path(self._cache_path).glob(f"{self._name_of_all}*"):
            if not file.name.startswith(self._name_of_these):
                file.unlink(missing_ok=True)


def kernel(function: Callable) -> Callable:
    """Compile a function when it is first called with arguments of new types.

    It runs without the interpreter's lock; a division by zero gives infinity, as in numpy. No fast
    mathematics: copies of a loop could add in different orders, and a resumed run would drift from an
    unbroken one.
    """
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(function)
    dispatcher._cache = _Cache(function)  # what cache=True does, but for the class
    return dispatcher
