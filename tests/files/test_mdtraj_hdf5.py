"""mdtraj's HDF5 trajectories, written by mdtraj: mapped as the PDB and TRR they came from."""

import h5py
import mdtraj
import numpy as np
import pytest

from cgprot.errors import InputError, StorageError
from cgprot.files import mdtraj_hdf5
from cgprot.files.dataset import read_dataset
from cgprot.files.mdcath import is_mdcath_path
from cgprot.files.universe import AtomSource

pytest.importorskip("tables")  # mdtraj writes with it


@pytest.fixture
def trajectory(examples):
    return mdtraj.load(examples / "chignolin.trr", top=examples / "chignolin.pdb")


@pytest.fixture
def path(trajectory, tmp_path):
    trajectory.save_hdf5(tmp_path / "traj.h5")
    return tmp_path / "traj.h5"


def test_topology_and_frames_are_those_of_the_other_formats(path, trajectory, chignolin_atoms):
    source = AtomSource(path, [path])
    for name, values in chignolin_atoms.topology._asdict().items():
        if name != "bonds":
            np.testing.assert_array_equal(getattr(source.topology, name), values, err_msg=name)
    assert set(map(frozenset, source.topology.bonds.tolist())) == set(
        map(frozenset, chignolin_atoms.topology.bonds.tolist())
    )
    assert len(source) == 4
    for frame, expected, time in zip(source, chignolin_atoms, trajectory.time, strict=True):
        np.testing.assert_allclose(frame.positions, expected.positions, atol=1e-4)
        assert frame.time == pytest.approx(time)
        assert frame.forces is None


def test_map_takes_the_file_alone_or_with_a_topology(path, tmp_path, examples, call, chignolin):
    pdb = examples / "chignolin.pdb"
    for number, inputs in enumerate(([path], [path, path], [pdb, path], [path, examples / "chignolin.trr"])):
        output = tmp_path / f"{number}.h5"
        code, out, _ = call("map", *inputs, "-o", output, "--name", "cln", "--temperature", 300)
        assert (code, "4 frames of 93 beads in 1 trajectories" in out) == (0, True)
        frames = read_dataset(output)["cln/300/0"]
        np.testing.assert_allclose(frames.positions, chignolin.positions, atol=1e-4)
        assert ("no forces in cln/300/0" in out) == (number < 3)


def test_frames_are_the_same_whatever_the_block(path, monkeypatch):
    whole = [frame.positions for frame in AtomSource(path, [path])]
    monkeypatch.setattr(mdtraj_hdf5, "_BYTES_PER_BLOCK", 3 * 166 * 12)
    reader = mdtraj_hdf5.MdtrajReader(str(path))
    assert reader[3].frame == 3
    assert len(reader._block) == 1
    for pass_ in range(2):
        read = [step.positions.copy() for step in reader]
        np.testing.assert_array_equal(read, np.float32(whole), err_msg=str(pass_))
    reader.close()


def test_a_box_is_in_angstroms_and_makes_molecules_whole(trajectory, tmp_path, chignolin_atoms):
    box = np.array([4.0, 4.2, 4.4])  # nm
    trajectory.unitcell_lengths = np.tile(box, (4, 1))
    trajectory.unitcell_angles = np.full((4, 3), 90.0)
    trajectory.xyz = np.mod(trajectory.xyz + 1.5, box)
    trajectory.save_hdf5(tmp_path / "split.h5")
    source = AtomSource(tmp_path / "split.h5", [])
    for frame, expected in zip(source, chignolin_atoms, strict=True):
        whole = expected.positions - expected.positions[0]
        np.testing.assert_allclose(frame.positions - frame.positions[0], whole, atol=1e-4)


def test_bonds_are_those_of_the_file(trajectory, tmp_path):
    """Two atoms far apart: no rule of distances bonds them."""
    trajectory.topology.add_bond(trajectory.topology.atom(0), trajectory.topology.atom(160))
    trajectory.save_hdf5(tmp_path / "bond.h5")
    assert [0, 160] in AtomSource(tmp_path / "bond.h5", []).topology.bonds.tolist()


def test_chains_without_names_get_letters(trajectory, tmp_path):
    two = trajectory[0].stack(trajectory[0])
    two.xyz[:, 166:] += 5.0
    for chain in two.topology.chains:
        chain.chain_id = None
    two.save_hdf5(tmp_path / "two.h5")
    chain = AtomSource(tmp_path / "two.h5", []).topology.chain
    assert chain.tolist() == ["A"] * 166 + ["B"] * 166


def test_kinds_of_h5_are_told_apart(path, tmp_path):
    with h5py.File(tmp_path / "mdcath.h5", "w") as file:
        file.attrs["layout"] = "mdcath-only-protein-v1.0"
    (tmp_path / "text.h5").write_text("x")
    kinds = {name: tmp_path / name for name in ("traj.h5", "mdcath.h5", "text.h5", "none.h5")}
    assert [name for name, one in kinds.items() if mdtraj_hdf5.is_mdtraj_path(one)] == ["traj.h5"]
    assert not is_mdcath_path(path)


def _replace(file: h5py.File, name: str, data) -> None:
    del file[name]
    file[name] = data


FAULTS = {
    "no topology in it": lambda file: file.pop("topology"),
    "its topology is damaged": lambda file: _replace(file, "topology", [b'{"chains": [{"index": 0}]}']),
    "a bond to atom 999 of 166": lambda file: _replace(
        file, "topology", [file["topology"][0].replace(b'"bonds": [', b'"bonds": [[0, 999], ')]
    ),
    "no frames in it": lambda file: _replace(file, "coordinates", np.empty((0, 166, 3))),
    "the shape ()": lambda file: file.pop("coordinates"),
    "coordinates in angstroms": lambda file: file["coordinates"].attrs.modify("units", "angstroms"),
    "time of 3 frames for 4": lambda file: _replace(file, "time", np.zeros(3)),
    "same number of atoms": lambda file: _replace(file, "coordinates", np.zeros((4, 165, 3))),
    "position of atom 1 is not finite": lambda file: file["coordinates"].__setitem__((0, 0), np.nan),
}


@pytest.mark.parametrize("reason", FAULTS)
def test_wrong_files_cost_one_line(path, tmp_path, call, reason):
    with h5py.File(path, "r+") as file:
        if reason.startswith("position"):
            _replace(file, "topology", [file["topology"][0].split(b'"bonds": [')[0] + b'"bonds": []}'])
        FAULTS[reason](file)
    code, _, err = call("map", path, "-o", tmp_path / "out.h5", "--temperature", 300)
    assert code == InputError.exit_code
    assert reason in err
    assert str(path) in err
    assert err.count("\n") == 1
    assert not (tmp_path / "out.h5").exists()


def test_cut_files_cost_one_line(path, tmp_path, call):
    content = path.read_bytes()
    for size in (100, len(content) // 2, len(content) - 200):
        path.write_bytes(content[:size])
        code, _, err = call("map", path, "-o", tmp_path / "out.h5", "--temperature", 300)
        assert code in (InputError.exit_code, StorageError.exit_code)
        assert str(path) in err
        assert err.count("\n") == 1
        assert not (tmp_path / "out.h5").exists()


def test_check_says_that_there_are_no_forces(path, tmp_path, call):
    code, _, err = call("map", "--check", path, "-o", tmp_path / "x.png")
    assert code == InputError.exit_code
    assert "no forces in the trajectories" in err
    code, _, err = call("map", path, "-o", tmp_path / "x.h5")
    assert "say --temperature" in err
