"""`cgprot doctor`: what this computer has and lacks."""

from cgprot.verbs.options import add_verb


def add(verbs) -> None:
    """Declare the verb."""
    add_verb(verbs, "doctor", run, "versions, devices, memory and speed of this computer, and what to mend")


def run(options) -> int:
    """Print the findings as they come; 3 if something is missing that everything needs."""
    from cgprot.errors import InputError
    from cgprot.simulate.doctor import examine

    missing = False
    for finding in examine():
        mend = f"  -> {finding.mend}" if finding.mend else ""
        print(f"{finding.what:32}{finding.state}{mend}", flush=True)
        missing |= finding.needed
    print("something is missing: mend the lines marked ->" if missing else "all is well")
    return InputError.exit_code if missing else 0
