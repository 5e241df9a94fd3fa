"""What the verbs share: how they are declared and how their options become a configuration."""

import argparse
from pathlib import Path

from cgprot.errors import UsageError


def add_verb(verbs, name: str, handler, summary: str) -> argparse.ArgumentParser:
    """A sub-command whose `handler(options)` returns nothing or an exit code."""
    parser = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
    parser.set_defaults(handler=handler)
    return parser


def add_output(parser: argparse.ArgumentParser, what: str, required: bool = True) -> None:
    """-o OUTPUT."""
    parser.add_argument("-o", "--output", type=Path, required=required, metavar="OUTPUT", help=what)


def add_reference_options(parser: argparse.ArgumentParser) -> None:
    """What every verb that runs OpenMM takes."""
    parser.add_argument("--implicit", choices=["obc2", "gbn2"], default="obc2", help="implicit solvent")
    parser.add_argument("--platform", choices=["CPU", "CUDA", "OpenCL", "Reference"], default="CPU")
    parser.add_argument("--workers", type=int, default=1, help="processes, one core each")
    parser.add_argument("--seed", type=int, default=1)


def validated(model, options, **more):
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
        raise UsageError(f"{option} {first['input']}: {message[0].lower()}{message[1:]}")
