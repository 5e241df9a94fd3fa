import os

import pytest

from cgprot.errors import StorageError
from cgprot.files.growing import GrowingFile, check_tail


def _file(tmp_path, *pieces):
    file = GrowingFile.create(tmp_path / "a", b"head\n")
    for piece in pieces:
        file.append(piece)
    return file


def test_cut_back_and_continued_to_the_same_bytes(tmp_path):
    file = _file(tmp_path, b"one\n", b"two\n")
    mark = file.mark
    for piece in (b"three\n", b"tor"):
        file.append(piece)
    again = GrowingFile.reopen(tmp_path / "a", mark)
    again.append(b"three\n")
    assert (tmp_path / "a").read_bytes() == b"head\none\ntwo\nthree\n"


def test_piece_after_a_failed_one_overwrites_its_remains(tmp_path):
    file = _file(tmp_path, b"one\n")
    with open(tmp_path / "a", "ab") as stream:
        stream.write(b"tw")
    file.append(b"two\n")
    assert (tmp_path / "a").read_bytes() == b"head\none\ntwo\n"


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"head\none\ntw", "11 bytes, .* needs 13"), (b"head\none\ntwO\n", "changed before")],
)
def test_what_is_not_as_it_was_left_is_refused_and_left_alone(tmp_path, content, said):
    mark = _file(tmp_path, b"one\n", b"two\n").mark
    (tmp_path / "a").write_bytes(content)
    for refuse in (check_tail, GrowingFile.reopen):
        with pytest.raises(StorageError, match=said):
            refuse(tmp_path / "a", mark)
    assert (tmp_path / "a").read_bytes() == content


def test_file_that_vanished_is_not_begun_anew(tmp_path):
    file = _file(tmp_path, b"one\n")
    (tmp_path / "a").unlink()
    with pytest.raises(StorageError, match="could not be written"):
        file.append(b"two\n")
    assert not (tmp_path / "a").exists()


def test_head_is_amended_and_only_news_are_synced(tmp_path, monkeypatch):
    file, synced = _file(tmp_path, b"one\n"), []
    monkeypatch.setattr(os, "fsync", synced.append)
    file.sync({0: b"HEAD"})
    file.sync({0: b"HEAP"})
    assert len(synced) == 1
    assert (tmp_path / "a").read_bytes() == b"HEAD\none\n"
    check_tail(tmp_path / "a", file.mark)
