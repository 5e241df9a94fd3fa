"""`cgprot evaluate`: the errors of a model on datasets, as a table and as CSV."""

import csv
import io
import math
from pathlib import Path

from cgprot.errors import InputError
from cgprot.model.checkpoint import check_mapping, load_model
from cgprot.train.batches import read_datasets
from cgprot.train.evaluate import ErrorRow, force_errors

_HEADER = (
    "group",
    "name",
    "components",
    "rmse_kcal_mol_A",
    "mae_kcal_mol_A",
    "noise_floor_kcal_mol_A",
    "signal_kcal_mol_A",
)


def evaluate(model: str, datasets: list[Path]) -> list[ErrorRow]:
    """Force errors in all, by trajectory and by bead type.

    Parameters
    ----------
    model : name of a shipped model, a file or a run folder
    datasets : with forces

    Raises
    ------
    UsageError, InputError, StorageError
        if the model or a dataset cannot be used, or they come from different mappings
    """
    potential, metadata = load_model(model)
    entries = read_datasets(datasets)
    for key, frames in entries.items():
        try:
            check_mapping(metadata, frames.system)
        except InputError as error:
            raise InputError(f"{key}: {error}")
    return force_errors(potential, entries)


def as_table(rows: list[ErrorRow]) -> str:
    """Columns for people; every error stands beside the noise floor of its labels."""
    title = "mean force [kcal/mol/Å]"
    lines = [f"{title:<32} {'RMSE':>8} {'MAE':>8} {'noise':>8} {'signal':>8}"]
    for row in rows:
        name = f"{row.group} {row.name}".strip()
        floor = "-" if math.isnan(row.noise_floor) else f"{row.noise_floor:.3f}"
        lines.append(f"{name:<32} {row.rmse:8.3f} {row.mae:8.3f} {floor:>8} {row.signal:8.3f}")
    if any(math.isnan(row.noise_floor) for row in rows):
        lines.append("noise floor unknown: the labels carry no standard error (instantaneous forces?)")
    return "\n".join(lines)


def as_csv(rows: list[ErrorRow]) -> str:
    """The same with full precision, units in the header."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_HEADER)
    writer.writerows(rows)
    return stream.getvalue()
