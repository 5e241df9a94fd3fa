"""`cgprot simulate`: a structure and a model by name become a run folder."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, Field, ValidationError

from cgprot.errors import InputError, StorageError
from cgprot.files.folder import RUN_FILE, check_new, read_run, sha256_of
from cgprot.files.psf import read_psf
from cgprot.model.checkpoint import available_models, check_mapping, load_model, model_path
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.forces import Engine, choose_forces, recorded_forces
from cgprot.simulate.run import resume, simulate
from cgprot.simulate.start import load_start


class _Model(BaseModel):
    name: str
    sha256: str


class _Network(BaseModel):
    name: Literal["network"]


class _Compressed(BaseModel):
    name: Literal["compressed"]
    intervals: int


class _Recorded(BaseModel):
    """What of a simulation's run.json is needed to go on."""

    model: _Model
    engine: _Network | _Compressed = Field(discriminator="name")
    config: SimulateConfig


def start_run(structure: Path, model: str, config: SimulateConfig, output: Path, engine: Engine) -> None:
    """Simulate a structure file with a model; everything is refused before `output` is created."""
    check_new(output)
    potential, metadata = load_model(model)
    start = load_start(structure, metadata["mapping"])
    check_mapping(metadata, start.system)
    file = model_path(model)
    forces, engine_record = choose_forces(
        engine,
        potential,
        start.system.bead_type,
        start.system.charge,
        start.positions,
        config.replicas,
        start.system.bonds,
    )
    # A path is kept whole, so that the run can be resumed from another working directory.
    name = model if model in available_models() else str(file.resolve())
    record = {
        "structure": str(structure),
        "model": {"name": name, "sha256": sha256_of(file)},
        "engine": engine_record,
    }
    simulate(start, forces, config, output, record, [structure, file])


def resume_run(folder: Path, time_ps: float | None) -> None:
    """Go on with a run, with the very weights it began with.

    Raises
    ------
    UsageError
        if `folder` is no simulation
    InputError
        if the model's file has changed since
    StorageError
        if `folder` or its run.json is damaged
    """
    run = _recorded(folder)
    file = model_path(run.model.name)
    if sha256_of(file) != run.model.sha256:
        raise InputError(
            f"{file}: not the weights that {folder} began with: bring those back or start a new run"
        )
    potential, metadata = load_model(run.model.name)
    system = read_psf(folder / "system.psf")
    check_mapping(metadata, system)
    forces = recorded_forces(
        run.engine.model_dump(),
        potential,
        system.bead_type,
        system.charge,
        run.config.replicas,
        system.bonds,
    )
    resume(folder, forces, time_ps)


def _recorded(folder: Path) -> _Recorded:
    try:
        return _Recorded.model_validate(read_run(folder, "simulate"))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise StorageError(f"{folder / RUN_FILE}: {key}: {first['msg']}: restore it from a copy")
