"""What is written down of every round: rounds.csv, and why each frame was picked."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cgprot.errors import StorageError
from cgprot.files.folder import csv_text, write_text
from cgprot.refine.candidates import Candidates
from cgprot.refine.labels import LABELLED, Outcome

ROUNDS_FILE = "rounds.csv"
PICKED_FILE = "picked.csv"


class Round(NamedTuple):
    """A line of rounds.csv; what is not known is NaN.

    `first_trip_ps` is by temperature, where no replica tripped the time that they all reached; `before` is
    the model that simulated, `after` the one that was then trained; the forces of the new frames are measured
    by the former before it has seen them.
    """

    round: int
    simulated_ps: float
    replicas: int
    trips: int
    broken_bonds: int
    unminimised_starts: int
    picked: int
    labelled: int
    refused: int
    new_rmse_before_kcal_mol_A: float
    new_rmse_after_kcal_mol_A: float
    new_noise_floor_kcal_mol_A: float
    new_signal_kcal_mol_A: float
    validation_rmse_before_kcal_mol_A: float
    validation_rmse_after_kcal_mol_A: float
    first_trip_ps: str  # "300 K: 1.25; 400 K: none in 20"


def write_rounds(folder: Path, rounds: Sequence[Round]) -> None:
    """Write rounds.csv whole."""
    rows = [[f"{v:.6g}" if isinstance(v, float) else v for v in one] for one in rounds]
    write_text(folder / ROUNDS_FILE, csv_text(Round._fields, rows))


def read_rounds(folder: Path) -> list[Round]:
    """The rounds that are done.

    Raises
    ------
    StorageError
        if the file is damaged
    """
    path = folder / ROUNDS_FILE
    if not path.is_file():
        return []
    kinds = Round.__annotations__
    with open(path, newline="") as stream:
        rows = list(csv.DictReader(stream))
    try:
        return [Round(**{name: kinds[name](row[name]) for name in Round._fields}) for row in rows]
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"{path}: damaged ({error}): restore it or begin anew")


_COLUMNS = (
    "protein", "temperature_K", "replica", "time_ps", "reason", "before_trip_ps", "spread_kcal_mol_A",
    "force_kcal_mol_A", "force_beside_usual", "outcome",
)  # fmt: skip


def write_picked(
    path: Path, names: Sequence[str], candidates: Candidates, outcomes: Sequence[Outcome]
) -> None:
    """Every frame that was tried, why, and what became of it."""
    rows = []
    for (index, reason), said in outcomes:
        one, scores = candidates.trajectories[candidates.trajectory[index]], candidates.scores
        numbers = (scores.before_trip[index], scores.spread[index], candidates.largest_force[index])
        known = [f"{v:.6g}" for v in (*numbers, scores.force[index])]
        where = (names[scores.protein[index]], f"{one.temperature:g}", one.replica)
        rows.append([*where, f"{candidates.time[index]:.6g}", reason, *known, said])
    write_text(path, csv_text(_COLUMNS, rows))


def count_picked(path: Path) -> tuple[int, int]:
    """Of picked.csv: frames labelled, and frames refused."""
    with open(path, newline="") as stream:
        outcomes = [row["outcome"] for row in csv.DictReader(stream)]
    labelled = outcomes.count(LABELLED)
    return labelled, len(outcomes) - labelled
