"""`cgprot map`: all-atom trajectories to beads."""

from pathlib import Path

from cgprot.verbs.options import add_output, add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "map", run, "all-atom trajectories to a dataset of beads")
    kinds = "topology and trajectories, an mdtraj HDF5 file, or all-atom mdCATH files (.h5)"
    parser.add_argument("input", type=Path, nargs="+", help=kinds)
    add_output(
        parser,
        "new .h5 file, with a hydrogen-free PSF and PDB beside it; for mdCATH files also a folder, "
        "in which a rerun skips what is done; with --check a new .png file",
    )
    parser.add_argument("--mapping", default="heavy", help="name of a shipped mapping or a .toml file")
    parser.add_argument("--name", help="name of the protein in the dataset (default: OUTPUT's)")
    parser.add_argument("--temperature", type=float, metavar="K", help="if `cgprot sample` did not record it")
    parser.add_argument("--check", action="store_true", help="compare the force maps on the data instead")
    parser.add_argument("--workers", type=int, default=1, help="processes for mdCATH files into a folder")
    parser.add_argument("--scheduler", metavar="ADDRESS", help="of dask.distributed, to run those files")


def run(options) -> None:
    """Handle the options."""
    from cgprot.mapping.rules import load_rules
    from cgprot.reference.command import check_inputs, map_inputs

    rules = load_rules(options.mapping)
    if options.check:
        print(check_inputs(options.input, options.output, rules))
        return
    more = (options.name, options.temperature, options.workers, options.scheduler)
    print(f"{options.output}: {map_inputs(options.input, options.output, rules, *more)}")
