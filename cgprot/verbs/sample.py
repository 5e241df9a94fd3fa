"""`cgprot sample`: all-atom trajectories."""

from pathlib import Path

from cgprot.errors import UsageError
from cgprot.verbs.options import add_output, add_reference_options, add_verb, validated


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "sample", run, "all-atom molecular dynamics in implicit solvent")
    parser.add_argument("structure", type=Path, nargs="?", help="PDB or mmCIF file")
    parser.add_argument("--sequence", help="build a peptide instead, e.g. ACE-ALA-NME")
    add_output(parser, "new folder")
    parser.add_argument("--temperature", type=float, nargs="+", default=[300.0], metavar="K")
    parser.add_argument("--time-ps", type=float, default=100.0)
    parser.add_argument("--every-ps", type=float, default=1.0, help="time between frames")
    parser.add_argument("--equilibrate-ps", type=float, default=10.0)
    parser.add_argument("--timestep-fs", type=float, default=2.0)
    add_reference_options(parser)


def run(options) -> None:
    """Handle the options."""
    from cgprot.reference.sample import SampleConfig, sample
    from cgprot.reference.structure import load_structure, structure_from_sequence

    if (options.structure is None) == (options.sequence is None):
        raise UsageError("give either STRUCTURE or --sequence")
    config = validated(SampleConfig, options)
    if options.sequence is not None:
        structure, inputs = structure_from_sequence(options.sequence), []
        source = {"sequence": options.sequence}
    else:
        structure, inputs = load_structure(options.structure), [options.structure]
        source = {"structure": options.structure.name}
    sample(structure, config, options.output, source, inputs)
    print(f"{options.output}: {len(config.temperature)} trajectories of {config.time_ps:g} ps")
