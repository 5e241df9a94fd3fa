"""`cgprot export`: weights for other programs, and for the engine alone."""

from pathlib import Path

from cgprot.errors import UsageError
from cgprot.verbs.options import add_output, add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(
        verbs, "export", run, "a model of cgprot as a checkpoint of TorchMD-Net, or as a file of the engine"
    )
    parser.add_argument("model", help="name of a shipped model, a file or a run folder")
    parser.add_argument(
        "--to",
        choices=["torchmd-net", "engine"],
        default="torchmd-net",
        help="default torchmd-net; engine: tables that cgprot simulate starts from at once",
    )
    parser.add_argument(
        "--structure",
        type=Path,
        help="with --to engine: PDB or mmCIF file or run, on which the error is measured",
    )
    add_output(parser, "new .ckpt file, or .safetensors with --to engine")


def run(options) -> None:
    """Handle the options."""
    if options.to == "engine":
        _to_engine(options)
        return
    from cgprot.files.folder import check_new_file
    from cgprot.interop.torchmdnet import export_model

    if options.structure is not None:
        raise UsageError("--structure goes with --to engine only")
    output = check_new_file(options.output, ".ckpt")
    export_model(options.model, output)
    print(f"{output}: load it with torchmdnet.models.model.load_model")


def _to_engine(options) -> None:
    from cgprot.files.folder import check_new_file
    from cgprot.model.checkpoint import check_mapping, load_model
    from cgprot.simulate.forces import export_engine
    from cgprot.simulate.start import load_start

    if options.structure is None:
        raise UsageError("--to engine measures its error on beads: give --structure FILE")
    output = check_new_file(options.output, ".safetensors")
    _, metadata = load_model(options.model)
    start = load_start(options.structure, metadata["mapping"])
    check_mapping(metadata, start.system)
    errors = export_engine(
        options.model, start.positions, start.system.bead_type, start.system.charge, output
    )
    measured = ", ".join(f"{name} {error:.1e}" for name, error in errors.items())
    print(f"{output}: largest errors {measured} (kcal/mol, Å); run it with: cgprot simulate --model {output}")
