"""Figures of several panels, and the colours that all figures share."""

from functools import partial
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cgprot.files.folder import write_whole

OURS, HOTTER, ALL_ATOM, CHANCE = "#0072B2", "#D55E00", "0.25", "0.75"
SMALL = {"frameon": False, "fontsize": "small", "handlelength": 1.4}


def panels(rows: int, columns: int, size: tuple[float, float], **look) -> tuple[Figure, np.ndarray]:
    """A figure with `rows` x `columns` axes of `size` inches each, all in a row."""
    figure = Figure(figsize=(columns * size[0], rows * size[1]), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **look)
    for each in axes.flat:
        each.spines[["top", "right"]].set_visible(False)
    return figure, axes.ravel()


def save(figure: Figure, path: Path) -> str:
    """Write a PNG; returns its name."""
    write_whole(path, partial(figure.savefig, format="png", dpi=150, metadata={"Software": None}))
    return path.name


def surface(axes: Axes, energy: np.ndarray, edges: tuple[np.ndarray, np.ndarray], highest: float):
    """A free energy surface, first coordinate to the right; white where nothing was seen."""
    image = axes.pcolormesh(*edges, np.ma.masked_invalid(energy.T), vmin=0.0, vmax=highest, cmap="viridis")
    axes.set_facecolor("white")
    return image
