"""`cgprot simulate`: a structure and a model by name become a run folder."""

from pathlib import Path

from cgprot.errors import InputError
from cgprot.files.folder import check_new, read_run, sha256_of
from cgprot.model.checkpoint import check_mapping, load_model, model_path
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.forces import forces_from
from cgprot.simulate.run import resume, simulate
from cgprot.simulate.start import load_start


def start_run(structure: Path, model: str, config: SimulateConfig, output: Path) -> None:
    """Simulate a structure file with a model; everything is refused before `output` is created."""
    check_new(output)
    potential, metadata = load_model(model)
    start = load_start(structure, metadata["mapping"])
    check_mapping(metadata, start.system)
    file = model_path(model)
    record = {"structure": str(structure), "model": {"name": model, "sha256": sha256_of(file)}}
    simulate(start, forces_from(potential, start.system.bead_type), config, output, record, [structure, file])


def resume_run(folder: Path, time_ps: float | None) -> None:
    """Go on with a run, with the very weights it began with.

    Raises
    ------
    InputError
        if the model's file has changed since
    """
    from cgprot.files.psf import read_psf

    recorded = read_run(folder).get("model", {})
    potential, metadata = load_model(recorded.get("name", ""))
    file = model_path(recorded["name"])
    if sha256_of(file) != recorded["sha256"]:
        raise InputError(
            f"{file}: not the weights that {folder} began with: bring those back or start a new run"
        )
    system = read_psf(folder / "system.psf")
    check_mapping(metadata, system)
    resume(folder, forces_from(potential, system.bead_type), time_ps)
