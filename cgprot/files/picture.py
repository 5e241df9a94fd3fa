"""One plot as a PNG that is small enough to stand alone on a phone."""

import io
from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure

_DPI = 170


def png(draw: Callable[[Axes], None], size: tuple[float, float] = (4.6, 3.2)) -> bytes:
    """What `draw` puts on its axes; `size` in inches. Equal plots are equal bytes."""
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=_DPI, metadata={"Software": None})
    return stream.getvalue()
