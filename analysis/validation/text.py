"""Numbers and tables in Markdown; what is not known is a dash."""

import statistics

Rows = list[list[str]]
DAMAGE = ("broken_bonds", "chirality_flips", "cis_flips")


def table(header: list[str], rows: Rows) -> str:
    """Markdown."""
    body = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in body)


def number(value: float | None, digits: int = 2) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def times(values: list[float]) -> str:
    """How long replicas are: "4 × 100 ps", or the range."""
    low, high = min(values), max(values)
    return f"{len(values)} × {low:g} ps" if low == high else f"{len(values)} × {low:g} to {high:g} ps"


def median_of(values: list[float | None]) -> float | None:
    """Of those that are numbers, if there are any."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def median(values: list[float | None]) -> str:
    """The same in words."""
    return number(median_of(values), 3)
