"""`cgprot evaluate`: the errors of a model on datasets, as a table, in words, as CSV and as figures."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cgprot.errors import InputError
from cgprot.files.folder import create_folder, csv_text, write_bytes, write_run, write_text
from cgprot.model.checkpoint import check_mapping, load_model
from cgprot.model.committee import committee_paths, load_committee
from cgprot.model.potential import Potential
from cgprot.train.batches import read_datasets
from cgprot.train.evaluate import ErrorRow, Evaluation, measure
from cgprot.train.spread import SpreadQuality, spread_quality

ERRORS_FILE = "errors.csv"
_FORCE = "_kcal_mol_A"
_HEADER = ["group", "name", "components", *(name + _FORCE for name in ErrorRow._fields[3:10])]
_HEADER += ErrorRow._fields[10:]
_MOST_PRINTED = 30


class Report(NamedTuple):
    """What `cgprot evaluate` found."""

    evaluation: Evaluation
    size: int  # of the committee, 1 of a single model
    quality: SpreadQuality | None  # of a committee


def evaluate(model: str, datasets: list[Path]) -> Report:
    """Force errors in all, by protein, temperature, residue, bead type and trajectory.

    Parameters
    ----------
    model : name of a shipped model, a file, a run folder or a committee's folder
    datasets : with forces

    Raises
    ------
    UsageError, InputError, StorageError
        if the model or a dataset cannot be used, or they come from different mappings
    """
    members = load_committee(model)
    metadata = load_model(next(iter(committee_paths(model)), Path(model)))[1]
    entries = read_datasets(datasets)
    for key, frames in entries.items():
        try:
            check_mapping(metadata, frames.system)
        except InputError as error:
            raise InputError(f"{key}: {error}")
    return report(members, measure(members, entries))


def report(members: Sequence[Potential], evaluation: Evaluation) -> Report:
    """The evaluation, with what a committee's spread tells."""
    if len(members) == 1:
        return Report(evaluation, 1, None)
    quality = spread_quality(evaluation.spread, evaluation.square, evaluation.beads)
    return Report(evaluation, len(members), quality)


def write_report(report: Report, folder: Path, model: str, datasets: list[Path]) -> None:
    """A new folder with run.json, errors.csv and figures."""
    from cgprot.train.figures import figures  # matplotlib, not needed for a table

    drawn = figures(report.evaluation, report.quality)
    create_folder(folder)
    found: dict[str, object] = {"statement": in_words(report)}
    if report.quality is not None:
        found["committee"] = report.quality._asdict() | {"size": report.size}
    write_run(
        folder,
        "evaluate",
        {"model": str(model), "datasets": [str(path) for path in datasets]},
        datasets,
        **found,
    )
    write_text(folder / ERRORS_FILE, as_csv(report.evaluation.rows))
    for name, png in drawn.items():
        write_bytes(folder / name, png)


def in_words(report: Report) -> list[str]:
    """What the numbers say, one sentence a line."""
    row, evaluation = report.evaluation.rows[0], report.evaluation
    said = [_explained_in_words(row)]
    if math.isnan(row.noise_floor):
        said += ["noise floor unknown: the labels carry no standard error (instantaneous forces?)"]
    elif row.mean_force_rmse == 0:
        said += [
            f"error of the mean force: lost in the noise{_below(row.mean_force_rmse_high)}; is this "
            "the training data, or is their noise overstated?"
        ]
    else:
        low, high = row.mean_force_rmse_low, row.mean_force_rmse_high
        said += [f"error of the mean force: {row.mean_force_rmse:.3g} kcal/mol/Å{_between(low, high, '.3g')}"]
    said += [f"intervals: 95 %, from {evaluation.n_blocks} blocks of the {evaluation.n_frames} frames"]
    return said + (_committee_in_words(report) if report.quality else [])


def _explained_in_words(row: ErrorRow) -> str:
    if math.isnan(row.explained):
        return "signal explained: unknown, the labels are no larger than their noise"
    if row.explained <= 0:
        return (
            f"worse than no forces at all: RMSE {row.rmse:.3g} beside a signal of {row.signal:.3g} kcal/mol/Å"
        )
    if row.mean_force_rmse > 0:
        return f"signal explained: {_percent(row)} of the mean square of the forces"
    if math.isnan(row.noise_floor):
        return f"signal explained: at least {_percent(row)} of the mean square of the forces"
    if row.explained_low < 1:
        return f"signal explained: at least {100 * row.explained_low:.3f} % of the mean square of the forces"
    return "signal explained: what is left is below the noise of these labels"


def _percent(row: ErrorRow) -> str:
    digits = 3 if row.explained > 0.99 else 1
    limits = _between(100 * row.explained_low, 100 * row.explained_high, f".{digits}f")
    return f"{100 * row.explained:.{digits}f} %{limits}"


def _between(low: float, high: float, form: str) -> str:
    return "" if math.isnan(low) else f" ({low:{form}} to {high:{form}})"


def _below(limit: float) -> str:
    return f", below {limit:.3g} kcal/mol/Å" if limit > 0 else ""


def _committee_in_words(report: Report) -> list[str]:
    quality, row = report.quality, report.evaluation.rows[0]
    assert quality is not None
    noise = ", noise included" if math.isnan(row.noise_floor) else ""
    between = _between(quality.auroc_frames_low, quality.auroc_frames_high, ".2f")
    return [
        f"committee of {report.size}: spread {quality.rms_spread:.3g}, error of its mean force "
        f"{quality.rms_error:.3g} kcal/mol/Å{noise}",
        "AUROC of the spread against the true error, worst tenth against the rest: "
        f"frames {quality.auroc_frames:.2f}{between}, beads {quality.auroc_beads:.2f}",
    ]


def as_table(rows: Sequence[ErrorRow]) -> str:
    """Columns for people; every error stands beside the noise floor of its labels."""
    title = "forces [kcal/mol/Å]"
    lines = [
        f"{title:<32} {'RMSE':>8} {'MAE':>8} {'noise':>8} {'RMSE-noise':>10} {'signal':>8} {'explained':>9}"
    ]
    printed = [row for row in rows if row.group != "entry"]
    for row in printed:
        if len([other for other in printed if other.group == row.group]) <= _MOST_PRINTED:
            lines.append(_line(row))
    return "\n".join(lines)


def _line(row: ErrorRow) -> str:
    name = f"{row.group} {row.name}".strip()
    floor = "-" if math.isnan(row.noise_floor) else f"{row.noise_floor:.3f}"
    own = "-" if math.isnan(row.mean_force_rmse) else f"{row.mean_force_rmse:.3f}"
    if row.mean_force_rmse == 0:
        own = f"<{row.mean_force_rmse_high:.3f}" if row.mean_force_rmse_high > 0 else "?"
    part = _part(row)
    return f"{name:<32} {row.rmse:8.3f} {row.mae:8.3f} {floor:>8} {own:>10} {row.signal:8.3f} {part:>9}"


def _part(row: ErrorRow) -> str:
    """The signal explained; where the error is lost in the noise, the lower end of its interval."""
    if math.isnan(row.explained):
        return "?"
    if row.explained <= 0:
        return "none"
    if row.mean_force_rmse > 0:
        return f"{100 * row.explained:.2f} %"
    bound = row.explained if math.isnan(row.noise_floor) else row.explained_low
    return f"≥{100 * bound:.2f} %" if bound < 1 else "?"


def as_csv(rows: Sequence[ErrorRow]) -> str:
    """The same with full precision and intervals, units in the header."""
    return csv_text(_HEADER, rows)
