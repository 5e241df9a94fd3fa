"""Files against the hashes that were recorded when they were written or read."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError, safe_open

from cgprot.errors import CgprotError, InputError, StorageError, UsageError
from cgprot.files.dcd import check_dcd
from cgprot.files.folder import RUN_FILE, read_run, sha256_of
from cgprot.files.growing import check_body
from cgprot.model.checkpoint import METADATA_KEY, load_tensors, model_path
from cgprot.simulate.record import SYSTEM_PSF
from cgprot.simulate.restraints import RESTRAINTS_FILE
from cgprot.simulate.state import CHECKPOINT, STATE_KEY, load_checkpoint


class Checked(NamedTuple):
    """A file, and what is wrong with it; empty if it is as it was."""

    path: Path
    wrong: str = ""


def verify(path: Path) -> Iterator[Checked]:
    """Every file below `path` that carries or is named by a hash, one after the other.

    Weights and checkpoints carry their own. run.json names what a run read; the checkpoint of a simulation
    tells how far its trajectories and tables reach, the CRC-32 of what was added to them, and the hash of its
    beads.

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
    found: Checked | None = None
    for file in files:
        looks = _own if file.suffix == ".safetensors" else _inputs if file.name == RUN_FILE else None
        for found in looks(file) if looks else ():
            yield found
    if not found:
        raise UsageError(f"{path}: nothing here has a hash: give weights or the folder of a run")


def _found(path: Path, check: Callable[[], object]) -> Checked:
    try:
        check()
    except CgprotError as error:
        return _wrong(path, error)
    return Checked(path)


def _wrong(path: Path, error: CgprotError) -> Checked:
    return Checked(path, str(error).removeprefix(f"{path}: "))


def _own(file: Path) -> Iterator[Checked]:
    """Weights or a checkpoint against the hash inside, and what a simulation's newest one counts on.

    Tensors of other programs have no hash, and are passed over.
    """
    try:
        with safe_open(str(file), framework="numpy") as stream:
            kinds = (stream.metadata() or {}).keys() & {METADATA_KEY, STATE_KEY}
    except (OSError, SafetensorError) as error:
        yield Checked(file, f"could not be read ({error}): restore it from a copy")
        return
    if not kinds:
        return
    if STATE_KEY in kinds:
        yield from _simulation(file)
    else:
        yield _found(file, partial(load_tensors, file))


def _simulation(file: Path) -> Iterator[Checked]:
    """A checkpoint, and of the newest one the files that it counts on."""
    try:
        checkpoint = load_checkpoint(file)
    except StorageError as error:
        yield _wrong(file, error)
        return
    yield Checked(file)
    if file.name != CHECKPOINT:
        return
    for name, mark in checkpoint.files.items():
        grown = file.with_name(name)
        frames = _found(grown, partial(check_dcd, grown, mark)) if name.endswith(".dcd") else Checked(grown)
        yield frames if frames.wrong else _found(grown, partial(check_body, grown, mark))
    yield _hashed(file.with_name(SYSTEM_PSF), checkpoint.system_sha256)


def _inputs(file: Path) -> Iterator[Checked]:
    """What run.json says that the run read."""
    record: dict = {}
    found = _found(file, lambda: record.update(read_run(file.parent)))
    if found.wrong:
        yield found
        return
    for name, sha256 in _entries(record.get("inputs")):
        # A relative path may count from where the run was started, from here, or from the run's folder.
        places = [place for place in (Path(name), file.parent / name) if place.is_file()] or [Path(name)]
        yield min((_hashed(place, sha256) for place in places), key=lambda each: bool(each.wrong))
    model, restraints = record.get("model"), record.get("restraints")
    if isinstance(model, dict) and {"name", "sha256"} <= model.keys():
        yield _found(Path(model["name"]), lambda: _same(model_path(model["name"]), model["sha256"]))
    if isinstance(restraints, dict) and "sha256" in restraints:
        yield _hashed(file.with_name(RESTRAINTS_FILE), restraints["sha256"])


def _entries(inputs: object) -> list[tuple[str, str]]:
    return list(inputs.items()) if isinstance(inputs, dict) else []


def _hashed(path: Path, sha256: str) -> Checked:
    return _found(path, lambda: _same(path, sha256))


def _same(path: Path, sha256: str) -> None:
    if sha256_of(path) != sha256:
        raise InputError(f"{path}: has changed since its hash was taken: restore it from a copy")
