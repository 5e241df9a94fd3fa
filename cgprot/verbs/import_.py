"""`cgprot import`: weights of other programs."""

from pathlib import Path

from cgprot.verbs.options import add_output, add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "import", run, "a TensorNet of TorchMD-Net as a model of cgprot")
    parser.add_argument("checkpoint", type=Path, help="TorchMD-Net's .ckpt file")
    add_output(parser, "new .safetensors file")
    parser.add_argument("--mapping", default="heavy", help="what made the beads it was trained on")
    parser.add_argument(
        "--layout",
        choices=["old", "new"],
        help="old: written by a version with features [N, C, 3, 3] (default: by the signs of the file)",
    )


def run(options) -> None:
    """Handle the options."""
    from cgprot.files.folder import check_new_file
    from cgprot.interop.torchmdnet import import_model
    from cgprot.mapping.rules import load_rules

    rules = load_rules(options.mapping)
    output = check_new_file(options.output, ".safetensors")
    checkpoint = import_model(options.checkpoint, output, rules, options.layout)
    config = checkpoint.potential.config
    print(
        f"{output}: TensorNet, {config.layers} layers, {config.channels} channels, cutoff "
        f"{config.cutoff:g} Å, {checkpoint.layout} layout; beads of mapping {rules.name}; "
        "energies taken as kcal/mol"
    )
