"""All-atom from the last frames of a simulation, and how far its residues are from where it began."""

from dataclasses import replace

import from_model
import MDAnalysis
import numpy as np
import pytest

from cgprot.beads import BeadFrames
from cgprot.files.dataset import write_dataset
from cgprot.files.sources import read_source


@pytest.fixture
def run(frames, tmp_path):
    """Two replicas that end with different frames; the latter halves are one frame each."""
    ends = [np.concatenate([frames.positions[:2], frames.positions[[last] * 2]]) for last in (2, -1)]
    entries = {f"p/300/{k}": BeadFrames(frames.system, x, time=np.arange(4.0)) for k, x in enumerate(ends)}
    write_dataset(tmp_path / "run.h5", entries)
    return tmp_path / "run.h5"


def told(capfd, monkeypatch, run, reference, folder):
    monkeypatch.setattr(
        "sys.argv", ["from_model.py", *map(str, (run, reference, folder)), "--time-ps", "0.4"]
    )
    capfd.readouterr()
    from_model.main()
    rows = [line.split() for line in capfd.readouterr().out.splitlines()]
    return {" ".join(row[:-3]): [float(number) for number in row[-3:]] for row in rows if row[-1][0] in "01"}


def test_all_atom_begins_where_the_run_ended(run, frames, examples, tmp_path, capfd, monkeypatch):
    reference, folder = examples / "chignolin_300K.h5", tmp_path / "from_model"
    (folder / "replica_1.part").mkdir(parents=True)
    (folder / "replica_1.part" / "run.json").write_text("{}")  # of a call that was killed
    first = told(capfd, monkeypatch, run, reference, folder)
    assert list(first)[::7] == ["TYR 2", "TRP 9"]
    assert all(0 <= number <= 1 for row in first.values() for number in row)
    assert first["median"] == [pytest.approx(np.median(column), abs=6e-4) for column in _columns(first)]
    for k, last in enumerate((2, -1)):
        start = MDAnalysis.Universe(folder / f"start_{k}.pdb").atoms.positions
        np.testing.assert_allclose(start, frames.positions[last], atol=1e-3)
    assert len(read_source(folder / "from_model.h5")) == 2
    made = (folder / "replica_1" / "300K.trr").stat().st_mtime_ns
    assert told(capfd, monkeypatch, run, reference, folder) == first
    assert (folder / "replica_1" / "300K.trr").stat().st_mtime_ns == made


def _columns(rows):
    return np.array([row for name, row in rows.items() if name != "median"]).T


def test_frames_in_the_same_basins_are_near_and_mirrored_ones_far(frames):
    mirrored = BeadFrames(frames.system, frames.positions * [-1, 1, 1], time=frames.time)
    here, there = from_model.maps([frames], 0.0), from_model.maps([mirrored], 0.0)
    rows = from_model.table(["x"] * len(here), [_apart(here, here), _apart(here, there), _apart(there, here)])
    assert rows.splitlines()[-1].split()[1] == "0.000"
    assert float(rows.splitlines()[-1].split()[2]) > 0.99


def _apart(first, second):
    return np.array([from_model.jensen_shannon(*both) for both in zip(first, second, strict=True)])


def test_another_protein_is_refused_before_anything_is_made(run, frames, tmp_path, capfd, monkeypatch):
    system = replace(frames.system, residue_name=frames.system.residue_name[::-1].copy())
    write_dataset(tmp_path / "other.h5", {"q/300/0": BeadFrames(system, frames.positions)})
    with pytest.raises(SystemExit, match=r"other\.h5: holds other beads than .*run\.h5: give that protein's"):
        told(capfd, monkeypatch, run, tmp_path / "other.h5", tmp_path / "none")
    assert not (tmp_path / "none").exists()
