"""Disk full, I/O errors, torn writes, and death at every kind of call that changes the disk."""

import random
import resource

import pytest
from faults import Faults, broken, die, die_before, disk_full
from trial import begin, go_on, growing, in_a_child, results

from cgprot.errors import StorageError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """An undisturbed run, and what it did to the disk, call by call."""
    begin(tmp_path_factory.mktemp("compiled") / "run")  # what compilers write is no part of a run
    folder = tmp_path_factory.mktemp("whole") / "run"
    with Faults(folder).injected() as faults:
        begin(folder)
    return results(folder), faults.calls


def _of_every_kind(calls):
    """The numbers of the first, a middle and the last call of every kind."""
    places: dict[str, list[int]] = {}
    for number, what in enumerate(calls, start=1):
        places.setdefault(what, []).append(number)
    return sorted({same[k] for same in places.values() for k in (0, len(same) // 2, -1)})


def _dies(folder, task, at, happen):
    with Faults(folder, at, happen).injected():
        task(folder)


def _check_death(folder, whole, at, happen):
    child = in_a_child(_dies, folder, begin, at, happen)
    child.join()
    assert child.exitcode == 9
    go_on(folder)
    assert results(folder) == whole


def _check_error(folder, whole, at, happen):
    with Faults(folder, at, happen).injected(), pytest.raises(StorageError) as caught:
        begin(folder)
    assert "\n" not in str(caught.value)
    go_on(folder)
    assert results(folder) == whole


def test_death_at_every_kind_of_call(whole, tmp_path):
    for number in _of_every_kind(whole[1]):
        _check_death(tmp_path / str(number), whole[0], number, die)


def test_disk_full_at_every_kind_of_call(whole, tmp_path):
    for number in _of_every_kind(whole[1]):
        _check_error(tmp_path / str(number), whole[0], number, disk_full)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "check", "happen"),
    [
        (1, _check_death, die),
        (2, _check_death, die_before),
        (3, _check_error, disk_full),
        (4, _check_error, broken),
    ],
)
def test_every_single_call_in_one_of_four_ways(whole, tmp_path, first, check, happen):
    for number in range(first, len(whole[1]) + 1, 4):
        check(tmp_path / str(number), whole[0], number, happen)


def test_death_during_the_resumption(whole, tmp_path):
    folder = tmp_path / "counted"
    half = len(whole[1]) // 2
    in_a_child(_dies, folder, begin, half, die).join()
    with Faults(folder).injected() as faults:
        go_on(folder)
    for number in _of_every_kind(faults.calls)[::2]:
        folder = tmp_path / str(number)
        in_a_child(_dies, folder, begin, half, die).join()
        child = in_a_child(_dies, folder, go_on, number, die)
        child.join()
        assert child.exitcode == 9
        go_on(folder)
        assert results(folder) == whole[0]


def _limited(folder, n_bytes):
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, n_bytes))
    with pytest.raises(StorageError, match="File too large"):
        begin(folder)


def test_files_that_may_not_grow(whole, tmp_path):
    """The kernel itself cuts a write short."""
    largest = max(len(content) for content in whole[0].values())
    for number, n_bytes in enumerate(range(500, largest, largest // 8)):
        child = in_a_child(_limited, tmp_path / str(number), n_bytes)
        child.join()
        assert child.exitcode == 0
        go_on(tmp_path / str(number))
        assert results(tmp_path / str(number)) == whole[0]


def test_torn_ends(whole, tmp_path, capsys):
    """What a machine may lose that dies without having synced: ends are cut off or read as zeros."""
    chance = random.Random(2)
    late = [number for number, what in enumerate(whole[1], 1) if number > len(whole[1]) // 2]
    refusals = []
    for number in range(12):
        folder = tmp_path / str(number)
        in_a_child(_dies, folder, begin, chance.choice(late), die).join()
        for path in [*growing(folder), folder / "checkpoint.safetensors"]:
            lost = chance.choice([0, 0, 1, 7, 90])
            with open(path, "rb+") as stream:
                end = stream.seek(0, 2)
                stream.truncate(end - lost)
                if chance.random() < 0.5:
                    stream.truncate(end)
        try:
            go_on(folder)
        except StorageError as error:  # more is gone than two checkpoints can make good
            refusals.append(str(error))
        else:
            assert results(folder) == whole[0]
    assert len(refusals) < 6
    assert all("restore it" in refusal for refusal in refusals)
