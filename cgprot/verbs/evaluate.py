"""`cgprot evaluate`: errors beside the noise floor."""

from pathlib import Path

from cgprot.verbs.options import add_output, add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "evaluate", run, "errors of a model beside the noise floor")
    parser.add_argument("model", help="name of a shipped model, a file or a run folder")
    parser.add_argument("dataset", type=Path, nargs="+", help="datasets with forces")
    add_output(parser, "new .csv file", required=False)


def run(options) -> None:
    """Handle the options."""
    from cgprot.files.folder import check_new_file, write_text
    from cgprot.train.table import as_csv, as_table, evaluate

    output = check_new_file(options.output, ".csv") if options.output else None
    rows = evaluate(options.model, options.dataset)
    if output:
        write_text(output, as_csv(rows))
    print(as_table(rows))
