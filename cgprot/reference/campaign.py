"""Many mdCATH files -> a folder of datasets that `torchmd-train` reads, side by side."""

from pathlib import Path
from typing import NamedTuple

import h5py

from cgprot.errors import StorageError, UsageError
from cgprot.files.dataset import DatasetWriter
from cgprot.files.mdcath import fingerprint
from cgprot.files.psf import read_psf
from cgprot.files.source_file import write_source
from cgprot.mapping.rules import MappingRules
from cgprot.reference.streams import MapReport, map_mdcath_to, write_beads
from cgprot.reference.workers import progress_bar, report_progress, run_jobs

SOURCE_NAME = "mdcath_noh_source.h5"
DATASET_NAME = "mdcath_noh_dataset"


class MapTask(NamedTuple):
    """One file of a campaign."""

    path: Path
    rules: MappingRules
    output: Path


def map_campaign(
    paths: list[Path], rules: MappingRules, folder: Path, workers: int = 1, scheduler: str | None = None
) -> tuple[MapReport, int]:
    """Map every file into `folder`: mdcath_noh_dataset_{domain}.h5, PSF and PDB, and a source file.

    Files that are done already, with the same input and mapping, are left as they are; the source file
    lists all datasets in the folder, those of earlier calls too.

    Parameters
    ----------
    workers : processes on this machine
    scheduler : address of a dask.distributed scheduler, which then runs the files instead; its
        workers must see the same file system

    Returns
    -------
    what was mapped now, and the number of files that were done already

    Raises
    ------
    UsageError
        if two files are of one domain
    StorageError, InputError
        if a file is damaged or another kind of file; those finished before stay
    """
    domains = [_domain_of(path) for path in paths]
    for path, domain in zip(paths, domains, strict=True):
        if domains.count(domain) > 1:  # both would be written to one file, at once
            raise UsageError(f"{path}: {domain} is given twice: leave out one")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{folder}: could not be created ({error}): choose another -o")
    tasks = [
        MapTask(path, rules, folder / f"{DATASET_NAME}_{domain}.h5")
        for path, domain in zip(paths, domains, strict=True)
    ]
    todo = [task for task in tasks if not is_done(task)]
    with progress_bar("map", len(todo), "files") as bar:
        if scheduler is None:
            reports = run_jobs(map_file, todo, workers, bar)
        else:
            reports = _run_on_cluster(todo, scheduler)
    write_source(folder / SOURCE_NAME, sorted(folder.glob(f"{DATASET_NAME}_*.h5")))
    return _added(reports), len(tasks) - len(todo)


def map_files_to(output: Path, paths: list[Path], rules: MappingRules) -> MapReport:
    """Map mdCATH files into one dataset, the PSF and PDB of its last domain beside it."""
    report = MapReport()
    with DatasetWriter(output) as writer, progress_bar("map", len(paths), "files") as bar:
        for path in paths:
            first, system = map_mdcath_to(writer, path, rules, report)
            bar.update(1)
        write_beads(output, system, first)
    return report


def _domain_of(path: Path) -> str:
    """mdcath_dataset_1abcA00.h5 -> 1abcA00"""
    return Path(path).stem.removeprefix("mdcath_dataset_")


def is_done(task: MapTask) -> bool:
    """Whether the output was made of this very input by this very mapping, and is whole."""
    if not task.output.is_file():
        return False
    try:
        with h5py.File(task.output, "r") as file:
            made_of = [
                (group.attrs["input_fingerprint"], group.attrs["mapping_hash"]) for group in file.values()
            ]
        read_psf(task.output.with_suffix(".psf"))
    except (OSError, KeyError, ValueError):
        return False
    return bool(made_of) and set(made_of) == {(fingerprint(task.path), task.rules.hash)}


def map_file(task: MapTask) -> MapReport:
    """Map one file; its dataset gets its name last."""
    report = MapReport()
    with DatasetWriter(task.output) as writer:
        first, system = map_mdcath_to(writer, task.path, task.rules, report)
        write_beads(task.output, system, first)
    report_progress(1)
    return report


def _run_on_cluster(tasks: list[MapTask], address: str) -> list[MapReport]:
    try:
        from distributed import Client
    except ImportError:
        raise UsageError("--scheduler needs dask.distributed: pip install 'cgprot[cluster]'")
    try:
        client = Client(address, timeout="10s")
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--scheduler {address}: no scheduler answers ({error}): start one with `dask scheduler`"
        )
    with client:
        return client.gather(client.map(map_file, tasks, pure=False))


def _added(reports: list[MapReport]) -> MapReport:
    total = MapReport()
    for report in reports:
        total.n_frames += report.n_frames
        total.n_trajectories += report.n_trajectories
        total.n_beads = report.n_beads
        for name in ("refused", "left_out", "notes"):
            getattr(total, name).update(getattr(report, name))
        total.without_forces += report.without_forces
    return total
