"""`cgprot verify`: files against their hashes."""

from pathlib import Path

from cgprot.verbs.options import add_verb


def add(verbs) -> None:
    """Declare the verb."""
    parser = add_verb(verbs, "verify", run, "a file or folder against the hashes on record")
    parser.add_argument("path", type=Path, nargs="+", help="weights, a checkpoint, or a folder with runs")


def run(options) -> int:
    """A line a file; 3 if one is damaged, changed or gone."""
    from cgprot.errors import InputError
    from cgprot.simulate.verify import verify

    n_files = n_wrong = 0
    for path in options.path:
        for file in verify(path):
            print(f"{file.path}: {file.wrong or 'as it was'}", flush=True)
            n_files, n_wrong = n_files + 1, n_wrong + bool(file.wrong)
    print(f"{n_files} files, {n_wrong} of them not as they were")
    return InputError.exit_code if n_wrong else 0
