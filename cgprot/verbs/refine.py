"""`cgprot refine`: more labelled frames where the model is unsure, and a better model."""

from pathlib import Path

from cgprot.errors import UsageError
from cgprot.verbs.options import add_output, add_reference_options, add_verb, validated


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(
        verbs, "refine", run, "simulate, label frames where the model is unsure, train on, and again"
    )
    parser.add_argument("run", type=Path, nargs="?", help="folder of cgprot train or cgprot refine")
    parser.add_argument(
        "structure", type=Path, nargs="*", help="PDB or mmCIF files, not of the validation data"
    )
    parser.add_argument("--sequence", nargs="+", default=[], help="peptides to build, e.g. ACE-ALA-NME")
    add_output(parser, "new folder", required=False)
    parser.add_argument("--resume", type=Path, metavar="FOLDER", help="go on with a refinement")
    parser.add_argument("--rounds", type=int, help="most rounds, default 3; one without a trip is the last")
    parser.add_argument("--temperature", type=float, nargs="+", metavar="K", help="default 300")
    parser.add_argument("--time-ps", type=float, help="of each simulation, default 20")
    parser.add_argument("--timestep-fs", type=float, help="default 2")
    parser.add_argument("--every-ps", type=float, help="time between frames, default 0.1")
    parser.add_argument("--replicas", type=int, help="of each protein and temperature, default 4")
    parser.add_argument("--frames-per-round", type=int, help="most frames to label, default 60")
    parser.add_argument(
        "--largest-force", type=float, metavar="KCAL/MOL/Å", help="on a bead of a frame to learn, default 300"
    )
    parser.add_argument(
        "--label-temperature", type=float, metavar="K", help="of the labels, default that of each simulation"
    )
    parser.add_argument("--samples", type=int, help="force samples per label, default 20")
    parser.add_argument("--steps", type=int, help="of the training in each round, default 2000")
    parser.add_argument(
        "--learning-rate", type=float, help="peak of each round, default: a third of the run's"
    )
    parser.add_argument(
        "--share", type=float, help="of each pass over the data that new frames make, default 0.25"
    )
    add_reference_options(parser)
    # To be refused beside --resume, even a default must show that it was given; RefineConfig has them too.
    parser.set_defaults(implicit=None, platform=None, workers=None, seed=None)


def run(options) -> None:
    """Handle the options."""
    from cgprot.refine.command import refine, resume_refine
    from cgprot.refine.config import RefineConfig

    if options.resume is not None:
        given = {name for name, value in vars(options).items() if value not in (None, [])}
        if given - {"verb", "handler", "resume"}:
            raise UsageError("--resume FOLDER goes on with its own run and options: give nothing else")
        resume_refine(options.resume)
        output = options.resume
    elif options.run is None or options.output is None:
        raise UsageError("give RUN, STRUCTURE or --sequence, and -o FOLDER, or --resume FOLDER")
    else:
        output = options.output
        refine(options.run, options.structure, options.sequence, validated(RefineConfig, options), output)
    print(f"{output}: done; rounds.csv, and model.safetensors for --model {output}")
