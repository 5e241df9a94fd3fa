"""The commands in docs/interop.md do what it says."""

import re
import shlex
import shutil
from pathlib import Path

import theirs

from cgprot.files.dataset import write_dataset

DOCS = Path(__file__).parents[2] / "docs"


def test_commands_of_interop_run(call, tmp_path, chignolin, examples, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").mkdir()
    shutil.copy(examples / "chignolin.pdb", tmp_path / "examples")
    theirs.write_theirs(tmp_path / "FILE.ckpt", theirs.small(), old=True)
    write_dataset(tmp_path / "labelled.h5", {"chignolin/300/0": chignolin})
    commands = re.findall(r"^    cgprot (.+)$", (DOCS / "interop.md").read_text(), re.MULTILINE)
    verbs = [command.split()[0] for command in commands]
    assert verbs == ["import", "export", "evaluate", "export", "simulate"]
    for command in commands:
        code, _, err = call(*shlex.split(command))
        assert (code, err) == (0, ""), command
    made = {path.name for path in tmp_path.iterdir()}
    assert {"model.safetensors", "heavy-demo.ckpt", "fast.safetensors", "run"} <= made
