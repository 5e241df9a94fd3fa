"""What `cgprot refine` is given, before anything runs."""

import pytest


@pytest.mark.parametrize(
    "given",
    [
        *("run", "-o out", "--sequence ACE-GLY-NME", "--rounds 6", "--temperature 300", "--share 0.25"),
        *("--implicit obc2", "--platform CPU", "--workers 1", "--seed 1", "--learning-rate 1e-3"),
    ],
)
def test_nothing_is_given_beside_resume(call, tmp_path, given):
    """Not even a default: a resumed refinement would ignore it."""
    code, _, err = call("refine", "--resume", tmp_path, *given.split())
    assert (code, err.count("\n")) == (2, 1)
    assert "give nothing else" in err


def test_resume_alone_is_looked_for(call, tmp_path):
    code, _, err = call("refine", "--resume", tmp_path)
    assert (code, "not a cgprot run folder" in err) == (5, True)
