"""A way to end a run that loses nothing."""

import signal
import threading
from types import FrameType

from cgprot.errors import CgprotError


class Interrupted(CgprotError):
    """A run was asked to end by a signal, wrote its checkpoint and ended.

    SIGTERM is a queue's or a machine's orderly end, and got one: exit code 0. SIGINT is a person's
    change of mind: 130, so that a script of several commands ends too.
    """

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 0 if number == signal.SIGTERM else 128 + number


class StopSignal:
    """The first SIGINT or SIGTERM, remembered instead of obeyed; the second one kills as usual."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._former: dict[int, object] = {}

    @property
    def name(self) -> str:
        return signal.Signals(self.number).name if self.number else ""

    def __enter__(self) -> "StopSignal":
        # Python allows handlers in the main thread only; elsewhere the caller stops the run.
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._former[number] = signal.signal(number, self._remember)
        return self

    def __exit__(self, *_: object) -> None:
        self._restore()

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.number = number
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        self._former = {}
