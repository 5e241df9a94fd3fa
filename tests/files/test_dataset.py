import dataclasses

import h5py
import numpy as np
import pytest

from cgprot.beads import BeadFrames
from cgprot.errors import InputError, StorageError
from cgprot.files.dataset import count_frames, read_dataset, write_dataset


@pytest.fixture
def path(tmp_path, chignolin):
    noisy = BeadFrames(
        chignolin.system, chignolin.positions, chignolin.forces, np.ones_like(chignolin.forces)
    )
    write_dataset(tmp_path / "set.h5", {"cln/300/0": chignolin, "cln/350/0": noisy})
    return tmp_path / "set.h5"


def test_round_trip(path, chignolin):
    entries = read_dataset(path)
    assert list(entries) == ["cln/300/0", "cln/350/0"]
    back = entries["cln/300/0"]
    np.testing.assert_array_equal(back.positions, chignolin.positions.astype(np.float32))
    np.testing.assert_array_equal(back.forces, chignolin.forces.astype(np.float32))
    np.testing.assert_array_equal(back.time, chignolin.time)
    assert back.temperature == 300.0
    assert back.force_noise is None
    assert (entries["cln/350/0"].force_noise == 1).all()
    for name, value in vars(chignolin.system).items():
        assert np.array_equal(getattr(back.system, name), value), name


def test_properties_of_frames_come_back(tmp_path, chignolin):
    n = len(chignolin)
    energy, dipole = -1e6 + np.arange(n) * 1e-3, np.random.default_rng(0).normal(size=(n, 3))
    labelled = dataclasses.replace(chignolin, properties={"energy": energy, "dipole": dipole})
    write_dataset(tmp_path / "set.h5", {"cln/300/0": labelled})
    back = read_dataset(tmp_path / "set.h5")["cln/300/0"].properties
    np.testing.assert_array_equal(back["energy"], energy)  # in double precision
    np.testing.assert_array_equal(back["dipole"], dipole.astype(np.float32))
    with h5py.File(tmp_path / "set.h5") as file:
        assert file["cln/300/0/property_dipole"].attrs["unit"] == "e*Angstrom"
    with pytest.raises(InputError, match="3 of energy for 4 frames"):
        dataclasses.replace(chignolin, properties={"energy": energy[:3]})


def test_boxes_of_frames_come_back(tmp_path, chignolin):
    n = len(chignolin)
    box = np.diag([30.1, 31.0, 32.0]) + np.random.default_rng(0).normal(size=(n, 3, 3))
    write_dataset(tmp_path / "set.h5", {"cln/300/0": dataclasses.replace(chignolin, box=box)})
    np.testing.assert_array_equal(read_dataset(tmp_path / "set.h5")["cln/300/0"].box, box)


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"box": np.eye(3)}, r"box has shape \(3, 3\)"), ({"time": np.arange(3.0)}, "3 times for 4 frames")],
)
def test_boxes_and_times_are_one_a_frame(chignolin, wrong, told):
    with pytest.raises(InputError, match=told):
        dataclasses.replace(chignolin, **wrong)


def test_layout_is_mdcath_noh(path):
    with h5py.File(path) as file:
        assert file.attrs["layout"] == "mdcath-dataset-noh"
        assert file["cln/z"].shape == (93,)
        group = file["cln/300/0"]
        assert group.attrs["numFrames"] == 4
        assert group["coords"].attrs["unit"] == "Angstrom"
        assert group["forces"].attrs["unit"] == "kcal/mol/Angstrom"
        assert group["coords"].dtype == np.float32


def test_failed_write_leaves_nothing(tmp_path, chignolin):
    class Broken(BeadFrames):
        @property
        def time(self):
            raise OSError("disk full")

        @time.setter
        def time(self, value):
            pass

    broken = object.__new__(Broken)
    for name in ("system", "positions", "forces", "force_noise", "temperature"):
        object.__setattr__(broken, name, getattr(chignolin, name))
    with pytest.raises(StorageError, match="disk full"):
        write_dataset(tmp_path / "set.h5", {"cln/300/0": broken})
    assert list(tmp_path.iterdir()) == []


def test_other_files_are_refused(tmp_path, path):
    with pytest.raises(StorageError, match="check the path"):
        read_dataset(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not a mdcath-dataset-noh"):
        read_dataset(tmp_path / "other.h5")
    with h5py.File(path, "a") as file:
        del file["cln/beads/mass"]
    with pytest.raises(InputError, match="incomplete"):
        read_dataset(path)


@pytest.mark.parametrize("read", [read_dataset, count_frames])
def test_a_missing_file_is_named_in_plain_words(tmp_path, read):
    with pytest.raises(StorageError, match=r"none.h5: no such file: check the path$"):
        read(tmp_path / "none.h5")
