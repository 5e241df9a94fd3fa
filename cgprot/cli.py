"""The command line: one verb, one thin handler; heavy imports inside the handler."""

import argparse
import os
import signal
import sys
import warnings
from pathlib import Path

from cgprot import __version__
from cgprot.errors import CgprotError, StorageError, UsageError

TRACEBACK = "CGPROT_TRACEBACK"  # with this in the environment an unexpected error is shown whole


def main(arguments: list[str] | None = None) -> int:
    """Run one verb; returns the exit code (0, or 2 usage, 3 bad input, 4 unstable, 5 I/O)."""
    options = _parser().parse_args(arguments)
    try:
        with warnings.catch_warnings():
            # What third-party readers warn of is checked here and refused in words of our own.
            warnings.simplefilter("ignore")
            return options.handler(options) or 0
    except BrokenPipeError:  # whoever reads our output, `head` say, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as error:
        message, code = _explain(error)
    print(f"cgprot {options.verb}: {' '.join(message.split())}", file=sys.stderr)
    return code


def _explain(error: BaseException) -> tuple[str, int]:
    """What to tell of a failure, and the exit code."""
    if isinstance(error, CgprotError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; nothing more was written", 128 + signal.SIGINT
    if TRACEBACK in os.environ:
        raise error
    reason = (str(error).strip() or "no message").splitlines()[0]
    message = f"unexpected {type(error).__name__} ({reason}): set {TRACEBACK}=1 to see where, and report it"
    return message, StorageError.exit_code if isinstance(error, OSError) else 1


class _Parser(argparse.ArgumentParser):
    """argparse, but a wrong call costs one line instead of the whole usage."""

    def error(self, message: str):
        self.exit(UsageError.exit_code, f"{self.prog}: {message}: see {self.prog} --help\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="cgprot",
        description="Coarse-grained protein dynamics without hydrogens and without prior energy terms.",
        epilog="Exit codes: 2 usage, 3 bad input, 4 unstable run, 5 I/O. 'cgprot VERB --help' says more.",
    )
    parser.add_argument("--version", action="version", version=f"cgprot {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True)
    data = (_add_sample, _add_map, _add_label, _add_backmap)
    for add in (*data, _add_train, _add_evaluate, _add_simulate, _add_analyse):
        add(verbs)
    return parser


def _add_verb(verbs, name: str, handler, summary: str) -> argparse.ArgumentParser:
    parser = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.set_defaults(handler=handler)
    return parser


def _add_output(parser: argparse.ArgumentParser, what: str, required: bool = True) -> None:
    parser.add_argument("-o", "--output", type=Path, required=required, metavar="OUTPUT", help=what)


def _add_sample(verbs) -> None:
    parser = _add_verb(verbs, "sample", _sample, "all-atom molecular dynamics in implicit solvent")
    parser.add_argument("structure", type=Path, nargs="?", help="PDB or mmCIF file")
    parser.add_argument("--sequence", help="build a peptide instead, e.g. ACE-ALA-NME")
    _add_output(parser, "new folder")
    parser.add_argument("--temperature", type=float, nargs="+", default=[300.0], metavar="K")
    parser.add_argument("--time-ps", type=float, default=100.0)
    parser.add_argument("--every-ps", type=float, default=1.0, help="time between frames")
    parser.add_argument("--equilibrate-ps", type=float, default=10.0)
    parser.add_argument("--timestep-fs", type=float, default=2.0)
    _add_reference_options(parser)


def _add_reference_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--implicit", choices=["obc2", "gbn2"], default="obc2", help="implicit solvent")
    parser.add_argument("--platform", choices=["CPU", "CUDA", "OpenCL", "Reference"], default="CPU")
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")
    parser.add_argument("--seed", type=int, default=1)


def _sample(options) -> None:
    from cgprot.reference.sample import SampleConfig, sample
    from cgprot.reference.structure import load_structure, structure_from_sequence

    if (options.structure is None) == (options.sequence is None):
        raise UsageError("give either STRUCTURE or --sequence")
    config = _validated(SampleConfig, options)
    if options.sequence is not None:
        structure, inputs = structure_from_sequence(options.sequence), []
        source = {"sequence": options.sequence}
    else:
        structure, inputs = load_structure(options.structure), [options.structure]
        source = {"structure": options.structure.name}
    sample(structure, config, options.output, source, inputs)
    print(f"{options.output}: {len(config.temperature)} trajectories of {config.time_ps:g} ps")


def _validated(model, options, **more):
    """A pydantic config from the options of the same names; a wrong value is a usage error."""
    from pydantic import ValidationError

    given = {name: getattr(options, name) for name in model.model_fields if hasattr(options, name)}
    try:
        return model(**{name: value for name, value in given.items() if value is not None} | more)
    except ValidationError as error:
        first = error.errors()[0]
        message = first["msg"].removeprefix("Value error, ")
        if not first["loc"]:  # a rule over several options, which names them itself
            raise UsageError(message)
        option = "--" + str(first["loc"][0]).replace("_", "-")
        raise UsageError(f"{option} {first['input']}: {message.lower()}")


def _add_map(verbs) -> None:
    parser = _add_verb(verbs, "map", _map, "all-atom trajectories to a dataset of beads")
    kinds = "topology and trajectories, an mdtraj HDF5 file, or all-atom mdCATH files (.h5)"
    parser.add_argument("input", type=Path, nargs="+", help=kinds)
    _add_output(
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


def _map(options) -> None:
    from cgprot.mapping.rules import load_rules
    from cgprot.reference.command import check_inputs, map_inputs

    rules = load_rules(options.mapping)
    if options.check:
        print(check_inputs(options.input, options.output, rules))
        return
    more = (options.name, options.temperature, options.workers, options.scheduler)
    print(f"{options.output}: {map_inputs(options.input, options.output, rules, *more)}")


def _add_label(verbs) -> None:
    parser = _add_verb(verbs, "label", _label, "mean forces of given heavy-atom frames")
    parser.add_argument("frames", type=Path, nargs="+", help="trajectories, a dataset .h5, or a run folder")
    parser.add_argument("--structure", type=Path, required=True, help="all-atom PDB of the same protein")
    _add_output(parser, "new .h5 file")
    parser.add_argument("--samples", type=int, default=20, help="force samples per frame")
    parser.add_argument("--every", type=int, default=1, help="label every n-th frame")
    parser.add_argument(
        "--displace", type=float, default=0.0, metavar="Å", help="shift the beads at random first"
    )
    parser.add_argument("--temperature", type=float, metavar="K", help="if it is not recorded")
    parser.add_argument("--name", help="name of the protein in the dataset (default: OUTPUT's)")
    _add_reference_options(parser)


def _label(options) -> None:
    from cgprot.files.dataset import write_dataset
    from cgprot.reference.command import check_new_dataset
    from cgprot.reference.label import LabelConfig, label_sources

    output = check_new_dataset(options.output, options.name)
    config = _validated(LabelConfig, options)
    where = (options.structure, options.name or output.stem, options.temperature, options.every)
    entries = label_sources(options.frames, *where, config)
    write_dataset(output, entries)
    n_frames = sum(len(frames) for frames in entries.values())
    print(f"{output}: mean forces of {n_frames} frames in {len(entries)} trajectories")


def _add_train(verbs) -> None:
    parser = _add_verb(verbs, "train", _train, "train a potential on mapped forces")
    parser.add_argument("config", type=Path, nargs="?", help="TOML file that names its datasets")
    _add_output(parser, "new run folder", required=False)
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override the config"
    )
    parser.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on from the checkpoint of a run folder"
    )


def _train(options) -> None:
    from cgprot.train.config import load_config, recorded_config
    from cgprot.train.loop import train

    if options.resume is not None:
        if options.config or options.output or options.set:
            raise UsageError("--resume RUN goes on with the run's own configuration: give nothing else")
        output = train(recorded_config(options.resume), options.resume, resume=True)
    elif options.config is None or options.output is None:
        raise UsageError("give CONFIG.toml and -o RUN, or --resume RUN")
    else:
        output = train(load_config(options.config, options.set), options.output)
    print(f"{output}: done; model.safetensors, metrics.csv, curves.png")


def _add_evaluate(verbs) -> None:
    parser = _add_verb(verbs, "evaluate", _evaluate, "errors of a model beside the noise floor")
    parser.add_argument("model", help="name of a shipped model, a file or a run folder")
    parser.add_argument("dataset", type=Path, nargs="+", help="datasets with forces")
    _add_output(parser, "new .csv file", required=False)


def _evaluate(options) -> None:
    from cgprot.files.folder import check_new_file, write_text
    from cgprot.train.table import as_csv, as_table, evaluate

    output = check_new_file(options.output, ".csv") if options.output else None
    rows = evaluate(options.model, options.dataset)
    if output:
        write_text(output, as_csv(rows))
    print(as_table(rows))


def _add_simulate(verbs) -> None:
    parser = _add_verb(verbs, "simulate", _simulate, "Langevin dynamics with a trained model")
    parser.add_argument(
        "structure", type=Path, nargs="?", help="PDB or mmCIF file, all-atom or hydrogen-free"
    )
    parser.add_argument("--model", help="name of a shipped model, a file or a training run folder")
    _add_output(parser, "new run folder", required=False)
    parser.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on from the checkpoint of a run folder"
    )
    parser.add_argument("--engine", choices=["compressed", "network"], help="default compressed")
    parser.add_argument("--temperature", type=float, metavar="K", help="default 300")
    parser.add_argument("--replicas", type=int, help="default 1")
    parser.add_argument("--time-ps", type=float, help="default 100; with --resume, a new end")
    parser.add_argument("--timestep-fs", type=float, help="default 2")
    parser.add_argument("--friction-per-ps", type=float, help="default 1")
    parser.add_argument("--output-every-ps", type=float, help="time between frames, default 1")
    parser.add_argument("--checkpoint-every-ps", type=float, help="default 10")
    parser.add_argument("--seed", type=int, help="default 1")


def _simulate(options) -> None:
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
    config = _validated(SimulateConfig, options)
    start_run(options.structure, options.model, config, options.output, options.engine or "compressed")
    print(f"{options.output}: done; look at it with: cgprot analyse {options.output} -o REPORT")


def _add_analyse(verbs) -> None:
    parser = _add_verb(verbs, "analyse", _analyse, "one report on runs, beside references")
    parser.add_argument("run", type=Path, nargs="+", help="run folders, datasets, or bead trajectories")
    parser.add_argument("--reference", type=Path, nargs="+", default=[], help="the same, to compare with")
    _add_output(parser, "new report folder")


def _analyse(options) -> None:
    from cgprot.analyse.report import analyse

    analyse(options.run, options.reference, options.output)
    print(f"{options.output / 'report.html'}")


def _add_backmap(verbs) -> None:
    parser = _add_verb(verbs, "backmap", _backmap, "hydrogens back on hydrogen-free frames")
    parser.add_argument("run", type=Path, help="run folder, dataset, or bead trajectory with its PSF")
    _add_output(parser, "new .dcd file (one per replica if there are several), PDB and PSF beside it")
    parser.add_argument("--every", type=int, default=1, help="take every n-th frame")
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")


def _backmap(options) -> None:
    from cgprot.reference.backmap import backmap

    written = backmap(options.run, options.output, options.workers, options.every)
    print(f"{', '.join(map(str, written))}: all atoms; topology {options.output.with_suffix('.pdb')}")
