"""One of the two processes that test_world starts: python two_processes.py FOLDER."""

import json
import os
import signal
import sys
import time
from pathlib import Path

from test_world import settings

from cgprot.errors import CgprotError, InputError
from cgprot.files.stop import Interrupted
from cgprot.train import loop

FOLDER, RANK = Path(sys.argv[1]), int(os.environ["RANK"])


def outcome(*arguments, **options):
    """How a training ended, in a few words."""
    os.environ["MASTER_PORT"] = str(int(os.environ["MASTER_PORT"]) + 1)  # the former group's may linger
    try:
        loop.train(*arguments, **options)
    except Interrupted as error:
        return str(error).partition("stopped by ")[2].partition(",")[0]
    except CgprotError as error:
        return f"{type(error).__name__}: {error}"
    except SystemExit as error:
        return f"exit {error.code}"
    return "done"


def at_step(number, action):
    """The loop's step, but the second process does `action` before that step."""
    take_step = loop.take_step

    def step(state, *rest):
        if RANK == 1 and state.step == number:
            action()
        return take_step(state, *rest)

    loop.take_step = step
    return take_step


def fail():
    raise InputError("only the second process sees this")


def own_components(data, numbers):
    """The planted mistake: two processes, each with the mean over its own share, and the mean of both."""
    mine = loop.share(numbers, data.edges, RANK, 2)
    return {name: max(1, 2 * n) for name, n in components(data, mine).items()}


config = settings(FOLDER)
results = {"whole": outcome(config, FOLDER / "whole")}

restore = at_step(4, lambda: os.kill(os.getpid(), signal.SIGTERM))
results["stopped"] = outcome(config, FOLDER / "parts")
loop.take_step = restore
outcome(config, FOLDER / "parts", resume=True)

components = loop.TrainingData.components
loop.TrainingData.components = own_components
outcome(config, FOLDER / "wrong")
loop.TrainingData.components = components

prepare, loop.prepare_data = loop.prepare_data, (lambda config: fail()) if RANK else loop.prepare_data
results["error"] = outcome(config, FOLDER / "error")
loop.prepare_data = prepare
(FOLDER / f"results_{RANK}.json").write_text(json.dumps(results))

at_step(2, lambda: os._exit(9))
begun = time.monotonic()
lost = outcome(config, FOLDER / "lost")
both = [json.loads((FOLDER / f"results_{rank}.json").read_text()) for rank in range(2)]
merged = {name: [one[name] for one in both] for name in both[0]}
merged |= {"lost": [lost], "lost_after_seconds": time.monotonic() - begun}
(FOLDER / "results.json").write_text(json.dumps(merged))
