"""kill -9 at random moments: nothing is lost, nothing is there twice."""

import random
import signal
import time

import numpy as np
from trial import CONFIG, begin, go_on, growing, in_a_child, results

from cgprot.files.dcd import read_dcd
from cgprot.files.folder import read_run

KILLS = 50


def _killed_after(seconds, task, folder):
    """Whether the child was still at it."""
    child = in_a_child(task, folder)
    child.join(seconds)
    child.kill()
    child.join()
    return child.exitcode == -signal.SIGKILL


def test_fifty_kills(tmp_path):
    begin(tmp_path / "compiled")  # here, so that the children are not struck while they load compiled code
    began = time.monotonic()
    child = in_a_child(begin, tmp_path / "whole")
    child.join()
    length = time.monotonic() - began
    moments, kills, resumed = random.Random(1), 0, 0
    for number in range(1000):
        folder = tmp_path / str(number)
        task = begin
        # As often as it is killed, from wherever it is; then it is let go on.
        while task is not None and kills < KILLS:
            killed = _killed_after(moments.uniform(0.0, 0.7 * length), task, folder)
            kills, task = (kills + 1, go_on) if killed else (kills, None)
            # Until two in three strike: how fast a busy machine is changes while the test goes on.
            length *= 1.05 if killed else 0.9
        if task is go_on:
            go_on(folder)
        assert results(folder) == results(tmp_path / "whole")
        resumed += len(read_run(folder).get("resumed", []))
        if kills == KILLS:
            break
    assert kills == KILLS
    assert resumed > 5  # and not all of them before the first checkpoint


def test_frames_have_their_times(tmp_path):
    """No gap, no duplicate: every frame is another one, and the log counts the same steps."""
    folder = tmp_path / "run"
    begin(folder)
    for path in growing(folder):
        if path.suffix == ".dcd":
            frames, times = read_dcd(path)
            np.testing.assert_allclose(times, CONFIG.output_every_ps * np.arange(len(frames)), rtol=1e-6)
            assert len(np.unique(frames[:, 0], axis=0)) == len(frames)
    rows = [row.split(",")[:3] for row in (folder / "log.csv").read_text().splitlines()[1:]]
    steps = list(range(0, CONFIG.n_steps + 1, CONFIG.output_steps))
    assert [int(step) for step, _, replica in rows if replica == "0"] == steps
    assert 1 < len([row for row in rows if row[2] == "1"]) < len(steps)
