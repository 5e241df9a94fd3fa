"""`cgprot analyse`: a report on runs."""

from pathlib import Path

from cgprot.verbs.options import add_output, add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "analyse", run, "one report on runs, beside references")
    parser.add_argument("run", type=Path, nargs="+", help="run folders, datasets, or bead trajectories")
    parser.add_argument("--reference", type=Path, nargs="+", default=[], help="the same, to compare with")
    add_output(parser, "new report folder")


def run(options) -> None:
    """Handle the options."""
    from cgprot.analyse.report import analyse

    analyse(options.run, options.reference, options.output)
    print(f"{options.output / 'report.html'}")
