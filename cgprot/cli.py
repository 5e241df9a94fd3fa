"""The command line: its verbs, and what a failure prints."""

import argparse
import os
import signal
import sys
import warnings

from cgprot import __version__
from cgprot.errors import CgprotError, StorageError, UsageError
from cgprot.verbs import (
    analyse,
    backmap,
    doctor,
    evaluate,
    export,
    import_,
    label,
    refine,
    sample,
    simulate,
    train,
    verify,
)
from cgprot.verbs import map as map_

VERBS = (
    *(sample, map_, label, backmap, train, evaluate, refine, simulate, analyse),
    *(import_, export, doctor, verify),
)

TRACEBACK = "CGPROT_TRACEBACK"  # with this in the environment an unexpected error is shown whole


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit code (0, or 2 usage, 3 bad input, 4 unstable, 5 I/O)."""
    options, code = _parser().parse_args(arguments), 0
    try:
        with warnings.catch_warnings():
            # What third-party readers warn of is checked here and refused in words of our own.
            warnings.simplefilter("ignore")
            code = options.handler(options) or 0
            print(end="", flush=True)  # at the interpreter's end a closed pipe could not be answered
            return code
    except BrokenPipeError:  # whoever reads our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return code
    except (Exception, KeyboardInterrupt) as error:
        message, code = _explain(error)
    print(f"cgprot {options.verb}: {' '.join(message.split())}", file=sys.stderr)
    return code


def _explain(error: BaseException) -> tuple[str, int]:
    """What to tell of a failure, and the exit code."""
    if isinstance(error, CgprotError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing more was written", 128 + signal.SIGINT
    if TRACEBACK in os.environ:
        raise error
    reason = (str(error).strip() or "no message").splitlines()[0]
    message = f"unexpected {type(error).__name__} ({reason}): set {TRACEBACK}=1 to see where, and report it"
    return message, StorageError.exit_code if isinstance(error, OSError) else 1


class _Parser(argparse.ArgumentParser):
    """argparse, but a wrong call costs one line instead of the whole usage."""

    def error(self, message: str):
        self.exit(UsageError.exit_code, f"{self.prog}: {message}: see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cgprot",
        description="Coarse-grained protein dynamics without hydrogens and without prior energy terms.",
        epilog="Exit codes: 2 usage, 3 bad input, 4 unstable run, 5 I/O. 'cgprot VERB --help' says more.",
    )
    parser.add_argument("--version", action="version", version=f"cgprot {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    for verb in VERBS:
        verb.add(verbs)
    return parser
