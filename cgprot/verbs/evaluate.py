"""`cgprot evaluate`: errors beside the noise floor."""

from pathlib import Path

from cgprot.verbs.options import add_output, add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "evaluate", run, "errors of a model beside the noise floor")
    parser.add_argument("model", help="name of a shipped model, a file, a run folder or a committee's")
    parser.add_argument("dataset", type=Path, nargs="+", help="datasets with forces")
    add_output(parser, "new .csv file, or new folder for the table and figures", required=False)


def run(options) -> None:
    """Handle the options."""
    from cgprot.files.folder import check_new, check_new_file, write_text
    from cgprot.train.table import as_csv, as_table, evaluate, in_words, write_report

    output = options.output
    to_file = output is not None and bool(output.suffix)
    if output is not None:
        check_new_file(output, ".csv") if to_file else check_new(output)
    report = evaluate(options.model, options.dataset)
    rows = report.evaluation.rows
    if to_file:
        write_text(output, as_csv(rows))
    elif output is not None:
        write_report(report, output, options.model, options.dataset)
    print("\n".join([as_table(rows), *in_words(report)]))
