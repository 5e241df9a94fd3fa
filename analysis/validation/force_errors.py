"""Errors of the mean force on proteins that the model has not seen, beside the noise floor of the labels."""

import csv
import shutil
from pathlib import Path

from runs import Task

from cgprot.files.folder import RUN_FILE, read_run, sha256_of
from cgprot.model.checkpoint import model_path
from cgprot.train.table import ERRORS_FILE, evaluate, write_report

FOLDER = "errors"
_NUMBERS = ("rmse", "mae", "noise_floor", "signal", "mean_force_rmse", "explained")


def measure(task: Task) -> dict:
    """Rows of the table of `cgprot evaluate`, and which proteins have no labels yet."""
    names = [name for name in task.scale.errors if _labels(task, name).is_file()]
    missing = [name for name in task.scale.errors if name not in names]
    if not names:
        return {"missing": missing, "proteins": [], "rows": [], "statement": []}
    folder, datasets = task.folder / FOLDER, [_labels(task, name) for name in names]
    if not _is_done(folder, datasets, model_path(task.model)):
        report = evaluate(task.model, datasets)
        shutil.rmtree(folder, ignore_errors=True)
        write_report(report, folder, task.model, datasets)
    return {
        "missing": missing,
        "proteins": names,
        "rows": _rows(folder / ERRORS_FILE),
        "statement": read_run(folder)["statement"],
        "figures": sorted(f"{FOLDER}/{path.name}" for path in folder.glob("*.png")),
    }


def _labels(task: Task, name: str) -> Path:
    return task.references / "labels" / f"{name}.h5"


def _is_done(folder: Path, datasets: list[Path], model: Path) -> bool:
    if not (folder / RUN_FILE).is_file():
        return False
    run = read_run(folder)
    same = run["inputs"] == {str(path): sha256_of(path) for path in datasets}
    return (
        same
        and (folder / ERRORS_FILE).is_file()
        and model.stat().st_mtime < (folder / RUN_FILE).stat().st_mtime
    )


def _rows(path: Path) -> list[dict]:
    with open(path, newline="") as stream:
        table = list(csv.DictReader(stream))
    named = [{key.removesuffix("_kcal_mol_A"): value for key, value in row.items()} for row in table]
    texts = ("group", "name")
    return [
        {key: value if key in texts else float(value) for key, value in row.items()}
        for row in named
        if row["group"] != "entry"
    ]
