import logging
import warnings

import numpy as np
import pytest

from cgprot.errors import InputError, StorageError
from cgprot.files.dcd import DcdFile, cell_of_dcd, check_dcd, read_dcd

N_BEADS, INTERVAL, TIMESTEP_PS = 7, 250, 0.004


def _positions(n_frames, n_beads=N_BEADS):
    return np.random.default_rng(1).normal(scale=30.0, size=(n_frames, n_beads, 3))


def _write(path, positions, sync=True, start_step=0):
    file = DcdFile.create(path, positions.shape[1], INTERVAL, TIMESTEP_PS, start_step)
    for frame in positions:
        file.append(frame)
    if sync:
        file.sync()
    return file


def _mark_after(tmp_path, positions):
    """Where the file of these frames would end."""
    return _write(tmp_path / "marked.dcd", positions).mark


def _by_mdanalysis(path, n_beads=N_BEADS):
    import MDAnalysis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe.empty(n_beads, trajectory=True)
        universe.load_new(str(path))
        frames = [(step.positions.copy(), step.time) for step in universe.trajectory]
    assert universe.trajectory[0].dimensions is None
    return np.array([x for x, _ in frames]), np.array([t for _, t in frames])


@pytest.mark.parametrize("start_step", [0, 1000])
def test_other_readers_see_the_same(tmp_path, start_step):
    from mdtraj.formats import DCDTrajectoryFile

    positions = _positions(5)
    _write(tmp_path / "a.dcd", positions, start_step=start_step)
    ours, time = read_dcd(tmp_path / "a.dcd")
    np.testing.assert_array_equal(ours, positions.astype(np.float32))
    np.testing.assert_allclose(time, start_step * TIMESTEP_PS + np.arange(5), rtol=1e-7)
    theirs, their_time = _by_mdanalysis(tmp_path / "a.dcd")
    np.testing.assert_array_equal(theirs, ours)
    np.testing.assert_allclose(their_time, time, rtol=1e-7)
    # mdtraj leaves the times of a DCD alone and counts frames.
    with DCDTrajectoryFile(str(tmp_path / "a.dcd")) as file:
        np.testing.assert_array_equal(file.read()[0], ours)


def test_openmm_writes_the_same_frames(tmp_path):
    app = pytest.importorskip("openmm.app")
    import openmm

    positions = _positions(3)
    _write(tmp_path / "ours.dcd", positions)
    topology = app.Topology()
    residue = topology.addResidue("GLY", topology.addChain())
    for _ in range(N_BEADS):
        topology.addAtom("CA", app.Element.getBySymbol("C"), residue)
    with open(tmp_path / "theirs.dcd", "wb") as stream:
        writer = app.DCDFile(stream, topology, TIMESTEP_PS, 0, INTERVAL)
        for frame in positions:
            writer.writeModel([openmm.Vec3(*bead) / 10 for bead in frame])
    ours, theirs = _by_mdanalysis(tmp_path / "ours.dcd"), _by_mdanalysis(tmp_path / "theirs.dcd")
    np.testing.assert_allclose(ours[0], theirs[0], rtol=1e-6)
    # OpenMM rounds AKMA_PS to 0.04888821 itself.
    np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-6)


def test_header_counts_frames_after_sync(tmp_path):
    file = _write(tmp_path / "a.dcd", _positions(3), sync=False)
    assert np.fromfile(tmp_path / "a.dcd", dtype="<i4", count=6)[2] == 0
    file.sync()
    header = np.fromfile(tmp_path / "a.dcd", dtype="<i4", count=6)
    assert (header[2], header[4], header[5]) == (3, INTERVAL, 3 * INTERVAL)


def test_unsynced_frames_are_read(tmp_path):
    _write(tmp_path / "a.dcd", _positions(3), sync=False)
    assert len(read_dcd(tmp_path / "a.dcd")[0]) == 3
    assert len(_by_mdanalysis(tmp_path / "a.dcd")[0]) == 3


def test_torn_tail_is_cut_and_continued_to_the_same_bytes(tmp_path):
    positions = _positions(6)
    _write(tmp_path / "whole.dcd", positions)
    mark = _mark_after(tmp_path, positions[:3])
    whole = (tmp_path / "whole.dcd").read_bytes()
    generator = np.random.default_rng(2)
    frame_size = 3 * (8 + 4 * N_BEADS)
    for size in generator.integers(len(whole) - 3 * frame_size, len(whole), 6):
        torn = tmp_path / "torn.dcd"
        torn.write_bytes(whole[:size])
        whole_frames = read_dcd(torn)[0]
        np.testing.assert_array_equal(whole_frames, positions[: len(whole_frames)].astype(np.float32))
        file = DcdFile.reopen(torn, mark)
        assert len(_by_mdanalysis(torn)[0]) == 3
        for frame in positions[3:]:
            file.append(frame)
        file.sync()
        assert torn.read_bytes() == whole


def test_too_few_frames_are_refused_and_the_file_left_alone(tmp_path):
    path = tmp_path / "a.dcd"
    _write(path, _positions(4))
    path.write_bytes(path.read_bytes()[:-1])
    before = path.read_bytes()
    with pytest.raises(StorageError, match="holds 3 whole frames, not 4"):
        DcdFile.reopen(path, _mark_after(tmp_path, _positions(4)))
    assert path.read_bytes() == before


def test_zeroed_frame_is_refused(tmp_path):
    """What a file system may leave of blocks that never reached the disk."""
    path = tmp_path / "a.dcd"
    _write(path, _positions(4))
    data = bytearray(path.read_bytes())
    frame_size = 3 * (8 + 4 * N_BEADS)
    data[-2 * frame_size :] = bytes(2 * frame_size)
    path.write_bytes(data)
    assert len(read_dcd(path)[0]) == 2
    with pytest.raises(StorageError, match="holds 2 whole frames, not 3"):
        DcdFile.reopen(path, _mark_after(tmp_path, _positions(3)))


def test_first_frames_alone(tmp_path):
    positions = _positions(4)
    _write(tmp_path / "a.dcd", positions)
    first, time = read_dcd(tmp_path / "a.dcd", n_frames=1)
    np.testing.assert_array_equal(first, positions[:1].astype(np.float32))
    assert time == [0.0]


def test_one_bead_and_no_frame(tmp_path):
    _write(tmp_path / "a.dcd", _positions(2, n_beads=1))
    assert read_dcd(tmp_path / "a.dcd")[0].shape == (2, 1, 3)
    _write(tmp_path / "b.dcd", _positions(0))
    assert read_dcd(tmp_path / "b.dcd")[0].shape == (0, N_BEADS, 3)


@pytest.mark.parametrize("content", [b"", b"CORD" * 10, bytes(400), bytes(range(256)) * 2])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "a.dcd").write_bytes(content)
    with pytest.raises(StorageError, match="not a"):
        read_dcd(tmp_path / "a.dcd")


def test_foreign_layout_is_refused_not_misread(tmp_path):
    import MDAnalysis

    logging.disable()
    universe = MDAnalysis.Universe.empty(N_BEADS, trajectory=True)
    universe.dimensions = [50, 50, 50, 90, 90, 90]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe.atoms.write(str(tmp_path / "a.dcd"))
    logging.disable(logging.NOTSET)
    with pytest.raises(StorageError, match="read it with MDAnalysis"):
        read_dcd(tmp_path / "a.dcd")


def test_numbers_beyond_the_format_are_refused(tmp_path):
    with pytest.raises(InputError, match="2\\*\\*31"):
        DcdFile.create(tmp_path / "a.dcd", N_BEADS, 2**31, TIMESTEP_PS)
    assert not (tmp_path / "a.dcd").exists()


CELL = (41.0, 32.5, 53.25, 70.0, 85.0, 100.0)


def _write_with_cell(path, positions):
    file = DcdFile.create(path, N_BEADS, INTERVAL, TIMESTEP_PS, cell=CELL)
    for frame in positions:
        file.append(frame)
    file.sync()
    return file


def test_other_readers_see_the_unit_cell(tmp_path):
    import MDAnalysis
    from mdtraj.formats import DCDTrajectoryFile

    positions = _positions(3)  # far outside the cell: they stay as they are
    _write_with_cell(tmp_path / "a.dcd", positions)
    np.testing.assert_array_equal(read_dcd(tmp_path / "a.dcd")[0], positions.astype(np.float32))
    assert cell_of_dcd(tmp_path / "a.dcd") == CELL
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = MDAnalysis.Universe.empty(N_BEADS, trajectory=True)
        universe.load_new(str(tmp_path / "a.dcd"))
    for step, frame in zip(universe.trajectory, positions, strict=True):
        np.testing.assert_allclose(step.dimensions, CELL, rtol=1e-6)
        np.testing.assert_allclose(step.positions, frame, rtol=1e-6)
    with DCDTrajectoryFile(str(tmp_path / "a.dcd")) as file:
        _, lengths, angles = file.read()
    np.testing.assert_allclose(lengths, [CELL[:3]] * 3, rtol=1e-6)
    np.testing.assert_allclose(angles, [CELL[3:]] * 3, rtol=1e-6)


def test_a_file_with_a_cell_is_continued_to_the_same_bytes(tmp_path):
    positions = _positions(4)
    whole = _write_with_cell(tmp_path / "a.dcd", positions)
    file = _write_with_cell(tmp_path / "b.dcd", positions[:2])
    mark = file.mark
    file.append(positions[3])
    assert check_dcd(tmp_path / "b.dcd", mark)[1] == 2
    again = DcdFile.reopen(tmp_path / "b.dcd", mark)
    for frame in positions[2:]:
        again.append(frame)
    again.sync()
    assert (tmp_path / "b.dcd").read_bytes() == (tmp_path / "a.dcd").read_bytes()
    assert again.mark == whole.mark
