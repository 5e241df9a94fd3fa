"""Starts from structures of several chains, sequences, runs and files of frames."""

import warnings
from dataclasses import replace

import MDAnalysis
import numpy as np
import pytest
from chain import N_BEADS, chain_forces, chain_start, chain_system

from cgprot.beads import BeadFrames
from cgprot.errors import InputError, StorageError
from cgprot.files.dataset import write_dataset
from cgprot.files.dcd import DcdFile
from cgprot.files.universe import bead_universe
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.run import simulate
from cgprot.simulate.start import load_frames, load_start, start_from_sequence


@pytest.fixture(scope="module")
def two_chains(examples, tmp_path_factory):
    """Chignolin twice, 25 Å apart; the second is chain B and has lost the hydrogens and a side chain."""
    path = tmp_path_factory.mktemp("two") / "two.pdb"
    lines = [line for line in (examples / "chignolin.pdb").read_text().splitlines() if line[:4] == "ATOM"]
    moved = [f"{line[:21]}B{line[22:30]}{float(line[30:38]) + 25:8.3f}{line[38:]}" for line in lines]
    heavy = [line for line in moved if line[76:78].strip() != "H"]
    kept = [
        line for line in heavy if not (line[22:26].strip() == "9" and line[12:16].strip()[:2] in ("CD", "CE"))
    ]
    assert len(kept) < len(heavy) < len(moved)
    path.write_text("\n".join([*lines, "TER", *kept, "TER", "END"]) + "\n")
    return path


def test_two_chains_keep_their_names_and_share_no_bond(two_chains, examples):
    both, one = load_start(two_chains, "heavy"), load_start(examples / "chignolin.pdb", "heavy")
    n, chain = one.system.n_beads, both.system.chain
    assert (both.system.n_beads, chain[0], chain[-1]) == (2 * n, "A", "B")
    assert np.all(chain[both.system.bonds[:, 0]] == chain[both.system.bonds[:, 1]])
    assert len(both.system.bonds) == 2 * len(one.system.bonds)
    # Atoms that were built come last in their residue.
    keys = list(zip(both.system.residue_id[n:], both.system.bead_name[n:], strict=True))
    second = n + np.array(
        [keys.index(key) for key in zip(one.system.residue_id, one.system.bead_name, strict=True)]
    )
    for name in ("bead_type", "residue_name", "charge", "mass"):
        np.testing.assert_array_equal(getattr(both.system, name)[second], getattr(one.system, name))
    np.testing.assert_array_equal(both.positions[0, :n], one.positions[0])
    apart = both.positions[0, second] - one.positions[0] - [25, 0, 0]
    built = np.abs(apart).max(axis=1) > 1e-3
    # What was there did not move; what was missing is where a side chain can be.
    assert built.sum() == 4
    assert set(one.system.residue_id[built]) == {9}
    bond = both.positions[0][both.system.bonds]
    assert np.linalg.norm(bond[:, 0] - bond[:, 1], axis=1).max() < 1.7


def test_a_gap_names_its_chain(two_chains, tmp_path):
    lines = two_chains.read_text().splitlines()
    cut = [line for line in lines if not (line[21:22] == "B" and line[22:26].strip() in ("4", "5"))]
    (tmp_path / "gap.pdb").write_text("\n".join(cut) + "\n")
    with pytest.raises(InputError, match=r"chain B is broken between ASP 3 and THR 6"):
        load_start(tmp_path / "gap.pdb", "heavy")


def test_mmcif_is_the_same_start(examples, tmp_path):
    from openmm import app

    pdb = app.PDBFile(str(examples / "chignolin.pdb"))
    with open(tmp_path / "a.cif", "w") as stream:
        app.PDBxFile.writeFile(pdb.topology, pdb.positions, stream, keepIds=True)
    cif, start = load_start(tmp_path / "a.cif", "heavy"), load_start(examples / "chignolin.pdb", "heavy")
    np.testing.assert_array_equal(cif.system.bead_type, start.system.bead_type)
    np.testing.assert_allclose(cif.positions, start.positions, atol=2e-3)


@pytest.mark.parametrize("name", ["chignolin_300K.psf", "chignolin_300K.h5"])
def test_a_file_without_a_structure_is_said_to_be_none(examples, name):
    with pytest.raises(InputError, match="no structure: give a PDB"):
        load_start(examples / name, "heavy")


def test_a_disulfide_is_a_bond(tmp_path):
    """Two cysteines laid side by side, their sulfurs 2.05 Å apart."""
    from openmm import app, unit

    from cgprot.reference.peptide import build_peptide

    peptide = build_peptide("GLY-CYS-GLY")
    names = [atom.name for atom in peptide.topology.atoms()]
    sulfur = names.index("SG")
    outward = peptide.positions[sulfur] - peptide.positions.mean(axis=0)
    axis = outward / np.linalg.norm(outward)
    # Turned by 180° about an axis normal to the one that leads out of the sulfur, then moved beyond it.
    normal = np.cross(axis, [0.3, 0.4, 0.5])
    normal /= np.linalg.norm(normal)
    centred = peptide.positions - peptide.positions[sulfur]
    turned = 2 * np.outer(centred @ normal, normal) - centred + 2.05 * axis
    modeller = app.Modeller(peptide.topology, centred * unit.angstrom)
    modeller.add(peptide.topology, turned * unit.angstrom)
    for chain, name in zip(modeller.topology.chains(), "AB", strict=True):
        chain.id = name
    with open(tmp_path / "ss.pdb", "w") as stream:
        app.PDBFile.writeFile(modeller.topology, modeller.positions, stream, keepIds=True)
    system = load_start(tmp_path / "ss.pdb", "heavy").system
    sulfurs = np.flatnonzero(system.bead_name == "SG")
    assert sulfurs.tolist() in system.bonds.tolist()
    assert set(system.type_name[sulfurs]) == {"SH0"}
    assert len(set(system.chain)) == 2


def test_a_sequence_in_one_letter_codes():
    start = start_from_sequence("GYD", "heavy")
    assert start.positions.shape == (1, start.system.n_beads, 3)
    assert list(dict.fromkeys(start.system.residue_name)) == ["GLY", "TYR", "ASP"]
    assert start.system.charge.sum() == pytest.approx(-1)


@pytest.fixture
def frames():
    generator = np.random.default_rng(3)
    return chain_start().positions + generator.normal(scale=0.05, size=(3, N_BEADS, 3))


def write_frames(path, frames, system=None):
    universe = bead_universe(system or chain_system(), frames)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with MDAnalysis.Writer(str(path), universe.atoms.n_atoms, multiframe=True) as writer:
            for _ in universe.trajectory:
                writer.write(universe.atoms)


@pytest.mark.parametrize("name", ["a.dcd", "a.xtc", "a.pdb", "a.h5"])
def test_frames_of_a_file_are_starts(tmp_path, frames, name):
    path = tmp_path / name
    if name == "a.h5":
        write_dataset(path, {"p/300/0": BeadFrames(chain_system(), frames)})
    else:
        write_frames(path, frames)
    found = load_frames(path, chain_start())
    np.testing.assert_allclose(found.positions, frames, atol=6e-3)  # XTC and PDB round
    assert found.system.n_beads == N_BEADS


@pytest.mark.parametrize("name", ["a.dcd", "a.xtc", "a.trr", "own.dcd"])
def test_frames_of_a_file_that_was_cut_short_are_refused(tmp_path, frames, name):
    """MDAnalysis gives those that are whole, and so many replicas began."""
    path = tmp_path / name
    if name == "own.dcd":
        trajectory = DcdFile.create(path, N_BEADS, 10, 0.002)
        for frame in frames:
            trajectory.append(frame)
        trajectory.sync()
    else:
        write_frames(path, frames)
    assert len(load_frames(path, chain_start())) == 3
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(InputError, match=r"(ends within frame 3|header counts 3).*: copy") as caught:
        load_frames(path, chain_start())
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_dcd_cut_between_two_frames_is_refused(tmp_path, frames):
    path = tmp_path / "a.dcd"
    write_frames(path, frames)
    whole = path.read_bytes()
    write_frames(path, frames[:2])
    path.write_bytes(whole[: path.stat().st_size])
    with pytest.raises(InputError, match=r"a\.dcd: 2 whole frames, its header counts 3: copy it again"):
        load_frames(path, chain_start())


def test_a_run_gives_the_last_frame_of_every_replica(tmp_path):
    config = SimulateConfig(time_ps=0.02, output_every_ps=0.01, replicas=2)
    simulate(chain_start(), chain_forces, config, tmp_path / "run", {}, [])
    for found in (load_frames(tmp_path / "run", chain_start()), load_start(tmp_path / "run", "heavy")):
        universe = MDAnalysis.Universe(
            str(tmp_path / "run" / "system.psf"), str(tmp_path / "run/replica_001.dcd")
        )
        universe.trajectory[-1]
        assert len(found) == 2
        np.testing.assert_allclose(found.positions[1], universe.atoms.positions, atol=1e-6)


def test_an_all_atom_trajectory_is_mapped(examples):
    structure = examples / "chignolin.pdb"
    start = load_start(structure, "heavy")
    found = load_frames(examples / "chignolin.trr", start, structure)
    universe = MDAnalysis.Universe(str(structure), str(examples / "chignolin.trr"))
    universe.trajectory[-1]
    heavy = universe.select_atoms("not element H")
    np.testing.assert_allclose(found.positions[-1], heavy.positions, atol=1e-4)


def test_other_beads_are_refused(tmp_path, frames, examples):
    write_frames(tmp_path / "a.dcd", frames[:, :4], _first_four())
    with pytest.raises(InputError, match=r"a\.dcd: its frames are not of the 6 beads of the start"):
        load_frames(tmp_path / "a.dcd", chain_start())
    with pytest.raises(InputError, match=r"chignolin\.trr: its frames are not of the 6 beads"):
        load_frames(examples / "chignolin.trr", chain_start(), examples / "chignolin.pdb")
    with pytest.raises(InputError, match="holds other beads than the start"):
        load_frames(examples / "chignolin_300K.h5", chain_start())
    (tmp_path / "b.dcd").write_bytes(b"no trajectory")
    with pytest.raises(InputError, match=r"b\.dcd: MDAnalysis cannot read this") as caught:
        load_frames(tmp_path / "b.dcd", chain_start())
    assert "\n" not in str(caught.value)
    with pytest.raises(StorageError, match="no such file or folder"):
        load_frames(tmp_path / "c.dcd", chain_start())


def _first_four():
    system = chain_system()
    per_bead = (
        "bead_type",
        "type_name",
        "mass",
        "charge",
        "bead_name",
        "residue_name",
        "residue_id",
        "chain",
    )
    return replace(system, bonds=system.bonds[:3], **{name: getattr(system, name)[:4] for name in per_bead})
