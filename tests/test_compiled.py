"""Machine code on disk is as fresh as all the sources that it comes from."""

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cgprot.compiled import PACKAGE, sources_sha256

CALLED = "from cgprot.compiled import kernel\n@kernel\ndef called():\n    return {}\n"
CALLER = (
    "from cgprot.compiled import kernel\nfrom pair.called import called\n"
    "@kernel\ndef caller():\n    return called()\n"
)
ASK = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import cgprot.compiled as compiled
compiled.PACKAGE = Path(sys.argv[1]) / "pair"
from pair.caller import caller
print(caller(), sum(caller.stats.cache_hits.values()))
"""


def ask(folder) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ASK, str(folder)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_a_change_in_what_is_called_reaches_the_caller(tmp_path):
    pair = tmp_path / "pair"
    pair.mkdir()
    (pair / "caller.py").write_text(CALLER)
    (pair / "called.py").write_text(CALLED.format(1))
    assert ask(tmp_path) == ["1", "0"]
    assert ask(tmp_path) == ["1", "1"]  # from the disk
    (pair / "called.py").write_text(CALLED.format(2))
    assert ask(tmp_path) == ["2", "0"]


def test_a_constant_of_another_file_counts(tmp_path):
    (tmp_path / "units.py").write_text("BOLTZMANN = 1\n")
    (tmp_path / "other.py").write_text("print()\n")
    before = sources_sha256(tmp_path)
    (tmp_path / "other.py").write_text("print(1)\n")  # compiles nothing
    sources_sha256.cache_clear()
    assert sources_sha256(tmp_path) == before
    (tmp_path / "units.py").write_text("BOLTZMANN = 2\n")
    sources_sha256.cache_clear()
    assert sources_sha256(tmp_path) != before
    sources_sha256.cache_clear()


@pytest.mark.parametrize("name", ["engine/network.py", "engine/edges.py", "model/lanes.py", "units.py"])
def test_sources_of_compiled_loops_count(name, tmp_path):
    """network.py compiles nothing, but machine code knows the fields of its tuples by number."""
    shutil.copytree(PACKAGE, tmp_path / "cgprot", ignore=shutil.ignore_patterns("__pycache__"))
    path = tmp_path / "cgprot" / name
    path.write_text(path.read_text() + "# changed\n")
    assert sources_sha256(path.parents[len(Path(name).parts) - 1]) != sources_sha256(PACKAGE)


def test_what_earlier_sources_left_is_removed(tmp_path):
    pair = tmp_path / "pair"
    pair.mkdir()
    (pair / "caller.py").write_text(CALLER)
    for number in (1, 2):
        (pair / "called.py").write_text(CALLED.format(number))
        ask(tmp_path)
        assert len(list((pair / "__pycache__").glob("caller*.nb?"))) == 2  # an index and the code


def test_every_compiled_loop_is_kept_that_way():
    for path in PACKAGE.rglob("*.py"):
        names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
        names |= {
            node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)
        }
        compilers = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil"} & names
        assert not compilers or path.name == "compiled.py", path
