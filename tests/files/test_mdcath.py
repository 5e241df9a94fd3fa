"""All-atom mdCATH files: faults refused by frame, whole molecules, one line for a wrong file."""

import h5py
import numpy as np
import pytest
from synthetic_mdcath import write_mdcath

from cgprot.errors import InputError, StorageError
from cgprot.files.dataset import DatasetWriter, read_dataset
from cgprot.files.mdcath import MdcathFile, fingerprint, is_mdcath_path
from cgprot.files.periodic import Bonded
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference.streams import MapReport, map_mdcath_to


@pytest.fixture
def frames(chignolin_atoms):
    """Twenty frames: chignolin's four, shaken."""
    four = list(chignolin_atoms)
    noise = np.random.default_rng(1).normal(scale=0.01, size=(20, 166, 3))
    positions = np.array([four[i % 4].positions for i in range(20)]) + noise
    return positions, np.array([four[i % 4].forces for i in range(20)])


@pytest.fixture
def path(tmp_path, chignolin_atoms, frames):
    return write_mdcath(
        tmp_path / "mdcath_dataset_1clnA00.h5",
        "1clnA00",
        chignolin_atoms.topology,
        {"320/0": frames, "348/1": frames},
    )


def read(path, key: str = "320/0"):
    """All sound frames of a trajectory, and the faults counted."""
    with MdcathFile(path) as file:
        topology = file.topology("1clnA00")
        bonded = Bonded.from_bonds(topology.bonds, len(topology.element))
        replica = next(found for found in file.replicas("1clnA00") if found.key.endswith(key))
        chunks = [
            (c.number.copy(), c.positions.copy(), c.forces.copy(), c.time)
            for c in file.chunks(replica, bonded)
        ]
        numbers, positions, forces, time = (np.concatenate(parts) for parts in zip(*chunks, strict=True))
        return numbers, positions, forces, time, dict(file.faults)


def change(path, name: str, index, value, key: str = "320/0") -> None:
    with h5py.File(path, "r+") as file:
        file[f"1clnA00/{key}/{name}"][index] = value


def test_topology_is_the_psfs_without_its_water(path, chignolin_atoms):
    with MdcathFile(path) as file:
        topology = file.topology("1clnA00")
        assert [replica.key for replica in file.replicas("1clnA00")] == ["1clnA00/320/0", "1clnA00/348/1"]
    expected = chignolin_atoms.topology
    for name in ("element", "name", "residue_name", "residue_id", "chain"):
        assert np.array_equal(getattr(topology, name), getattr(expected, name)), name
    assert {tuple(sorted(b)) for b in topology.bonds.tolist()} == {
        tuple(sorted(b)) for b in expected.bonds.tolist()
    }


def test_frames_come_as_they_are(path, frames):
    numbers, positions, forces, time, faults = read(path)
    np.testing.assert_array_equal(positions, frames[0].astype(np.float32))
    np.testing.assert_array_equal(forces, frames[1].astype(np.float32))
    assert numbers.tolist() == list(range(20))
    assert time[1] - time[0] == 1000.0  # mdCATH has a frame every ns
    assert faults == {}


@pytest.mark.parametrize(
    ("name", "index", "value", "reason"),
    [
        ("coords", (3, 17, 1), 2.1e7, "beyond 1e5 Å"),  # in 47 of mdCATH's trajectories
        ("coords", (3,), 0.0, "all zeros"),  # in one of mdCATH's frames
        ("coords", (3, 5, 0), np.nan, "not finite"),
        ("coords", (3, 5, 0), np.inf, "not finite"),
        ("forces", (3, 5, 0), np.nan, "not finite"),
    ],
)
def test_faulty_frames_are_refused_and_counted(path, frames, name, index, value, reason):
    change(path, name, index, value)
    numbers, _, forces, time, faults = read(path)
    assert faults == {reason: 1}
    assert numbers.tolist() == [i for i in range(20) if i != 3]
    np.testing.assert_array_equal(forces, np.delete(frames[1], 3, axis=0).astype(np.float32))
    assert time[3] == 4000.0
    assert read(path, "348/1")[4] == {}


def test_split_molecules_are_made_whole(path, frames):
    split = frames[0].astype(np.float32)
    split[:, 80:, 0] += 80.0
    change(path, "coords", ..., split)
    _, positions, _, _, faults = read(path)
    np.testing.assert_allclose(positions, frames[0], atol=2e-5)
    assert faults == {}


def test_chains_stay_together_in_frames_without_a_split_bond(tmp_path, chignolin_atoms, frames):
    one = chignolin_atoms.topology
    columns = {name: np.tile(getattr(one, name), 2) for name in one._fields if name not in ("chain", "bonds")}
    bonds = np.concatenate([one.bonds, one.bonds + 166])
    dimer = one._replace(**columns, chain=np.repeat(["A", "B"], 166), bonds=bonds)
    together = np.concatenate([frames[0], frames[0] + [20.0, 0.0, 0.0]], axis=1)
    apart = together.copy()
    apart[5:, 166:, 0] += 80.0
    apart[7, 200, 0] -= 80.0
    path = tmp_path / "mdcath_dataset_1clnA00.h5"
    write_mdcath(path, "1clnA00", dimer, {"320/0": (apart, np.zeros_like(apart))})
    np.testing.assert_allclose(read(path)[1], together, atol=2e-5)


def test_residues_that_an_insertion_code_tells_apart_stay_two(path):
    """Both tyrosines with the number 1, as 1 and 1A; later numbers follow."""
    with h5py.File(path, "r+") as file:
        text = file["1clnA00/psf"][()].decode()
        assert text.count(" A        2        TYR ") == 21
        del file["1clnA00/psf"]
        file["1clnA00/psf"] = text.replace(" A        2        TYR ", " A        1A       TYR ").encode()
    with MdcathFile(path) as file:
        topology = file.topology("1clnA00")
    system = build_system(topology, load_rules("heavy"))
    alpha = system.bead_name == "CA"
    assert system.residue_id[alpha].tolist() == list(range(1, 11))
    assert system.residue_index[-1] == 9
    assert file.notes == {"chain renumbered": 1}
    report = MapReport()
    with DatasetWriter(path.with_name("beads.h5")) as writer:
        map_mdcath_to(writer, path, load_rules("heavy"), report)
    assert "chain renumbered: 1" in str(report)


def test_other_and_damaged_files_cost_one_line(path, tmp_path, chignolin):
    with pytest.raises(StorageError, match="could not be read"):
        MdcathFile(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_text("x")
    with pytest.raises(StorageError, match="could not be read"):
        MdcathFile(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(InputError, match="not an all-atom mdCATH"):
        MdcathFile(tmp_path / "other.h5")
    assert [is_mdcath_path(tmp_path / name) for name in ("none.h5", "text.h5", "other.h5")] == [False] * 3
    assert is_mdcath_path(path)
    change_z = h5py.File(path, "r+")
    change_z["1clnA00/z"][0] = 1
    change_z.close()
    with MdcathFile(path) as file, pytest.raises(InputError, match="psf does not fit z"):
        file.topology("1clnA00")


def test_fingerprint_follows_the_content(path, tmp_path):
    first = fingerprint(path)
    assert fingerprint(path) == first
    change(path, "coords", (0, 0, 0), 3.0)
    assert fingerprint(path) != first


def test_read_dataset_is_for_beads(path):
    with pytest.raises(InputError, match="cgprot map"):
        read_dataset(path)
