"""Run folders and files that appear whole or not at all."""

import csv
import hashlib
import io
import json
import os
import platform
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from pathlib import Path

from cgprot.errors import StorageError, UsageError

RUN_FILE = "run.json"
_RECORDED_PACKAGES = ("cgprot", "numpy", "torch", "openmm", "MDAnalysis", "mdtraj", "h5py")


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` fill a temporary file, fsync it and rename it to `path`.

    Raises
    ------
    StorageError
        if the disk refuses; `path` is then as it was
    """
    path = Path(path)
    temporary = partial_of(path)
    try:
        write(temporary)
        settle(temporary, path)
    except OSError as error:
        raise StorageError(f"{path}: could not be written ({error}): free space or choose another place")
    finally:
        temporary.unlink(missing_ok=True)  # there only if something went wrong, whatever it was


def partial_of(path: Path) -> Path:
    """Where a file grows until it is whole."""
    return path.with_name(path.name + ".partial")


def settle(temporary: Path, path: Path) -> None:
    """Bring a whole file to the disk, then give it its name, in a way that outlives a power cut."""
    with open(temporary, "rb+") as stream:
        os.fsync(stream.fileno())
    os.replace(temporary, path)
    _sync_folder(path.parent)


def write_text(path: Path, text: str) -> None:
    """Write `text` whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_text(text))


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` whole or not at all."""
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def csv_text(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table as text, lines ended as on Unix."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue()


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def check_new(path: Path) -> Path:
    """Return `path` if nothing is there yet and something may be written there.

    Raises
    ------
    UsageError
        if a file or a folder with something in it is there already
    StorageError
        if the folder that it would be in is a file, or may not be written to
    """
    path = Path(path)
    if os.path.isfile(path):
        raise UsageError(f"{path}: exists already: choose another -o or remove it")
    # Asked before the work, not after hours of it. os.path takes what it may not look at for absent.
    there = next(folder for folder in (path, *path.absolute().parents) if os.path.exists(folder))
    if not there.is_dir():
        raise StorageError(f"{there}: is a file, {path} cannot be in it: choose another -o")
    if not os.access(there, os.R_OK | os.W_OK | os.X_OK):
        raise StorageError(f"{there}: may not be written to: choose another -o or change its permissions")
    if path.is_dir() and any(path.iterdir()):
        raise UsageError(f"{path}: exists already: choose another -o or remove it")
    return path


def check_new_file(path: Path, suffix: str) -> Path:
    """Return `path` if a new file of that suffix can be written there.

    Raises
    ------
    UsageError
        if the suffix is another, or the file is there already
    StorageError
        if its folder does not exist
    """
    path = Path(path)
    if path.suffix != suffix:
        raise UsageError(f"{path}: must end in {suffix}")
    if not path.parent.is_dir():
        raise StorageError(f"{path.parent}: no such folder: create it first")
    return check_new(path)


def check_new_with_beads(path: Path, suffix: str) -> Path:
    """Return `path` if it, and a PSF and a PDB of its name, can be written.

    Raises
    ------
    UsageError, StorageError
        as `check_new_file`, for each of the three
    """
    check_new_file(path, suffix)
    for beside in (".psf", ".pdb"):
        check_new_file(path.with_suffix(beside), beside)
    return path


def create_folder(path: Path) -> Path:
    """Create the new, empty folder `path` with its parents."""
    try:
        check_new(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"{path}: could not be created ({error}): choose another -o")
    return Path(path)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal.

    Raises
    ------
    StorageError
        if it cannot be read
    """
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"{path}: could not be read ({error}): bring it back")


def versions() -> dict[str, str]:
    """Versions of Python, of this platform and of the packages that results depend on."""
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for package in _RECORDED_PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_run(folder: Path, verb: str, config: dict, inputs: list[Path], **more: object) -> None:
    """Write run.json: what was run, with which configuration, versions and input files.

    Parameters
    ----------
    config : JSON-ready dictionary, the whole configuration, seed and device included
    inputs : files that were read; their SHA-256 are recorded
    more : further JSON-ready entries
    """
    record = {
        "verb": verb,
        "config": config,
        "versions": versions(),
        "inputs": {str(path): sha256_of(path) for path in inputs},
        **more,
    }
    write_text(Path(folder) / RUN_FILE, json.dumps(record, indent=2) + "\n")


def amend_run(folder: Path, **entries: object) -> None:
    """Put JSON-ready entries into run.json, in place of those of the same names."""
    record = read_run(folder) | entries
    write_text(Path(folder) / RUN_FILE, json.dumps(record, indent=2) + "\n")


def read_run(folder: Path, verb: str | None = None) -> dict:
    """Read run.json back, that of `verb` if one is given.

    Raises
    ------
    StorageError
        if `folder` is not a run folder
    UsageError
        if another verb wrote it
    """
    path = Path(folder) / RUN_FILE
    try:
        run = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise StorageError(f"{folder}: not a cgprot run folder ({error}): give the folder that -o named")
    if not isinstance(run, dict):
        raise StorageError(f"{path}: not the record of a run: restore it from a copy")
    if verb is not None and run.get("verb") != verb:
        raise UsageError(f"{folder}: is a run of {run.get('verb')}: give a folder that {verb} wrote")
    return run
