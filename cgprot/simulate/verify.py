"""Files against the hashes that were recorded when they were written or read."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from cgprot.errors import CgprotError, InputError, StorageError, UsageError
from cgprot.files.dcd import check_dcd
from cgprot.files.folder import RUN_FILE, read_run, sha256_of
from cgprot.files.growing import check_tail
from cgprot.model.checkpoint import load_tensors, model_path
from cgprot.simulate.record import SYSTEM_PSF
from cgprot.simulate.state import CHECKPOINT, STATE_KEY, load_checkpoint


class Checked(NamedTuple):
    """A file, and what is wrong with it; empty if it is as it was."""

    path: Path
    wrong: str = ""


def verify(path: Path) -> Iterator[Checked]:
    """Every file below `path` that carries or is named by a hash, one after the other.

    Weights and checkpoints carry their own. run.json names what a run read; the checkpoint of a simulation
    tells how far its trajectories and tables reach, the bytes that they end in, and the hash of its beads.

    Raises
    ------
    StorageError
        if there is no such file or folder
    UsageError
        if nothing there has a hash
    """
    path = Path(path)
    if not path.exists():
        raise StorageError(f"{path}: no such file or folder: check the path")
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    tensors = [file for file in files if file.suffix == ".safetensors"]
    runs = [file for file in files if file.name == RUN_FILE]
    if not runs and not tensors:
        raise UsageError(f"{path}: nothing here has a hash: give weights or the folder of a run")
    for file in tensors:
        yield from _own(file)
    for file in runs:
        yield from _inputs(file)


def _found(path: Path, check: Callable[[], object]) -> Checked:
    try:
        check()
    except CgprotError as error:
        return Checked(path, str(error).removeprefix(f"{path}: "))
    return Checked(path)


def _own(file: Path) -> Iterator[Checked]:
    """Weights or a checkpoint against the hash inside, and what a simulation's newest one counts on."""
    try:
        with safe_open(str(file), framework="numpy") as stream:
            of_simulation = STATE_KEY in (stream.metadata() or {})
    except (OSError, SafetensorError) as error:
        yield Checked(file, f"could not be read ({error}): restore it from a copy")
        return
    found = _found(file, lambda: load_checkpoint(file) if of_simulation else load_tensors(file))
    yield found
    if of_simulation and file.name == CHECKPOINT and not found.wrong:
        yield from _counted_on(file)


def _counted_on(file: Path) -> Iterator[Checked]:
    checkpoint = load_checkpoint(file)
    for name, mark in checkpoint.files.items():
        grown = file.with_name(name)
        if name.endswith(".dcd"):
            found = _found(grown, lambda grown=grown, mark=mark: check_dcd(grown, mark))  # type: ignore[misc]
            if found.wrong:
                yield found
                continue
        yield _found(grown, lambda grown=grown, mark=mark: check_tail(grown, mark))  # type: ignore[misc]
    beads = file.with_name(SYSTEM_PSF)
    yield _found(beads, lambda: _same(beads, checkpoint.system_sha256))


def _inputs(file: Path) -> Iterator[Checked]:
    """What run.json says that the run read; a relative path may count from here or from the run's folder."""
    record = read_run(file.parent)
    for name, sha256 in record.get("inputs", {}).items():
        places = [Path(name), file.parent / name]
        place = next((place for place in places if place.exists()), places[0])
        yield _found(place, lambda place=place, sha256=sha256: _same(place, sha256))  # type: ignore[misc]
    model = record.get("model")
    if isinstance(model, dict) and {"name", "sha256"} <= model.keys():
        yield _found(Path(model["name"]), lambda: _same(model_path(model["name"]), model["sha256"]))


def _same(path: Path, sha256: str) -> None:
    if sha256_of(path) != sha256:
        raise InputError(f"{path}: has changed since its hash was taken: restore it from a copy")
