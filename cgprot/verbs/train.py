"""`cgprot train`: force matching."""

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
        "--resume", type=Path, metavar="RUN", help="go on from the checkpoint of a run folder"
    )


def run(options) -> None:
    """Handle the options."""
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
