"""The commands in docs/interop.md do what it says."""

import re
import shlex
from pathlib import Path

import theirs

from cgprot.files.dataset import write_dataset

DOCS = Path(__file__).parents[2] / "docs"


def test_commands_of_interop_run(call, tmp_path, chignolin, monkeypatch):
    monkeypatch.chdir(tmp_path)
    theirs.write_theirs(tmp_path / "FILE.ckpt", theirs.small(), old=True)
    write_dataset(tmp_path / "labelled.h5", {"chignolin/300/0": chignolin})
    commands = re.findall(r"^    cgprot (.+)$", (DOCS / "interop.md").read_text(), re.MULTILINE)
    assert [command.split()[0] for command in commands] == ["import", "export", "evaluate"]
    for command in commands:
        code, _, err = call(*shlex.split(command))
        assert (code, err) == (0, ""), command
    assert {"model.safetensors", "heavy-demo.ckpt"} <= {path.name for path in tmp_path.iterdir()}
