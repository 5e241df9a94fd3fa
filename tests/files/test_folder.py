"""Where nothing can be written is said before the work, not after it."""

import os

import pytest

from cgprot.errors import StorageError, UsageError
from cgprot.files.folder import check_new, check_new_with_beads, write_whole


def test_a_folder_inside_a_file_is_refused(tmp_path):
    file = tmp_path / "notes"
    file.write_text("x")
    with pytest.raises(StorageError, match=r"notes: is a file, .*deep/run cannot be in it"):
        check_new(file / "deep" / "run")


def test_where_writing_is_forbidden_is_refused(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(os, "access", lambda path, mode: asked.append((path, mode)))
    with pytest.raises(StorageError, match="may not be written to"):
        check_new(tmp_path / "not" / "there")
    assert asked[0][0] == tmp_path
    assert asked[0][1] & os.W_OK


def test_new_and_empty_folders_may_be_filled(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("run", "deep/run", ".", str(tmp_path / "run")):
        check_new(name)
    (tmp_path / "run").mkdir()
    check_new("run")
    (tmp_path / "run" / "x").touch()
    with pytest.raises(UsageError, match="exists already"):
        check_new("run")


@pytest.mark.parametrize("beside", ["system.psf", "system.pdb"])
def test_what_a_trajectory_brings_overwrites_nothing(tmp_path, beside):
    (tmp_path / beside).write_text("precious")
    with pytest.raises(UsageError, match=f"{beside}: exists already"):
        check_new_with_beads(tmp_path / "system.dcd", ".dcd")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_a_file_that_was_not_finished_leaves_nothing(tmp_path, error):
    def write(temporary):
        temporary.write_text("half")
        raise error

    (tmp_path / "log.csv").write_text("as it was")
    with pytest.raises(error):
        write_whole(tmp_path / "log.csv", write)
    assert [path.name for path in tmp_path.iterdir()] == ["log.csv"]
    assert (tmp_path / "log.csv").read_text() == "as it was"
