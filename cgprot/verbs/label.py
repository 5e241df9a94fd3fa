"""`cgprot label`: mean forces of given frames."""

from pathlib import Path

from cgprot.verbs.options import add_output, add_reference_options, add_verb, validated


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "label", run, "mean forces of given heavy-atom frames")
    parser.add_argument("frames", type=Path, nargs="+", help="trajectories, datasets (.h5), or run folders")
    parser.add_argument("--structure", type=Path, required=True, help="all-atom PDB of the same protein")
    add_output(parser, "new .h5 file")
    parser.add_argument("--samples", type=int, default=20, help="force samples per frame")
    parser.add_argument("--every", type=int, default=1, help="label every n-th frame")
    parser.add_argument(
        "--displace", type=float, default=0.0, metavar="Å", help="shift the beads at random first"
    )
    parser.add_argument(
        "--stretch", type=float, default=0.0, metavar="FRACTION", help="stretch or compress by up to so much"
    )
    parser.add_argument(
        "--twist", type=float, default=0.0, metavar="DEGREES", help="turn about bonds by up to so much first"
    )
    parser.add_argument("--temperature", type=float, metavar="K", help="of hydrogens (default: as recorded)")
    parser.add_argument("--name", help="name of the protein in the dataset (default: OUTPUT's)")
    add_reference_options(parser)


def run(options) -> None:
    """Handle the options."""
    from cgprot.files.dataset import write_dataset
    from cgprot.reference.command import check_new_dataset
    from cgprot.reference.label import LabelConfig
    from cgprot.reference.label_files import label_sources

    output = check_new_dataset(options.output, options.name)
    config = validated(LabelConfig, options)
    where = (options.structure, options.name or output.stem, options.temperature, options.every)
    entries = label_sources(options.frames, *where, config)
    write_dataset(output, entries)
    n_frames = sum(len(frames) for frames in entries.values())
    print(f"{output}: mean forces of {n_frames} frames in {len(entries)} trajectories")
