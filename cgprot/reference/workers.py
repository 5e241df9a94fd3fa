"""Independent OpenMM jobs side by side: one single-threaded process per core is fastest on a CPU."""

import multiprocessing
import queue
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

from tqdm import tqdm

_POLL_SECONDS = 0.2
_report: Callable[[float], object] = lambda amount: None  # noqa: E731


def _report_to(put: Callable[[float], object]) -> None:
    global _report  # the only way for a spawned process to find its parent's queue
    _report = put


def report_progress(amount: float) -> None:
    """Called inside a job: so much more is done."""
    _report(amount)


class _SpeedBar(tqdm):
    """A bar that also shows its rate in words of its own."""

    def __init__(self, *arguments, speed: Callable[[float], str] | None = None, **options) -> None:
        self._speed = speed
        super().__init__(*arguments, **options)

    @property
    def format_dict(self) -> dict:
        fields = super().format_dict
        if self._speed is not None and fields["n"] > 0 and fields["elapsed"] > 0:
            fields["postfix"] = self._speed(fields["n"] / fields["elapsed"])
        return fields


def progress_bar(
    description: str, total: float, unit: str, speed: Callable[[float], str] | None = None
) -> tqdm:
    """A bar with time left; none when the output is not a terminal.

    Parameters
    ----------
    speed : from the mean rate [unit/s] to the words that the bar ends with while it runs
    """
    layout = "{desc}: {percentage:3.0f}% |{bar}| {n:.1f}/{total:.1f} {unit} [{elapsed}<{remaining}{postfix}]"
    return _SpeedBar(
        desc=description,
        total=total,
        unit=unit,
        bar_format=layout,
        disable=not sys.stderr.isatty(),
        speed=speed,
    )


def run_jobs(job: Callable[[Any], Any], tasks: Sequence, workers: int, bar: tqdm) -> list:
    """Run `job(task)` for every task in `workers` processes; results in the order of the tasks.

    The bar advances by what the jobs report. The first error ends the work and is raised.
    """
    if workers == 1:
        _report_to(bar.update)
        return [job(task) for task in tasks]
    context = multiprocessing.get_context("spawn")
    with context.Manager() as manager:
        reports = manager.Queue()
        with ProcessPoolExecutor(workers, context, initializer=_report_to, initargs=(reports.put,)) as pool:
            futures = [pool.submit(job, task) for task in tasks]
            try:
                _watch(futures, reports, bar)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
            return [future.result() for future in futures]


def _watch(futures: list[Future], reports: Any, bar: tqdm) -> None:
    while not all(future.done() for future in futures):
        for future in futures:
            if future.done():
                future.result()
        try:
            bar.update(reports.get(timeout=_POLL_SECONDS))
        except queue.Empty:
            continue
