"""`cgprot simulate`: dynamics with a trained model."""

from pathlib import Path

from cgprot.errors import UsageError
from cgprot.verbs.options import add_output, add_verb, validated

_SWITCHES = {
    "--velocities": "velocities_000.dcd ... beside the trajectories, in Å/ps",
    "--forces": "forces_000.dcd ... beside the trajectories, in kcal/mol/Å",
    "--xtc": "a copy of every trajectory for viewers, when the run has reached its end",
    "--allow-flips": "do not stop a replica whose stereocentre or peptide bond flips",
}


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "simulate", run, "dynamics with a trained model")
    parser.add_argument(
        "structure", type=Path, nargs="?", help="PDB or mmCIF file, all-atom or hydrogen-free"
    )
    parser.add_argument("--model", help="name of a shipped model, a file or a training run folder")
    add_output(parser, "new run folder", required=False)
    parser.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on from the checkpoint of a run folder"
    )
    parser.add_argument("--engine", choices=["compressed", "network"], help="default compressed")
    parser.add_argument("--scheme", choices=["langevin", "verlet", "brownian"], help="default langevin")
    parser.add_argument(
        "--temperature", nargs="+", type=float, metavar="K", help="one, or one a replica; default 300"
    )
    parser.add_argument("--replicas", type=int, help="default 1, or as many as values are given")
    parser.add_argument("--time-ps", type=float, help="default 100; with --resume, a new end")
    parser.add_argument("--timestep-fs", type=float, help="default 2")
    parser.add_argument("--friction-per-ps", nargs="+", type=float, help="one, or one a replica; default 1")
    parser.add_argument("--output-every-ps", type=float, help="time between frames, default 1")
    parser.add_argument("--checkpoint-every-ps", type=float, help="default 10")
    parser.add_argument("--seed", nargs="+", type=int, help="one, or one a replica; default 1")
    for name, what in _SWITCHES.items():
        parser.add_argument(name, action="store_true", default=None, help=what)


def run(options) -> None:
    """Handle the options."""
    from cgprot.simulate.command import resume_run, start_run
    from cgprot.simulate.config import SimulateConfig

    if options.resume is not None:
        given = {name: value for name, value in vars(options).items() if value is not None}
        if given.keys() - {"verb", "handler", "resume", "time_ps"}:
            raise UsageError("--resume RUN goes on with the run's own options: give nothing but --time-ps")
        resume_run(options.resume, options.time_ps)
        print(f"{options.resume}: done; look at it with: cgprot analyse {options.resume} -o REPORT")
        return
    if not (options.structure and options.model and options.output):
        raise UsageError("give STRUCTURE, --model and -o RUN, or --resume RUN")
    config = validated(SimulateConfig, options)
    start_run(options.structure, options.model, config, options.output, options.engine or "compressed")
    print(f"{options.output}: done; look at it with: cgprot analyse {options.output} -o REPORT")
