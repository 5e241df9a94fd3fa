"""All-atom mdCATH files with the layout of the real ones, for tests and benchmarks."""

from pathlib import Path

import h5py
import numpy as np

from cgprot.beads import Topology
from cgprot.files.psf import write_atom_psf

ATOMIC_NUMBER = {"H": 1, "C": 6, "N": 7, "O": 8, "S": 16}
N_WATERS = 3


def with_water(topology: Topology) -> Topology:
    """The topology with a few waters behind the protein, as in mdCATH's PSF and PDB."""
    n = len(topology.element)
    oxygen = n + 3 * np.arange(N_WATERS)
    return Topology(
        element=np.concatenate([topology.element, ["O", "H", "H"] * N_WATERS]),
        name=np.concatenate([topology.name, ["OH2", "H1", "H2"] * N_WATERS]),
        mass=np.concatenate([topology.mass, [15.999, 1.008, 1.008] * N_WATERS]),
        residue_name=np.concatenate([topology.residue_name, ["TIP3"] * 3 * N_WATERS]),
        residue_id=np.concatenate([topology.residue_id, np.repeat(np.arange(N_WATERS) + 1, 3)]),
        chain=np.concatenate([topology.chain, ["W"] * 3 * N_WATERS]),
        bonds=np.concatenate(
            [topology.bonds, np.stack([oxygen, oxygen + 1], 1), np.stack([oxygen, oxygen + 2], 1)]
        ),
    )


def write_mdcath(
    path: Path,
    domain: str,
    topology: Topology,
    replicas: dict[str, tuple[np.ndarray, np.ndarray]],
    box_nm: float = 8.0,
) -> Path:
    """Write one domain: `replicas` maps "320/0" to (coords, forces)."""
    psf = path.with_suffix(".psf-text")
    whole = with_water(topology)
    write_atom_psf(psf, whole, np.zeros(len(whole.element)))
    n_residues = len(np.unique(topology.residue_id))
    with h5py.File(path, "w", libver="latest") as file:
        file.attrs["layout"] = "mdcath-only-protein-v1.0"
        group = file.create_group(domain)
        group.attrs.update(numChains=1, numProteinAtoms=len(topology.element), numResidues=n_residues)
        group["z"] = np.array([ATOMIC_NUMBER[symbol] for symbol in topology.element])
        group["resid"] = topology.residue_id
        for name, values in (
            ("chain", topology.chain),
            ("resname", topology.residue_name),
            ("element", topology.element),
        ):
            group[name] = values.astype("S4")
        group["psf"] = psf.read_bytes()
        group["pdb"] = group["pdbProteinAtoms"] = b"REMARK not read\n"
        for key, (coords, forces) in replicas.items():
            write_replica(group, key, coords, forces, n_residues, box_nm)
    psf.unlink()
    return path


def write_replica(group: h5py.Group, key: str, coords, forces, n_residues: int, box_nm: float) -> None:
    """One trajectory; `coords` and `forces` are (n_frames, n_atoms, 3) [Å], [kcal/mol/Å]."""
    replica = group.create_group(key)
    replica.attrs["numFrames"] = len(coords)
    replica["box"] = np.eye(3) * box_nm
    replica["coords"] = coords.astype(np.float32)
    replica["forces"] = forces.astype(np.float32)
    replica["coords"].attrs["unit"], replica["forces"].attrs["unit"] = "Angstrom", "kcal/mol/Angstrom"
    replica["gyrationRadius"] = np.full(len(coords), 1.2)
    replica["rmsd"] = np.zeros(len(coords))
    replica["rmsf"] = np.zeros(n_residues)
    codes = np.full((len(coords), n_residues), b"C")
    codes[:, :2] = b"H"
    codes[:, 2:5] = b"E"
    replica["dssp"] = codes
