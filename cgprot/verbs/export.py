"""`cgprot export`: weights for other programs."""

from cgprot.verbs.options import add_output, add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "export", run, "a model of cgprot as a checkpoint of TorchMD-Net")
    parser.add_argument("model", help="name of a shipped model, a file or a run folder")
    add_output(parser, "new .ckpt file")


def run(options) -> None:
    """Handle the options."""
    from cgprot.files.folder import check_new_file
    from cgprot.interop.torchmdnet import export_model

    output = check_new_file(options.output, ".ckpt")
    export_model(options.model, output)
    print(f"{output}: load it with torchmdnet.models.model.load_model")
