"""The figures of an evaluation, each a PNG that is small enough to stand alone on a phone."""

from collections.abc import Sequence
from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm

from cgprot.files.picture import png
from cgprot.train.evaluate import ErrorRow, Evaluation
from cgprot.train.spread import SpreadQuality, frame_means, worst

_BLUE, _ORANGE, _GREY = "#0072B2", "#D55E00", "0.55"  # the first two by Okabe and Ito
_MOST_ROWS = 30
_FIGURES = {
    "protein": "proteins.png",
    "temperature": "temperatures.png",
    "residue": "residues.png",
    "bead type": "bead_types.png",
}


def figures(evaluation: Evaluation, quality: SpreadQuality | None) -> dict[str, bytes]:
    """File name -> PNG; one for each group, one of all forces, and one of a committee's spread."""
    drawn = {"forces.png": png(lambda axes: _draw_forces(axes, evaluation), (4.6, 4.0))}
    for group, name in _FIGURES.items():
        rows = [row for row in evaluation.rows if row.group == group]
        height = 1.5 + 0.22 * min(len(rows), _MOST_ROWS)
        drawn[name] = png(partial(_draw_group, rows), (4.6, height))
    if quality is not None:
        drawn["spread.png"] = png(lambda axes: _draw_spread(axes, evaluation, quality), (4.6, 4.0))
    return drawn


def _draw_forces(axes: Axes, evaluation: Evaluation) -> None:
    edges, counts = evaluation.edges, evaluation.counts
    image = axes.pcolormesh(edges, edges, np.ma.masked_equal(counts.T, 0), norm=LogNorm(), cmap="viridis")
    axes.figure.colorbar(image, ax=axes, label="force components in a bin", shrink=0.85)
    axes.plot(edges[[0, -1]], edges[[0, -1]], color="black", linewidth=0.6)
    axes.set(xlabel="label [kcal/mol/Å]", ylabel="model [kcal/mol/Å]", aspect="equal")


def _draw_group(rows: Sequence[ErrorRow], axes: Axes) -> None:
    """Errors beside their noise floor; the bars are 95 % intervals of the error of the mean force.

    Of many rows those with the largest errors are shown.
    """
    if len(rows) > _MOST_ROWS:
        axes.set_title(f"the {_MOST_ROWS} largest of {len(rows)}", fontsize="medium")
        rows = sorted(rows, key=lambda row: -row.rmse)[:_MOST_ROWS]
    place = np.arange(len(rows))[::-1]
    axes.scatter([row.rmse for row in rows], place, color=_GREY, s=16, marker="o", label="RMSE to the labels")
    if not all(np.isnan(row.noise_floor) for row in rows):
        floor = [row.noise_floor for row in rows]
        axes.scatter(floor, place, color=_ORANGE, s=60, marker="|", label="noise floor")
        limits = [row.mean_force_rmse_low for row in rows], [row.mean_force_rmse_high for row in rows]
        axes.hlines(place, *limits, color=_BLUE, linewidth=1.2)
        own = [row.mean_force_rmse for row in rows]
        axes.scatter(own, place, color=_BLUE, s=16, marker="D", label="RMSE to the mean force")
    axes.set_yticks(place, [row.name for row in rows], fontsize="small")
    axes.set(xlabel="force error [kcal/mol/Å]", xlim=(0, None), ylim=(-0.7, len(rows) - 0.3))
    axes.figure.legend(
        loc="outside upper center", ncols=3, frameon=False, fontsize="x-small", handletextpad=0.1
    )


def _draw_spread(axes: Axes, evaluation: Evaluation, quality: SpreadQuality) -> None:
    spread = np.sqrt(frame_means(evaluation.spread**2, evaluation.beads))
    error = np.sqrt(np.maximum(frame_means(evaluation.square, evaluation.beads), 0))
    bad = worst(error)
    for chosen, colour, label in ((~bad, _BLUE, "frames"), (bad, _ORANGE, "worst tenth")):
        axes.scatter(spread[chosen], error[chosen], s=10, color=colour, alpha=0.7, linewidths=0, label=label)
    highest = 1.05 * max(spread.max(), error.max())
    axes.plot([0, highest], [0, highest], color="black", linewidth=0.6)
    axes.set(xlim=(0, highest), ylim=(0, highest), aspect="equal")
    to = "labels" if np.isnan(evaluation.rows[0].noise_floor) else "mean force"
    axes.set(xlabel="spread of the committee [kcal/mol/Å]", ylabel=f"RMSE to the {to} [kcal/mol/Å]")
    axes.set_title(f"AUROC of frames {quality.auroc_frames:.2f}", fontsize="medium")
    axes.legend(frameon=False, fontsize="small")
