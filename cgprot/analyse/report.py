"""One folder that says how a simulation went: report.html, results.csv, events.csv, figures/."""

import base64
import json
import sys
from pathlib import Path

from jinja2 import Environment, FileSystemLoader
from tqdm import tqdm

from cgprot import __version__
from cgprot.analyse.compare import BINS
from cgprot.analyse.figures import figures
from cgprot.analyse.measure import Ensemble, Measurement, measure
from cgprot.analyse.tables import (
    all_events,
    divergence_table,
    events_csv,
    headline,
    results_csv,
    verdict,
)
from cgprot.beads import BeadFrames
from cgprot.errors import InputError
from cgprot.files.folder import check_new, create_folder, write_bytes, write_text
from cgprot.files.sources import Source, read_sources

_TEMPLATE = "report.html.j2"
_EVENTS_SHOWN = 10  # of each source


def analyse(runs: list[Path], references: list[Path], output: Path, title: str | None = None) -> None:
    """Read the runs and the references, measure them and write the report folder `output`.

    Raises
    ------
    UsageError
        if `output` exists with something in it; nothing has been read then
    StorageError, InputError
        if a run or a reference cannot be used; nothing has been written then
    """
    check_new(output)
    write_report(
        [source for path in runs for source in read_sources(path)],
        [source for path in references for source in read_sources(path)],
        output,
        title,
    )


def write_report(runs: list, references: list, output: Path, title: str | None = None) -> None:
    """Measure runs and references and write the report folder `output`.

    Parameters
    ----------
    runs, references : Source, or (name, list of BeadFrames) tuples
    output : new folder
    title : of the page; None: made of the names

    Raises
    ------
    UsageError
        if `output` exists with something in it
    InputError
        if there is no run, or a source cannot be measured
    """
    check_new(output)
    ensembles = _measure_all(runs, references)
    panels = figures(ensembles)
    page = _render(ensembles, panels, title)
    tables = {"results.csv": results_csv(ensembles), "events.csv": events_csv(ensembles)}
    _write(create_folder(output), page, tables, panels)


def _measure_all(runs: list, references: list) -> list[Ensemble]:
    if not runs:
        raise InputError("nothing to analyse: give at least one run")
    sources = _distinct([Source(*entry) for entry in (*runs, *references)])
    total = sum(len(source.replicas) for source in sources)
    ensembles = []
    with tqdm(total=total, desc="measuring", unit="replica", disable=not sys.stderr.isatty()) as progress:
        for number, source in enumerate(sources):
            measured = []
            for index, frames in enumerate(source.replicas):
                measured.append(_measured(source.name, index, frames))
                progress.update()
            ensembles.append(Ensemble(source, measured, is_reference=number >= len(runs)))
    return ensembles


def _measured(name: str, index: int, frames: BeadFrames) -> Measurement:
    try:
        return measure(frames)
    except InputError as error:
        raise InputError(f"{name}, replica {index}: {error}")


def _distinct(sources: list[Source]) -> list[Source]:
    """The sources, numbered where a name comes again."""
    seen: dict[str, int] = {}
    renamed = []
    for source in sources:
        if len({frames.system.n_beads for frames in source.replicas}) != 1:
            raise InputError(
                f"{source.name}: no replica, or different proteins in it: give one protein a source"
            )
        count = seen[source.name] = seen.get(source.name, 0) + 1
        renamed.append(source._replace(name=f"{source.name} ({count})") if count > 1 else source)
    return renamed


def _render(ensembles: list[Ensemble], panels: dict[str, dict[str, bytes]], title: str | None) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    runs = [ensemble for ensemble in ensembles if not ensemble.is_reference]
    events = all_events(ensembles)
    by_source = [[event for event in events if event[0] == ensemble.name] for ensemble in ensembles]
    shown = [event for group in by_source for event in group[:_EVENTS_SHOWN]]
    return environment.get_template(_TEMPLATE).render(
        title=title or "Analysis of " + ", ".join(run.name for run in runs),
        version=__version__,
        verdicts=[verdict(run) for run in runs],
        ensembles=ensembles,
        several_molecules=any(replica.n_molecules > 1 for each in ensembles for replica in each.replicas),
        headline=headline(ensembles),
        divergence=divergence_table(ensembles),
        events=shown,
        n_more_events=len(events) - len(shown),
        bins=BINS,
        panels={section: [_inline(png) for png in group.values()] for section, group in panels.items()},
        provenance=[
            (ensemble.name, json.dumps(ensemble.source.provenance, indent=2, ensure_ascii=False))
            for ensemble in ensembles
            if ensemble.source.provenance
        ],
    )


def _inline(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def _write(folder: Path, page: str, tables: dict[str, str], panels: dict[str, dict[str, bytes]]) -> None:
    create_folder(folder / "figures")
    for group in panels.values():
        for name, png in group.items():
            write_bytes(folder / "figures" / name, png)
    for name, text in tables.items():
        write_text(folder / name, text)
    write_text(folder / "report.html", page)
