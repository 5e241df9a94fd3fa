"""The log of a training run, metrics.csv, and its picture, curves.png."""

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from matplotlib.figure import Figure

from cgprot.errors import StorageError
from cgprot.files.folder import write_text, write_whole

METRICS_FILE = "metrics.csv"
CURVES_FILE = "curves.png"


class Metrics(NamedTuple):
    """One line of metrics.csv; errors of the validation data are those of the averaged weights.

    `train_force_rmse` is that of the steps since the line before; `noise_floor` and `signal` (root mean
    square of the labels) belong to the validation data. `others` are further columns, the errors of what is
    learned beside forces.
    """

    step: int
    learning_rate: float
    train_force_rmse_kcal_mol_A: float
    validation_force_rmse_kcal_mol_A: float
    validation_force_mae_kcal_mol_A: float
    noise_floor_kcal_mol_A: float
    signal_kcal_mol_A: float
    seconds: float
    others: Mapping[str, float] = MappingProxyType({})

    def row(self) -> dict[str, float]:
        """Every number by the name of its column."""
        return dict(zip(_COLUMNS, self[:-1], strict=True)) | dict(self.others)


_COLUMNS = Metrics._fields[:-1]


def begin_metrics(folder: Path, others: Sequence[str]) -> None:
    """Write an empty metrics.csv; `others` are the names of further columns."""
    write_text(folder / METRICS_FILE, ",".join([*_COLUMNS, *others]) + "\n")


def append_metrics(folder: Path, metrics: Metrics) -> None:
    """Add a line to metrics.csv and see it onto the disk.

    Raises
    ------
    StorageError
        if the disk refuses
    """
    path = folder / METRICS_FILE
    try:
        with open(path, "a", newline="") as stream:
            csv.writer(stream).writerow(metrics.row().values())
            stream.flush()
            os.fsync(stream.fileno())
    except OSError as error:
        raise StorageError(f"{path}: could not be written ({error}): free space, then resume")


def read_metrics(folder: Path) -> list[Metrics]:
    """All lines of metrics.csv."""
    with open(folder / METRICS_FILE, newline="") as stream:
        header, *rows = csv.reader(stream)
    n = len(_COLUMNS)
    read = []
    for step, *row in rows:
        numbers = [float(number) for number in row]
        others = dict(zip(header[n:], numbers[n - 1 :], strict=True))
        read.append(Metrics(int(step), *numbers[: n - 1], others))  # type: ignore[call-arg, arg-type]
    return read


def cut_metrics(folder: Path, last_step: int) -> None:
    """Leave the header and the lines up to `last_step`.

    Raises
    ------
    StorageError
        if there is no such file
    """
    path = folder / METRICS_FILE
    try:
        header, *lines = path.read_text().splitlines()
    except (OSError, ValueError) as error:
        raise StorageError(f"{path}: could not be read ({error}): restore it from a copy")
    whole = [line for line in lines if line.count(",") == header.count(",")]
    kept = [line for line in whole if int(line.split(",")[0]) <= last_step]
    write_text(path, "\n".join([header, *kept]) + "\n")


def draw_curves(folder: Path) -> None:
    """Training and validation error against the step, the noise floor beside them."""
    rows = read_metrics(folder)
    steps = [row.step for row in rows]
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    axes.plot(steps, [row.train_force_rmse_kcal_mol_A for row in rows], label="training")
    axes.plot(steps, [row.validation_force_rmse_kcal_mol_A for row in rows], label="validation")
    axes.axhline(rows[-1].signal_kcal_mol_A, color="0.7", label="all forces zero")
    axes.axhline(rows[-1].noise_floor_kcal_mol_A, color="0.3", linestyle="--", label="noise floor")
    axes.set(xlabel="step", ylabel="force RMSE [kcal/mol/Å]", yscale="log")
    axes.legend(frameon=False)
    write_whole(folder / CURVES_FILE, lambda path: figure.savefig(path, format="png", dpi=150))
