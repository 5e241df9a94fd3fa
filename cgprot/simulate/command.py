"""`cgprot simulate`: a structure and a model by name become a run folder."""

import hashlib
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import BaseModel, Field, ValidationError

from cgprot.analyse.chirality import d_residues
from cgprot.beads import BeadFrames
from cgprot.errors import InputError, StorageError, UsageError
from cgprot.files.folder import RUN_FILE, check_new, read_run, sha256_of
from cgprot.files.psf import read_psf
from cgprot.model.checkpoint import available_models, check_mapping, model_path
from cgprot.simulate.beginning import refuse_other_number
from cgprot.simulate.box import cubic_cell, n_chains, place_copies, refuse_overlapping_images
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.forces import (
    Device,
    Engine,
    backend_of,
    check_device,
    choose_forces,
    load,
    recorded_forces,
)
from cgprot.simulate.restraints import RESTRAINTS_FILE, read_restraints, restrained, saved_restraints
from cgprot.simulate.run import resume, simulate
from cgprot.simulate.spread import is_first, share, together
from cgprot.simulate.start import bead_psf, load_frames, load_start, start_from_sequence
from cgprot.simulate.whole import refuse_broken_molecule


class _Model(BaseModel):
    name: str
    sha256: str


class _Network(BaseModel):
    name: Literal["network"]
    device: Device = "cpu"


class _Compressed(BaseModel):
    name: Literal["compressed"]
    device: Device = "cpu"
    intervals: int
    soft: float | None = None
    gpu: dict[str, str] | None = None


class _Restraints(BaseModel):
    sha256: str


class _Recorded(BaseModel):
    """What of a simulation's run.json is needed to go on."""

    model: _Model
    engine: _Network | _Compressed = Field(discriminator="name")
    config: SimulateConfig
    restraints: _Restraints | None = None


class Beginning(NamedTuple):
    """Where a run starts from, and what it is put into.

    Attributes
    ----------
    structure : file, or folder of a simulation; or None and
    sequence : of an extended chain
    frames : file of starting frames, one a replica
    copies : of all chains, placed at random in the box; with a box they are placed even if there is one
    concentration_mM : of chains [mmol/L], which tells the box, a cube
    restraints : TOML file
    """

    structure: Path | None = None
    sequence: str | None = None
    frames: Path | None = None
    copies: int | None = None
    concentration_mM: float | None = None
    restraints: Path | None = None

    @property
    def files(self) -> list[Path]:
        """Those that are read, by their own SHA-256."""
        given = (self.structure, self.frames, self.restraints)
        files = [path for path in given if path is not None and path.is_file()]
        psf = bead_psf(self.structure) if self.structure in files else None
        return files if psf is None else [*files, psf]

    def record(self) -> dict:
        """What run.json says of it."""
        return {name: str(value) for name, value in self._asdict().items() if value is not None}


def start_run(
    beginning: Beginning,
    model: str,
    config: SimulateConfig,
    output: Path,
    engine: Engine,
    device: Device = "cpu",
) -> None:
    """Simulate with a model by name; everything is refused before `output` is created."""
    if is_first():
        check_new(output)
    check_device(engine, device)
    potential, metadata = load(model)
    start = _start(beginning, metadata["mapping"])
    check_mapping(metadata, start.system)
    _say_if_mirrored(start)
    if len(start) > 1 and "replicas" not in config.model_fields_set:
        config = _with(config, replicas=len(start))
    refuse_other_number(start, config)
    start, config = _in_box(start, beginning, config)
    refuse_broken_molecule(start.system, start.positions)  # names its beads, which no model does
    file = model_path(model)
    forces, engine_record = choose_forces(
        engine,
        potential,
        start.system.bead_type,
        start.system.charge,
        start.positions,
        share(config.replicas),
        start.system.bonds,
        config.box_vectors,
        device,
    )
    # A path is kept whole, so that the run can be resumed from another working directory.
    name = model if model in available_models() else str(file.resolve())
    record = {
        "start": beginning.record(),
        "model": {"name": name, "sha256": sha256_of(file)},
        "engine": engine_record,
        "device": device,
    }
    texts: dict[str, str] = {}
    with together(forces, (config.replicas, start.system.n_beads, 3)) as all_forces:
        if all_forces is None:
            return
        if beginning.restraints is not None:
            restraints = read_restraints(beginning.restraints, start)
            all_forces, text = restrained(all_forces, restraints), restraints.text()
            texts[RESTRAINTS_FILE] = text
            record["restraints"] = {"sha256": hashlib.sha256(text.encode()).hexdigest()}
        inputs, backend = [*beginning.files, file], backend_of(engine, device)
        simulate(start, all_forces, config, output, record, inputs, texts, backend)


def _say_if_mirrored(start: BeadFrames) -> None:
    mirrored = ", ".join(d_residues(start.positions[0], start.system))
    if mirrored and is_first():
        print(
            f"cgprot simulate: D amino acids in the start ({mirrored}): no shipped model learnt any, and one "
            "of group O(3) cannot tell them from L",
            file=sys.stderr,
        )


def _start(beginning: Beginning, mapping: str) -> BeadFrames:
    if beginning.structure is not None:
        start = load_start(beginning.structure, mapping)
    else:
        start = start_from_sequence(beginning.sequence or "", mapping)
    if beginning.frames is None:
        return start
    return load_frames(beginning.frames, start, beginning.structure)


def _in_box(
    start: BeadFrames, beginning: Beginning, config: SimulateConfig
) -> tuple[BeadFrames, SimulateConfig]:
    """Copies placed in the box, and the configuration with the box that a concentration gives."""
    copies = beginning.copies or 1
    if beginning.concentration_mM is not None:
        cell = cubic_cell(beginning.concentration_mM, copies * n_chains(start.system))
        config = _with(config, box=cell)
    if config.box is None:
        _refuse_lost_box(beginning)
    if beginning.copies is not None and config.box is not None:
        start = place_copies(start, copies, config.box, config.seeds)
    if config.box is not None:  # before the network sees the many images of a box that is too small
        refuse_overlapping_images(start.system, start.positions, config.box)
    return start, config


def _refuse_lost_box(beginning: Beginning) -> None:
    """Chains of a run in a box meet through its faces, and would be apart without it."""
    for path in (beginning.structure, beginning.frames):
        cell = None if path is None else _cell_of_run(path)
        if cell is not None:
            numbers = " ".join(f"{number:g}" for number in cell)
            raise UsageError(
                f"{path}: its run was in a box: say --box {numbers}, or copy a PDB of its frame elsewhere"
            )


def _cell_of_run(path: Path) -> list[float] | None:
    """Of the simulation whose folder it is or lies in, if it was in a box."""
    try:
        run = read_run(path if path.is_dir() else path.parent, "simulate")
    except (StorageError, UsageError):  # lies in a folder of something else
        return None
    return run.get("config", {}).get("box")


def _with(config: SimulateConfig, **changes: object) -> SimulateConfig:
    return SimulateConfig(**(config.model_dump() | changes))


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
    potential, metadata = load(run.model.name)
    system = read_psf(folder / "system.psf")
    check_mapping(metadata, system)
    forces = recorded_forces(
        run.engine.model_dump(exclude_none=True),
        potential,
        system.bead_type,
        system.charge,
        share(run.config.replicas),
        system.bonds,
        run.config.box_vectors,
    )
    with together(forces, (run.config.replicas, system.n_beads, 3)) as all_forces:
        if all_forces is None:
            return
        if run.restraints is not None:
            all_forces = restrained(all_forces, saved_restraints(folder, run.restraints.sha256))
        resume(folder, all_forces, time_ps, backend_of(run.engine.name, run.engine.device))


def _recorded(folder: Path) -> _Recorded:
    try:
        return _Recorded.model_validate(read_run(folder, "simulate"))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise StorageError(f"{folder / RUN_FILE}: {key}: {first['msg']}: restore it from a copy")
