"""The figures of a report, each a PNG that is small enough to stand alone on a phone."""

from functools import partial

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from cgprot.analyse.compare import BINS, pooled_map
from cgprot.analyse.measure import Ensemble
from cgprot.analyse.structure import BROKEN_STRETCH
from cgprot.files.picture import png
from cgprot.units import PS_PER_NS

# Okabe and Ito's colours, told apart by the colour-blind; black is kept for means and limits.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_STYLE = ("-", "--", "-.", ":")
_MOST_NAMED_REPLICAS = 4
_MOST_POINTS = 300  # in a line; more is a blot
_FEWEST_FOR_DENSITY = 3000
_WIDEST_DEVIATION = 0.6  # Å
_ROOM_FOR_LEGEND = 4  # times the margin below the lowest value
_SMALL_LEGEND: dict = {"frameon": False, "fontsize": "small", "columnspacing": 1.0, "handlelength": 1.4}
_BESIDE_LINE: dict = {"rotation": 90, "ha": "right", "va": "top", "fontsize": "small"}


def figures(ensembles: list[Ensemble]) -> dict[str, dict[str, bytes]]:
    """Section -> file name -> PNG, for all sources together.

    Parameters
    ----------
    ensembles : runs first, references after them
    """
    return {
        "rmsd": _time_panels(ensembles, "backbone_rmsd", "backbone RMSD [Å]"),
        "gyration": _time_panels(ensembles, "radius_of_gyration", "radius of gyration [Å]"),
        "contacts": _time_panels(ensembles, "contacts", "native contacts Q"),
        "fluctuation": {"rmsf.png": png(lambda axes: _draw_fluctuation(axes, ensembles))},
        "ramachandran": _ramachandran_panels(ensembles),
        "bonds": {"bond_deviation.png": png(lambda axes: _draw_bonds(axes, ensembles))},
    }


def _time_panels(ensembles: list[Ensemble], quantity: str, label: str) -> dict[str, bytes]:
    """One panel for each source, all with the same vertical axis."""
    limits = _limits([ensemble.pooled(quantity) for ensemble in ensembles])
    look = {"ylabel": label, "ylim": limits}
    return {
        f"{quantity}_{number + 1}.png": png(
            partial(_draw_replicas, ensemble, quantity, _colour(number), look)
        )
        for number, ensemble in enumerate(ensembles)
    }


def _limits(values: list[np.ndarray]) -> tuple[float, float]:
    finite = np.concatenate(values)
    finite = finite[np.isfinite(finite)]
    if len(finite) == 0:
        return 0.0, 1.0
    margin = 0.05 * float(np.ptp(finite)) or 0.1
    return max(0.0, float(finite.min()) - margin), float(finite.max()) + _ROOM_FOR_LEGEND * margin


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _title(ensemble: Ensemble) -> str:
    name = ensemble.name if len(ensemble.name) <= 36 else ensemble.name[:35] + "…"
    return f"{name} (reference)" if ensemble.is_reference else name


def _draw_replicas(ensemble: Ensemble, quantity: str, colour: str, look: dict, axes: Axes) -> None:
    times = [replica.frames.time for replica in ensemble.replicas]
    values = [getattr(replica, quantity) for replica in ensemble.replicas]
    in_ns = max(time[-1] for time in times) >= PS_PER_NS
    scale, unit = (PS_PER_NS, "ns") if in_ns else (1.0, "ps")
    named = 1 < len(values) <= _MOST_NAMED_REPLICAS
    crowded = len(values) > _MOST_NAMED_REPLICAS
    for index, (time, value) in enumerate(zip(times, values, strict=True)):
        line = _draw_series(axes, time / scale, value, _colour(index) if named else colour)
        line.set(label=f"replica {index}" if named else "", alpha=0.4 if crowded else 0.9)
    if crowded and all(np.array_equal(time, times[0]) for time in times):
        mean = _draw_series(axes, times[0] / scale, np.mean(values, axis=0), "black", band=False)
        mean.set(label="mean of replicas", linewidth=1.3)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(loc="upper center", ncols=_MOST_NAMED_REPLICAS, **_SMALL_LEGEND)
    axes.set(xlabel=f"time [{unit}]", title=_title(ensemble), **look)


def _draw_series(axes: Axes, time: np.ndarray, value: np.ndarray, colour: str, band: bool = True) -> Line2D:
    """A line; of many frames the means of blocks, with a band from the least to the largest."""
    if len(time) > 2 * _MOST_POINTS:
        time_blocks, blocks = (np.array_split(array, _MOST_POINTS) for array in (time, value))
        if band:
            low, high = [block.min() for block in blocks], [block.max() for block in blocks]
            middle = [block.mean() for block in time_blocks]
            axes.fill_between(middle, low, high, color=colour, alpha=0.12, linewidth=0)
        time, value = (np.array([block.mean() for block in array]) for array in (time_blocks, blocks))
    return axes.plot(time, value, "o-" if len(time) == 1 else "-", linewidth=0.9, color=colour)[0]


def _draw_fluctuation(axes: Axes, ensembles: list[Ensemble]) -> None:
    for number, ensemble in enumerate(ensembles):
        mean = ensemble.fluctuation
        residue = np.arange(1, len(mean) + 1)
        line = axes.plot(residue, mean, _STYLE[number % 4], color=_colour(number), markersize=3)[0]
        line.set(label=_title(ensemble), marker="o" if len(mean) < 30 else "")
    axes.set(xlabel="residue, counted from 1", ylabel="RMSF of CA [Å]", ylim=(0.0, None))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(**_SMALL_LEGEND)


def _ramachandran_panels(ensembles: list[Ensemble]) -> dict[str, bytes]:
    """One panel for each source, all with the same colour scale."""
    maps = [pooled_map(ensemble.phi_psi) for ensemble in ensembles]
    shares = [counts / max(counts.sum(), 1.0) for counts in maps]
    dense = [share for share, counts in zip(shares, maps, strict=True) if counts.sum() >= _FEWEST_FOR_DENSITY]
    smallest = min((share[share > 0].min() for share in dense), default=1e-4)
    scale = LogNorm(smallest, max((share.max() for share in dense), default=1.0))
    panels = {}
    for number, ensemble in enumerate(ensembles):
        share = shares[number] if maps[number].sum() >= _FEWEST_FOR_DENSITY else None
        draw = partial(_draw_ramachandran, ensemble, share, scale, _colour(number))
        panels[f"ramachandran_{number + 1}.png"] = png(draw, (4.6, 4.0))
    return panels


def _draw_ramachandran(
    ensemble: Ensemble, share: np.ndarray | None, scale: LogNorm, colour: str, axes: Axes
) -> None:
    """Share of all φ/ψ pairs in each bin; single pairs where there are too few for that."""
    if share is None:
        pairs = np.concatenate([replica.reshape(-1, 2) for replica in ensemble.phi_psi])
        axes.scatter(pairs[:, 0], pairs[:, 1], s=6, color=colour, alpha=0.5, linewidths=0)
    else:
        edges = np.linspace(-180.0, 180.0, BINS + 1)
        image = axes.pcolormesh(edges, edges, np.ma.masked_equal(share.T, 0.0), norm=scale, cmap="viridis")
        axes.figure.colorbar(image, ax=axes, label="share of all pairs in a bin", shrink=0.85)
    ticks = np.arange(-180, 181, 90)
    axes.set(xlabel="φ [°]", ylabel="ψ [°]", title=_title(ensemble), xticks=ticks, yticks=ticks)
    axes.set(xlim=(-180, 180), ylim=(-180, 180), aspect="equal")


def _draw_bonds(axes: Axes, ensembles: list[Ensemble]) -> None:
    edges = np.linspace(-_WIDEST_DEVIATION, _WIDEST_DEVIATION, 121)
    for number, ensemble in enumerate(ensembles):
        deviations = [_finite(replica.bond_deviation) for replica in ensemble.replicas]
        counts = np.sum(
            [np.histogram(each.clip(edges[0], edges[-1]), edges)[0] for each in deviations], axis=0
        )
        share = counts / max(counts.sum(), 1)
        axes.stairs(share, edges, color=_colour(number), linestyle=_STYLE[number % 4], label=_title(ensemble))
    axes.axvline(BROKEN_STRETCH, color="black", linewidth=1, linestyle=":")
    axes.annotate("broken beyond", (BROKEN_STRETCH, 0.97), xycoords=("data", "axes fraction"), **_BESIDE_LINE)
    axes.set(xlabel="bond length less that at the start [Å]", ylabel="share of bonds", yscale="log")
    axes.legend(loc="upper left", **_SMALL_LEGEND)


def _finite(values: np.ndarray) -> np.ndarray:
    return values[np.isfinite(values)]
