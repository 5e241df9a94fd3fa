"""`cgprot train`: force matching."""

import os
from pathlib import Path

from cgprot.errors import UsageError
from cgprot.verbs.options import add_output, add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "train", run, "train a potential on mapped forces")
    parser.add_argument("config", type=Path, nargs="?", help="TOML file that names its datasets")
    add_output(parser, "new run folder", required=False)
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="override the config"
    )
    parser.add_argument(
        "--committee", type=int, metavar="K", help="train K networks from different seeds, not one"
    )
    parser.add_argument("--tensorboard", action="store_true", help="log for TensorBoard as well")
    parser.add_argument(
        "--resume", type=Path, metavar="RUN", help="go on from the checkpoint of a run folder"
    )


def run(options) -> None:
    """Handle the options."""
    from cgprot.train.config import load_config, recorded_config
    from cgprot.train.loop import train

    changes = list(options.set)
    if options.committee is not None:
        changes.append(f"train.committee={options.committee}")
    if options.tensorboard:
        changes.append("train.tensorboard=true")
    if options.resume is not None:
        if options.config or options.output or changes:
            raise UsageError("--resume RUN goes on with the run's own configuration: give nothing else")
        output = train(recorded_config(options.resume), options.resume, resume=True)
    elif options.config is None or options.output is None:
        raise UsageError("give CONFIG.toml and -o RUN, or --resume RUN")
    else:
        output = train(load_config(options.config, changes), options.output)
    if int(os.environ.get("RANK", 0)) == 0:  # one of the processes of torchrun speaks for all
        print(f"{output}: done; model.safetensors, metrics.csv, errors.csv, curves.png")
