"""The PSF and PDB are read by the programs that people use."""

import warnings
from dataclasses import replace

import MDAnalysis
import mdtraj
import numpy as np
import pytest
from openmm import app

from cgprot.errors import InputError, StorageError
from cgprot.files.psf import read_psf, write_psf
from cgprot.files.universe import write_pdb


@pytest.fixture(scope="module")
def written(tmp_path_factory, chignolin):
    stem = tmp_path_factory.mktemp("beads") / "chignolin"
    write_psf(stem.with_suffix(".psf"), chignolin.system)
    write_pdb(stem.with_suffix(".pdb"), chignolin.system, chignolin.positions[0])
    return stem


def test_mdanalysis(written, chignolin):
    universe = MDAnalysis.Universe(written.with_suffix(".psf"), written.with_suffix(".pdb"))
    np.testing.assert_allclose(universe.atoms.masses, chignolin.system.mass, atol=1e-6)
    np.testing.assert_allclose(universe.atoms.positions, chignolin.positions[0], atol=1e-3)
    assert np.array_equal(np.sort(universe.bonds.indices, axis=0), np.sort(chignolin.system.bonds, axis=0))
    assert universe.atoms.types.tolist() == chignolin.system.type_name.tolist()


def test_mdtraj(written, chignolin):
    trajectory = mdtraj.load(written.with_suffix(".pdb"), top=written.with_suffix(".psf"))
    assert trajectory.n_atoms == 93
    assert trajectory.topology.n_bonds == len(chignolin.system.bonds)
    assert len(trajectory.topology.select("name CA")) == 10


@pytest.mark.parametrize("mapping", ["heavy_residue", "backbone_cb", "ca", "backbone_sidechain"])
def test_elements_in_a_pdb_are_those_of_the_atoms(chignolin_as, tmp_path, mapping):
    """They were the first letters of the types: HIS.CA was a hydrogen, THR.OG1 nothing known."""
    frames = chignolin_as(mapping)
    write_pdb(tmp_path / "beads.pdb", frames.system, frames.positions[0])
    elements = MDAnalysis.Universe(tmp_path / "beads.pdb").atoms.elements.tolist()
    atoms = ["C" if mapping == "backbone_sidechain" else name[0] for name in frames.system.bead_name]
    assert elements == atoms


def test_openmm(written, chignolin):
    psf = app.CharmmPsfFile(str(written.with_suffix(".psf")))
    assert psf.topology.getNumBonds() == len(chignolin.system.bonds)
    assert app.PDBFile(str(written.with_suffix(".pdb"))).topology.getNumResidues() == 10


def test_beads_come_back(written, chignolin):
    back = read_psf(written.with_suffix(".psf"))
    for name, value in vars(chignolin.system).items():
        if name in ("mass", "charge"):
            np.testing.assert_allclose(getattr(back, name), value, atol=1e-6)
        elif name != "bead_of_atom":  # the atoms are gone
            assert np.array_equal(getattr(back, name), value), name


@pytest.mark.parametrize("blank", ["", " ", "\t"])
@pytest.mark.parametrize("column", ["chain", "residue_name", "bead_name"])
def test_blank_columns_leave_the_others_in_place(tmp_path, chignolin, column, blank):
    n_beads = chignolin.system.n_beads
    write_psf(tmp_path / "a.psf", replace(chignolin.system, **{column: np.full(n_beads, blank)}))
    back = read_psf(tmp_path / "a.psf")
    assert set(getattr(back, column)) == {"A" if column == "chain" else "X"}
    for name in {"chain", "residue_name", "bead_name", "residue_id", "type_name"} - {column}:
        assert np.array_equal(getattr(back, name), getattr(chignolin.system, name)), name
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert MDAnalysis.Universe(tmp_path / "a.psf").atoms.n_atoms == n_beads


def test_blank_within_a_name_is_left_out(tmp_path, chignolin):
    write_psf(tmp_path / "a.psf", replace(chignolin.system, chain=np.full(chignolin.system.n_beads, "A 1")))
    assert set(read_psf(tmp_path / "a.psf").chain) == {"A1"}


def test_wrong_files_are_refused(tmp_path, written):
    with pytest.raises(StorageError, match="could not be read"):
        read_psf(tmp_path / "none.psf")
    with pytest.raises(InputError, match="not a PSF of beads"):
        read_psf(written.with_suffix(".pdb"))
    (tmp_path / "binary.psf").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match="not a PSF of beads"):
        read_psf(tmp_path / "binary.psf")
