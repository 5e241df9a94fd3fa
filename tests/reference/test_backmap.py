"""Backmapped frames: heavy atoms to the last bit, X-H lengths of the force field, read by other programs."""

from dataclasses import replace

import mdtraj
import numpy as np
import openmm
import pytest
from openmm import app

from cgprot.beads import BeadFrames
from cgprot.cli import main
from cgprot.errors import InputError, UnstableError
from cgprot.files.dataset import write_dataset
from cgprot.files.dcd import read_dcd
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import load_rules
from cgprot.reference.backmap import _write_trajectory, add_hydrogens, all_atom_structure, backmap
from cgprot.reference.structure import structure_from_sequence, topology_of
from cgprot.reference.workers import progress_bar
from cgprot.simulate.box import multiplied


def beads_of(sequence: str) -> BeadFrames:
    """One frame of a peptide's beads."""
    structure = structure_from_sequence(sequence)
    topology = topology_of(structure.topology)
    system = build_system(topology, load_rules("heavy"))
    return BeadFrames(
        system, Projection(topology, system).positions(structure.positions)[None].astype(np.float32)
    )


@pytest.fixture(scope="module")
def dataset(tmp_path_factory, chignolin):
    path = tmp_path_factory.mktemp("beads") / "cln.h5"
    rounded = BeadFrames(chignolin.system, chignolin.positions.astype(np.float32), time=np.arange(4.0) + 2)
    write_dataset(path, {"cln/300/0": rounded})
    return path


@pytest.fixture(scope="module")
def written(dataset):
    output = dataset.with_name("all_atom.dcd")
    assert main(["backmap", str(dataset), "-o", str(output)]) == 0
    return mdtraj.load(str(output), top=str(output.with_suffix(".pdb")))


def test_heavy_atoms_are_unmoved_to_the_last_bit(dataset, written, chignolin):
    heavy = [atom.index for atom in written.topology.atoms if atom.element.symbol != "H"]
    with mdtraj.formats.DCDTrajectoryFile(str(dataset.with_name("all_atom.dcd"))) as file:
        positions = file.read()[0]  # Å; in nm a bit is lost
    np.testing.assert_array_equal(positions[:, heavy], chignolin.positions.astype(np.float32))


def test_a_topology_that_is_there_is_not_overwritten(dataset, tmp_path, capsys):
    (tmp_path / "system.psf").write_text("precious")
    assert main(["backmap", str(dataset), "-o", str(tmp_path / "system.dcd")]) == 2
    assert "system.psf: exists already" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["system.psf"]


def test_double_precision_frames_are_unmoved_too(chignolin, tmp_path):
    structure = all_atom_structure(chignolin.system, chignolin.positions[0], tmp_path)
    frames = chignolin.positions[:2] + 1e-13
    atoms = add_hydrogens(structure, frames, 1, progress_bar("backmap", 2, "frames"))
    np.testing.assert_array_equal(atoms[:, topology_of(structure.topology).element != "H"], frames)


def lengths(topology, positions) -> np.ndarray:
    """X-H lengths [Å] of positions in Å."""
    pairs = [(a.index, b.index) for a, b in topology.bonds() if "H" in (a.element.symbol, b.element.symbol)]
    i, j = np.array(pairs).T
    return np.linalg.norm(positions[:, i] - positions[:, j], axis=-1)


def test_hydrogens_have_the_lengths_of_the_force_field(dataset, written):
    pdb = app.PDBFile(str(dataset.with_name("all_atom.pdb")))
    assert pdb.topology.getNumAtoms() == written.n_atoms == 166
    found = lengths(pdb.topology, written.xyz * 10.0)
    system = app.ForceField("amber14/protein.ff14SB.xml").createSystem(pdb.topology, constraints=app.HBonds)
    expected = {}
    for index in range(system.getNumConstraints()):
        i, j, length = system.getConstraintParameters(index)
        expected[frozenset((i, j))] = length._value * 10.0
    pairs = [
        frozenset((a.index, b.index))
        for a, b in pdb.topology.bonds()
        if "H" in (a.element.symbol, b.element.symbol)
    ]
    assert len(pairs) == 73
    np.testing.assert_allclose(found, np.tile([expected[pair] for pair in pairs], (4, 1)), atol=0.001)


def test_hydrogens_lie_where_the_simulation_had_them(written, chignolin_atoms):
    """Hydrogens fixed by their heavy atoms come back to 0.2 Å; hydroxyls and methyls may turn.

    The two hydrogens of a CH2 are equivalent and may have each other's names.
    """
    names = [(atom.residue.resSeq, atom.name) for atom in written.topology.atoms]
    reference = chignolin_atoms.topology
    place = {
        (int(r), str(n)): i for i, (r, n) in enumerate(zip(reference.residue_id, reference.name, strict=True))
    }
    backbone = [i for i, (_, name) in enumerate(names) if name in ("HA", "H")]
    backbone = [i for i in backbone if names[i][0] > 1]
    same = [place[names[i]] for i in backbone]
    for frame, original in zip(written.xyz * 10.0, chignolin_atoms, strict=True):
        distance = np.linalg.norm(frame[backbone] - original.positions[same], axis=1)
        assert distance.mean() < 0.2
        assert np.linalg.norm(frame[backbone] - original.positions[np.roll(same, 1)], axis=1).mean() > 1


def test_nothing_clashes(written):
    hydrogens = [atom.index for atom in written.topology.atoms if atom.element.symbol == "H"]
    pairs = np.array([(i, j) for i in hydrogens for j in hydrogens if i < j])
    assert mdtraj.compute_distances(written, pairs).min() * 10.0 > 1.4


def test_time_and_bonds_come_along(written):
    assert written.n_frames == 4
    np.testing.assert_allclose(np.diff(written.time), 1.0, atol=1e-3)
    assert written.topology.n_bonds >= 165
    assert len(mdtraj.compute_phi(written)[0]) == 9


@pytest.mark.parametrize("state", ["HID", "HIE", "HIP", "ASP", "ASH", "GLU", "GLH", "LYS", "LYN", "CYS"])
def test_protonation_states_come_from_the_bead_types(state, tmp_path):
    frames = beads_of(f"ACE-{state}-GLY-NME")
    structure = all_atom_structure(frames.system, frames.positions[0], tmp_path)
    again = build_system(topology_of(structure.topology), load_rules("heavy"))
    assert again.type_name.tolist() == frames.system.type_name.tolist()
    assert again.charge.sum() == pytest.approx(frames.system.charge.sum())


def test_chains_of_one_letter_have_their_own_ends(chignolin, tmp_path):
    """As `map` reads them from other programs' files, numbers going on; their ends had no template."""
    one = multiplied(chignolin.system, 2)
    numbers = one.residue_id + np.where(one.chain == "B", 10, 0)
    dimer = replace(one, chain=np.full(len(numbers), "A"), residue_id=numbers)
    positions = np.concatenate([chignolin.positions[0], chignolin.positions[0] + 25.0])
    structure = all_atom_structure(dimer, positions, tmp_path)
    assert [len(list(chain.atoms())) for chain in structure.topology.chains()] == [166, 166]
    assert build_system(topology_of(structure.topology), load_rules("heavy")).charge.sum() == pytest.approx(
        2 * chignolin.system.charge.sum()
    )


def test_several_replicas_become_several_files(tmp_path):
    frames = beads_of("ACE-SER-NME")
    write_dataset(tmp_path / "ser.h5", {"ser/300/0": frames, "ser/300/1": frames})
    paths = backmap(tmp_path / "ser.h5", tmp_path / "all.dcd")
    assert [path.name for path in paths] == ["all_000.dcd", "all_001.dcd"]
    assert mdtraj.load(str(paths[1]), top=str(tmp_path / "all.pdb")).n_frames == 1


def test_several_proteins_are_refused(tmp_path):
    write_dataset(
        tmp_path / "two.h5", {"ser/300/0": beads_of("ACE-SER-NME"), "cys/300/0": beads_of("ACE-CYS-NME")}
    )
    with pytest.raises(InputError, match="several proteins"):
        backmap(tmp_path / "two.h5", tmp_path / "all.dcd")


@pytest.mark.parametrize("times", [[3.0, 3.0, 3.0], [0.0, 0.1, 7.0]])
def test_times_that_no_dcd_can_state_are_counted(tmp_path, capsys, times):
    """As of labelled frames: the second of them told the time of all others."""
    _write_trajectory(tmp_path / "all.dcd", np.zeros((3, 2, 3)), np.array(times))
    assert read_dcd(tmp_path / "all.dcd")[1] == pytest.approx([0.0, 1.0, 2.0])
    assert "frames counted" in capsys.readouterr().err
    _write_trajectory(tmp_path / "even.dcd", np.zeros((3, 2, 3)), np.array([0.4, 0.6, 0.8]))
    assert read_dcd(tmp_path / "even.dcd")[1] == pytest.approx([0.4, 0.6, 0.8])
    assert capsys.readouterr().err == ""


def test_other_mappings_and_unknown_states_are_refused(tmp_path, chignolin, chignolin_atoms):
    ca = build_system(chignolin_atoms.topology, load_rules("ca"))
    with pytest.raises(InputError, match="mapping ca: give frames of heavy"):
        all_atom_structure(ca, np.zeros((10, 3)), tmp_path)
    wrong = chignolin.system.type_name.copy()
    wrong[wrong == "OH1"] = "OH0"
    changed = replace(chignolin.system, type_name=wrong)
    with pytest.raises(InputError, match="that protonation state has no template"):
        all_atom_structure(changed, chignolin.positions[0], tmp_path)
    assert main(["backmap", str(tmp_path / "none"), "-o", str(tmp_path / "x.dcd")]) == 5
    assert main(["backmap", str(tmp_path), "-o", str(tmp_path / "x.dcd"), "--every", "0"]) == 2


def test_what_stops_openmm_is_told_in_one_line(dataset, tmp_path, monkeypatch):
    def fail(*_, **__):
        raise openmm.OpenMMException("Particle coordinate is NaN\nsee the documentation")

    # Not the minimiser itself: OpenMM's own modeller calls that too, before any frame.
    monkeypatch.setattr("cgprot.reference.backmap.place_hydrogens", fail)
    with pytest.raises(UnstableError, match="Particle coordinate is NaN"):
        backmap(dataset, tmp_path / "all.dcd")
    assert not (tmp_path / "all.dcd").exists()
