"""The log of a training run, metrics.csv, and its picture, curves.png."""

import csv
import os
from pathlib import Path
from typing import NamedTuple

from matplotlib.figure import Figure

from cgprot.files.folder import write_text, write_whole

METRICS_FILE = "metrics.csv"
CURVES_FILE = "curves.png"


class Metrics(NamedTuple):
    """One line of metrics.csv; errors of the validation data are those of the averaged weights.

    `train_force_rmse` is that of the steps since the line before; `noise_floor` and `signal` (root mean
    square of the labels) belong to the validation data.
    """

    step: int
    learning_rate: float
    train_force_rmse_kcal_mol_A: float
    validation_force_rmse_kcal_mol_A: float
    validation_force_mae_kcal_mol_A: float
    noise_floor_kcal_mol_A: float
    signal_kcal_mol_A: float
    seconds: float


def append_metrics(folder: Path, metrics: Metrics) -> None:
    """Add a line to metrics.csv and see it onto the disk."""
    with open(folder / METRICS_FILE, "a", newline="") as stream:
        csv.writer(stream).writerow(metrics)
        stream.flush()
        os.fsync(stream.fileno())


def read_metrics(folder: Path) -> list[Metrics]:
    """All lines of metrics.csv."""
    with open(folder / METRICS_FILE, newline="") as stream:
        rows = list(csv.reader(stream))[1:]
    return [Metrics(int(step), *map(float, values)) for step, *values in rows]


def cut_metrics(folder: Path, last_step: int) -> None:
    """Leave the header and the lines up to `last_step`; -1 begins an empty log."""
    path = folder / METRICS_FILE
    lines = path.read_text().splitlines() if path.exists() else []
    kept = [line for line in lines[1:] if line.count(",") == 7 and int(line.split(",")[0]) <= last_step]
    write_text(path, "\n".join([",".join(Metrics._fields), *kept]) + "\n")


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
