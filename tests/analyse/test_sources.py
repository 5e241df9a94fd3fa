import warnings

import MDAnalysis
import numpy as np
import pytest

from cgprot.errors import InputError, StorageError
from cgprot.files.dataset import write_dataset
from cgprot.files.folder import write_run
from cgprot.files.psf import write_psf
from cgprot.files.sources import read_source, read_sources
from cgprot.simulate.config import SimulateConfig


def write_trajectory(path, positions):
    universe = MDAnalysis.Universe.empty(positions.shape[1], trajectory=True)
    with warnings.catch_warnings(), MDAnalysis.Writer(str(path), positions.shape[1], dt=2.0) as writer:
        warnings.simplefilter("ignore")  # no box
        for frame in positions:
            universe.atoms.positions = frame
            writer.write(universe.atoms)


@pytest.fixture
def run_folder(tmp_path, wobbling):
    folder = tmp_path / "run"
    folder.mkdir()
    write_psf(folder / "system.psf", wobbling().system)
    for replica in (0, 1):
        write_trajectory(folder / f"replica_{replica:03d}.dcd", wobbling(5, seed=replica).positions)
    write_run(folder, "simulate", {"temperature": 310.0, "seed": 7}, [])
    return folder


def test_a_run_folder_gives_its_replicas_and_its_record(run_folder, wobbling):
    (source,) = read_sources(run_folder)
    assert source.name == "run"
    assert source.provenance["config"]["seed"] == 7
    assert len(source.replicas) == 2
    for replica, frames in enumerate(source.replicas):
        assert frames.positions == pytest.approx(wobbling(5, seed=replica).positions, abs=1e-4)
        assert frames.time == pytest.approx([0.0, 2.0, 4.0, 6.0, 8.0], abs=1e-3)
        assert frames.temperature == 310.0
    assert np.array_equal(source.replicas[0].system.bonds, wobbling().system.bonds)


@pytest.mark.parametrize(
    ("bath", "expected"),
    [
        ({"anneal": [[50.0, 780.0]]}, [None, None]),
        ({"heat_ps": 10.0}, [None, None]),
        ({"exchange_every_ps": 2.0}, [None, None]),
        ({"anneal": [], "heat_ps": 0.0, "exchange_every_ps": None}, [310.0, 320.0]),
    ],
)
def test_frames_of_changing_baths_have_no_one_temperature(run_folder, bath, expected):
    """Those of an annealed run, up to 780 K warm, were taken for frames at 310 K."""
    config = SimulateConfig(temperature=(310.0, 320.0)).model_dump()
    write_run(run_folder, "simulate", config | bath, [])
    (source,) = read_sources(run_folder)
    assert [frames.temperature for frames in source.replicas] == expected


def test_a_dataset_gives_a_source_for_each_protein(tmp_path, wobbling):
    path = tmp_path / "pair.h5"
    entries = {
        "one/300/0": wobbling(4),
        "one/350/0": wobbling(3, temperature=350.0),
        "two/300/0": wobbling(2),
    }
    write_dataset(path, entries)
    sources = read_sources(path)
    assert [(source.name, [len(each) for each in source.replicas]) for source in sources] == [
        ("pair one", [4, 3]),
        ("pair two", [2]),
    ]
    assert [len(frames) for frames in read_source(path)] == [4, 3, 2]


@pytest.mark.parametrize("given", ["mapped.psf", "mapped.dcd"])
def test_a_trajectory_finds_its_psf_and_a_psf_its_trajectory(tmp_path, wobbling, given):
    write_psf(tmp_path / "mapped.psf", wobbling().system)
    write_trajectory(tmp_path / "mapped.dcd", wobbling(6).positions)
    (source,) = read_sources(tmp_path / given)
    assert source.replicas[0].positions == pytest.approx(wobbling(6).positions, abs=1e-4)


def refusal(error, path):
    with pytest.raises(error) as caught:
        read_sources(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_what_cannot_be_analysed_is_refused_in_one_line(tmp_path, run_folder, wobbling):
    assert "no such file" in refusal(StorageError, tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "not a cgprot run folder" in refusal(StorageError, tmp_path / "empty")
    (tmp_path / "notes.txt").write_text("no")
    assert "give one of these" in refusal(InputError, tmp_path / "notes.txt")
    (tmp_path / "broken.h5").write_text("no")
    refusal(StorageError, tmp_path / "broken.h5")
    write_trajectory(tmp_path / "alone.dcd", wobbling().positions)
    assert "0 PSF files" in refusal(InputError, tmp_path / "alone.dcd")
    write_psf(tmp_path / "lonely.psf", wobbling().system)
    assert "no trajectory" in refusal(InputError, tmp_path / "lonely.psf")


def test_a_folder_of_another_verb_is_refused(run_folder):
    write_run(run_folder, "train", {}, [])
    assert "`cgprot train`" in refusal(InputError, run_folder)


def test_a_run_without_trajectories_is_refused(run_folder):
    for path in run_folder.glob("*.dcd"):
        path.unlink()
    assert "no replica_*.dcd" in refusal(InputError, run_folder)
