"""`cgprot refine`: everything is refused before a folder is there."""

from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from cgprot.errors import InputError, StorageError, UsageError
from cgprot.files.folder import RUN_FILE, amend_run, check_new, create_folder, read_run, sha256_of, write_run
from cgprot.files.lock import locked
from cgprot.model.checkpoint import check_mapping, load_model
from cgprot.model.committee import load_committee
from cgprot.model.potential import check_types
from cgprot.refine.config import RefineConfig
from cgprot.refine.proteins import Protein, prepare_proteins, refuse_held_out, save_proteins, saved_proteins
from cgprot.refine.retrain import model_of, trained_run, with_rate
from cgprot.refine.rounds import refine_to_end
from cgprot.simulate.spread import processes
from cgprot.train.config import recorded_config
from cgprot.train.record import check_unchanged


def refine(
    run: Path, structures: Sequence[Path], sequences: Sequence[str], config: RefineConfig, output: Path
) -> None:
    """Refine the model of a training run, or of a refinement, on more proteins.

    Parameters
    ----------
    structures, sequences : of proteins; none of the run's validation data
    output : new folder

    Raises
    ------
    UsageError, InputError, StorageError
        if anything given cannot be used; `output` is not created then
    """
    check_new(output)
    refined, run = run, trained_run(run).resolve()
    learnt = recorded_config(run)
    load_committee(run)
    check_unchanged(learnt, run)
    config = with_rate(config, refined)
    proteins = prepare_proteins(structures, sequences, config)
    _refuse_unfit(proteins, model_of(run))
    refuse_held_out(proteins, learnt)
    create_folder(output)
    with locked(output):
        save_proteins(output, proteins)
        names = [protein.name for protein in proteins]
        # The last of them: a folder with it can be resumed.
        inputs = [*structures, model_of(run)]
        write_run(output, "refine", config.model_dump(), inputs, run=str(run), proteins=names)
        _to_end(output, run, names, config)


def resume_refine(output: Path) -> None:
    """Go on with a refinement; one that is done is left as it is.

    Raises
    ------
    UsageError
        if `output` is no refinement
    StorageError
        if its record is damaged, or another process runs in it
    InputError
        if the model that it began from has changed since
    """
    record = read_run(output, "refine")
    try:
        run, names = Path(record["run"]), list(record["proteins"])
        config = RefineConfig(**record["config"])
        expected = record["inputs"][str(model_of(run))]
    except (ValidationError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise StorageError(f"{output / RUN_FILE}: damaged ({reason}): restore it from a copy")
    if sha256_of(model_of(run)) != expected:
        raise InputError(f"{model_of(run)}: has changed since {output} was begun: restore it, or begin anew")
    config = with_rate(config, run)  # of a folder that was begun when the rate was not recorded
    with locked(output):
        _to_end(output, run, names, config)


def _to_end(output: Path, run: Path, names: Sequence[str], config: RefineConfig) -> None:
    # Read back in any case: the coordinates of a PDB are rounded, and a resumed run has only those.
    trained = refine_to_end(output, run, saved_proteins(output, names), config)
    inside = trained.is_relative_to(output)
    amend_run(output, trained=str(trained.relative_to(output) if inside else trained))


def _refuse_unfit(proteins: Sequence[Protein], model: Path) -> None:
    potential, metadata = load_model(model)
    for protein in proteins:
        try:
            check_mapping(metadata, protein.start.system)
            check_types(protein.start.system.bead_type, potential.config)
        except InputError as error:
            raise InputError(f"{protein.name}: {error}")
    if potential.config.spin or processes() > 1:
        what = "a model that takes a spin" if potential.config.spin else "torchrun"
        raise UsageError(f"refine cannot go with {what}: leave that out")
