"""Topologies through MDAnalysis: bonds from the file or by distance, solvent left out."""

from pathlib import Path

import MDAnalysis
import numpy as np
import pytest
from openmm import app

from cgprot.errors import InputError, StorageError
from cgprot.files.topology import bonds_by_distance
from cgprot.files.universe import AtomSource, open_universe, read_positions


def pairs(bonds) -> set[tuple[int, int]]:
    return {tuple(sorted(pair)) for pair in np.asarray(bonds).tolist()}


def test_bonds_by_distance_are_those_of_the_residue_templates(examples, chignolin_atoms):
    by_template = app.PDBFile(str(examples / "chignolin.pdb")).topology.bonds()
    assert pairs(chignolin_atoms.topology.bonds) == pairs([(a.index, b.index) for a, b in by_template])


def test_a_disulfide_is_a_bond_and_a_near_hydrogen_is_not():
    positions = np.array([[0, 0, 0], [2.05, 0, 0], [0, 1.34, 0], [1.2, 1.0, 0]])
    element = np.array(["S", "S", "H", "C"])
    assert pairs(bonds_by_distance(positions, element)) == {(0, 1), (0, 3), (1, 3), (2, 3)}


def test_solvent_is_left_out_and_counted(examples, tmp_path):
    text = (examples / "chignolin.pdb").read_text()
    water = "HETATM  900  O   HOH B   1      30.000  30.000  30.000  1.00  0.00           O  \n"
    path = tmp_path / "wet.pdb"
    path.write_text(text.replace("END\n", water + "END\n"))
    source = AtomSource(path, [])
    assert source.left_out["solvent and ion"] == 1
    assert len(source.topology.name) == 166


def test_forces_have_our_unit(chignolin_atoms, examples):
    """The last frame of the trajectory is the PDB's; ff14SB and OBC2 give its forces again."""
    from cgprot.reference.forcefield import create_system, single_thread_context
    from cgprot.reference.peptide import as_quantity
    from cgprot.reference.structure import load_structure
    from cgprot.units import FORCE_FROM_OPENMM

    openmm = pytest.importorskip("openmm")
    structure = load_structure(examples / "chignolin.pdb")
    system = create_system(structure.topology, "obc2", constrain_hydrogens=True)
    context = single_thread_context(system, openmm.VerletIntegrator(0.001), "CPU")
    frame = list(chignolin_atoms)[-1]
    context.setPositions(as_quantity(frame.positions))
    forces = context.getState(getForces=True).getForces(asNumpy=True)._value * FORCE_FROM_OPENMM
    # TRR keeps positions in float32: 1e-7 nm on stiff bonds.
    np.testing.assert_allclose(frame.forces, forces, atol=0.1)
    assert np.abs(forces).max() > 50


def test_errors_are_one_line(examples, tmp_path):
    with pytest.raises(StorageError, match="no such file"):
        AtomSource(tmp_path / "none.pdb", [])
    with pytest.raises(InputError, match="belong together"):
        AtomSource(
            examples / "chignolin.pdb", [examples / "chignolin.pdb", examples / "../mappings/heavy.toml"]
        )
    text = (examples / "chignolin.pdb").read_text().replace("   5.136  -0.305", "     nan  -0.305")
    (tmp_path / "nan.pdb").write_text(text)
    with pytest.raises(InputError, match="position of atom 1 is not finite"):
        AtomSource(tmp_path / "nan.pdb", [])


@pytest.mark.parametrize("suffix", [".trr", ".nc", ".h5md"])
def test_forces_come_the_same_through_every_format(examples, chignolin_atoms, tmp_path, suffix):
    universe = MDAnalysis.Universe(examples / "chignolin.pdb", examples / "chignolin.trr")
    path = tmp_path / f"chignolin{suffix}"
    options = {"n_atoms": 166} | ({"forces": True} if suffix != ".trr" else {})
    options |= (
        {"lengthunit": "Angstrom", "timeunit": "ps", "forceunit": "kJ/(mol*Angstrom)"}
        if suffix == ".h5md"
        else {}
    )
    universe.trajectory[0]
    with MDAnalysis.Writer(str(path), **options) as writer:
        for _ in universe.trajectory:
            writer.write(universe.atoms)
    source = AtomSource(examples / "chignolin.pdb", [path])
    for frame, expected in zip(source, chignolin_atoms, strict=True):
        np.testing.assert_allclose(frame.positions, expected.positions, atol=1e-4)
        np.testing.assert_allclose(frame.forces, expected.forces, rtol=1e-5, atol=1e-3)
    assert sum(len(chunk.number) for chunk in source.chunks()) == 4


def test_a_trajectory_split_by_its_box_is_made_whole(examples, chignolin_atoms, tmp_path):
    universe = MDAnalysis.Universe(examples / "chignolin.pdb", examples / "chignolin.trr")
    with MDAnalysis.Writer(str(tmp_path / "split.trr"), 166) as writer:
        for step in universe.trajectory:
            step.dimensions = [40.0, 42.0, 44.0, 90.0, 90.0, 90.0]
            step.positions = np.mod(step.positions + 15.0, step.dimensions[:3])
            writer.write(universe.atoms)
    source = AtomSource(examples / "chignolin.pdb", [tmp_path / "split.trr"])
    for frame, expected in zip(source, chignolin_atoms, strict=True):
        whole = expected.positions - expected.positions[0]
        np.testing.assert_allclose(frame.positions - frame.positions[0], whole, atol=1e-4)


@pytest.fixture
def dimer(examples):
    """Two chignolins, chains A and B, in one place."""
    one = MDAnalysis.Universe(examples / "chignolin.pdb").atoms
    dimer = MDAnalysis.Merge(one, one)
    dimer.atoms.chainIDs = np.repeat(["A", "B"], 166)
    return dimer


def test_chains_stay_together_in_frames_without_a_split_bond(dimer, tmp_path):
    """Whole chains in different images, which no long bond tells: one frame in three had one."""
    dimer.atoms[166:].translate([20.0, 0.0, 0.0])
    together = dimer.atoms.positions + 10.0
    frames = np.repeat(together[None], 3, axis=0)
    frames[1:, 166:, 0] += 60.0
    frames[2, 200, 0] -= 60.0
    dimer.load_new(frames, dimensions=np.tile([60.0, 60.0, 60.0, 90.0, 90.0, 90.0], (3, 1)))
    dimer.atoms.write(str(tmp_path / "dimer.pdb"))
    dimer.atoms.write(str(tmp_path / "dimer.xtc"), frames="all")
    for frame in AtomSource(tmp_path / "dimer.pdb", [tmp_path / "dimer.xtc"]):
        np.testing.assert_allclose(frame.positions, together, atol=0.011)


def test_chains_of_a_structure_stay_where_its_file_has_them(dimer, tmp_path):
    """The cell of a crystal says nothing about which chains belong together."""
    dimer.atoms[166:].translate([35.0, 0.0, 0.0])
    dimer.dimensions = [60.0, 60.0, 60.0, 90.0, 90.0, 90.0]
    dimer.atoms.write(str(tmp_path / "dimer.pdb"))
    for trajectories in ([], [tmp_path / "dimer.pdb"]):
        (frame,) = AtomSource(tmp_path / "dimer.pdb", trajectories)
        np.testing.assert_allclose(frame.positions, dimer.atoms.positions, atol=1e-3)


def test_a_damaged_trajectory_costs_one_line(examples, tmp_path, capfd):
    path = tmp_path / "cut.trr"
    path.write_bytes((examples / "chignolin.trr").read_bytes()[:-500])
    with pytest.raises(InputError) as caught:
        list(AtomSource(examples / "chignolin.pdb", [path]))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    (tmp_path / "text.trr").write_text("x")
    with pytest.raises(InputError):
        AtomSource(examples / "chignolin.pdb", [tmp_path / "text.trr"])
    assert capfd.readouterr().err == ""


def test_a_trajectory_that_ends_within_a_frame_is_refused(examples, tmp_path):
    """MDAnalysis takes its last whole frame for the end."""
    universe, path = MDAnalysis.Universe(str(examples / "chignolin.pdb")), tmp_path / "cut.xtc"
    with MDAnalysis.Writer(str(path), universe.atoms.n_atoms) as writer:
        for _ in range(3):
            writer.write(universe.atoms)
    assert len(read_positions(examples / "chignolin.pdb", path)[0]) == 3
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="ends within frame 3 of 3"):
        read_positions(examples / "chignolin.pdb", path)


@pytest.mark.parametrize("cut", ["first.dcd", "second.dcd", "second.xtc"])
def test_one_of_several_trajectories_that_is_cut_short_is_named(examples, tmp_path, cut):
    universe = MDAnalysis.Universe(str(examples / "chignolin.pdb"), str(examples / "chignolin.trr"))
    paths = [tmp_path / f"{name}{Path(cut).suffix}" for name in ("first", "second")]
    for path in paths:
        with MDAnalysis.Writer(str(path), universe.atoms.n_atoms) as writer:
            for _ in universe.trajectory:
                writer.write(universe.atoms)
    assert len(list(AtomSource(examples / "chignolin.pdb", paths))) == 8
    path = tmp_path / cut
    # The next frame of an XTC has begun, but its header is not whole.
    path.write_bytes(path.read_bytes() + b"\0" * 8 if cut.endswith("xtc") else path.read_bytes()[:-50])
    with pytest.raises(InputError) as caught:
        list(AtomSource(examples / "chignolin.pdb", paths))
    assert str(caught.value).startswith(f"{path}: ")


def test_a_trajectory_in_the_place_of_the_topology_is_told(examples):
    with pytest.raises(InputError, match=r"chignolin\.trr: names no atoms or residues: give a topology"):
        AtomSource(examples / "chignolin.trr", [examples / "chignolin.pdb"])


def test_a_topology_alone_holds_no_positions(examples):
    with pytest.raises(InputError, match=r"chignolin_300K\.psf: holds no positions"):
        open_universe(examples / "chignolin_300K.psf", [])
