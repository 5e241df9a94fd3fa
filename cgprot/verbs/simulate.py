"""`cgprot simulate`: dynamics with a trained model."""

import argparse
import shlex
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
        "structure",
        type=Path,
        nargs="?",
        help="PDB or mmCIF file, all-atom or hydrogen-free; or a run folder, to start from its last frames",
    )
    parser.add_argument("--sequence", help="an extended chain instead: ACE-ALA-NME or GYDPETGTWG")
    parser.add_argument(
        "--start-frames",
        type=Path,
        metavar="FILE",
        help="trajectory, dataset or run: a frame a replica",
    )
    parser.add_argument(
        "--model", help="name of a shipped model, a file, of cgprot export too, or a training run folder"
    )
    add_output(parser, "new run folder", required=False)
    parser.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on from the checkpoint of a run folder"
    )
    parser.add_argument("--engine", choices=["compressed", "network"], help="default compressed")
    parser.add_argument("--device", choices=["cpu", "cuda"], help="what computes the forces, default cpu")
    parser.add_argument("--scheme", choices=["langevin", "verlet", "brownian"], help="default langevin")
    parser.add_argument(
        "--temperature", nargs="+", type=float, metavar="K", help="one, or one a replica; default 300"
    )
    parser.add_argument("--replicas", type=int, help="default 1, or as many as values are given")
    parser.add_argument("--time-ps", type=float, help="default 100; with --resume, a new end")
    parser.add_argument("--timestep-fs", type=float, help="default 2")
    parser.add_argument("--friction-per-ps", nargs="+", type=float, help="one, or one a replica; default 1")
    parser.add_argument(
        "--minimise",
        action=argparse.BooleanOptionalAction,
        default=None,
        help="go to a minimum first; default for a structure or a sequence, not for frames",
    )
    parser.add_argument(
        "--minimise-force", type=float, metavar="KCAL/MOL/Å", help="where a minimum is reached, default 1"
    )
    parser.add_argument("--heat-ps", type=float, help="heat up linearly for so long, default 0")
    parser.add_argument("--heat-from", type=float, metavar="K", help="default 0")
    parser.add_argument(
        "--anneal", nargs="+", type=_point, metavar="PS:K", help="baths go linearly from point to point"
    )
    parser.add_argument(
        "--exchange-every-ps", type=float, help="replica exchange between the temperatures of --temperature"
    )
    parser.add_argument("--restrain", type=Path, metavar="TOML", help="restraints: docs/simulate.md")
    parser.add_argument(
        "--box", nargs="+", type=float, metavar="Å", help="periodic: 1 or 3 edges, or 3 edges and 3 angles"
    )
    parser.add_argument("--concentration-mM", type=float, help="of chains: a cubic box of that size")
    parser.add_argument("--copies", type=int, help="of the chains, placed at random in the box")
    parser.add_argument("--output-every-ps", type=float, help="time between frames, default 1")
    parser.add_argument("--checkpoint-every-ps", type=float, help="default 10")
    parser.add_argument("--seed", nargs="+", type=int, help="one, or one a replica; default 1")
    for name, what in _SWITCHES.items():
        parser.add_argument(name, action="store_true", default=None, help=what)


def _point(text: str) -> tuple[float, float]:
    try:
        time_ps, temperature = map(float, text.split(":"))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no PS:K: give a time and a temperature, as in 10:400")
    return time_ps, temperature


def run(options) -> None:
    """Handle the options."""
    from cgprot.simulate.command import resume_run, start_run
    from cgprot.simulate.config import SimulateConfig
    from cgprot.simulate.spread import is_first

    if options.resume is not None:
        given = {name: value for name, value in vars(options).items() if value is not None}
        if given.keys() - {"verb", "handler", "resume", "time_ps"}:
            raise UsageError("--resume RUN goes on with the run's own options: give nothing but --time-ps")
        resume_run(options.resume, options.time_ps)
        if is_first():
            _tell_done(options.resume)
        return
    beginning = _beginning(options)
    minimise = options.minimise
    if minimise is None:  # frames of a simulation are warm, and a minimum would cool them
        minimise = beginning.frames is None and not (beginning.structure and beginning.structure.is_dir())
    config = validated(SimulateConfig, options, minimise=minimise)
    start_run(
        beginning,
        options.model,
        config,
        options.output,
        options.engine or "compressed",
        options.device or "cpu",
    )
    if is_first():
        _tell_done(options.output)


def _tell_done(folder: Path) -> None:
    print(f"{folder}: done; look at it with: cgprot analyse {shlex.quote(str(folder))} -o REPORT")


def _beginning(options):
    from cgprot.simulate.command import Beginning

    if not ((options.structure or options.sequence) and options.model and options.output):
        raise UsageError("give STRUCTURE or --sequence, --model and -o RUN, or --resume RUN")
    if options.structure and options.sequence:
        raise UsageError("give STRUCTURE or --sequence, not both")
    if options.box and options.concentration_mM is not None:
        raise UsageError("give --box or --concentration-mM, not both")
    if options.concentration_mM is not None and not 0 < options.concentration_mM < float("inf"):
        raise UsageError(f"--concentration-mM {options.concentration_mM:g}: must be above 0")
    if options.copies is not None and not (options.box or options.concentration_mM):
        raise UsageError("--copies needs a box to place them in: give --box or --concentration-mM")
    if options.copies is not None and options.copies < 1:
        raise UsageError(f"--copies {options.copies}: must be 1 or more")
    return Beginning(
        options.structure,
        options.sequence,
        options.start_frames,
        options.copies,
        options.concentration_mM,
        options.restrain,
    )
