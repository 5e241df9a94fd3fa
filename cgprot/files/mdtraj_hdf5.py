"""mdtraj's HDF5 trajectories, read as MDAnalysis reads its own formats.

/coordinates                    (n_frames, n_atoms, 3) float32 [nm]
/time                           (n_frames,) [ps], or absent
/cell_lengths, /cell_angles     (n_frames, 3) [nm], [degrees], or absent
/topology                       (1,) text: JSON of chains, residues, atoms and bonds
The root has the attribute conventions = "Pande"; the format holds no forces.
"""

import json
from pathlib import Path
from typing import ClassVar

import h5py
import numpy as np
from MDAnalysis.coordinates.base import ReaderBase
from MDAnalysis.core import topologyattrs
from MDAnalysis.core.topology import Topology

from cgprot.errors import InputError
from cgprot.files.dataset import HDF5_SUFFIXES
from cgprot.units import ANGSTROM_PER_NM

_CONVENTIONS = "Pande"
_BYTES_PER_BLOCK = 8 * 2**20
_CHAIN_NAMES = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_UNITS = {
    "coordinates": "nanometers",
    "time": "picoseconds",
    "cell_lengths": "nanometers",
    "cell_angles": "degrees",
}


def is_mdtraj_path(path: Path) -> bool:
    """Whether there is an mdtraj HDF5 trajectory at `path`."""
    if Path(path).suffix not in HDF5_SUFFIXES:
        return False
    try:
        with h5py.File(path, "r") as file:
            return _text(file.attrs.get("conventions", "")) == _CONVENTIONS
    except OSError:
        return False


class MdtrajReader(ReaderBase):
    """The frames, a few megabytes of the file in memory at a time.

    Raises
    ------
    InputError
        if there are no frames, or arrays of other shapes or units than mdtraj's
    """

    units: ClassVar[dict[str, str]] = {"time": "ps", "length": "Angstrom"}  # of what this class gives

    def __init__(self, filename: str, **options) -> None:
        super().__init__(filename, **options)
        self.format = "mdtraj HDF5"  # not of the class, which MDAnalysis would register for this suffix
        self._file = h5py.File(filename, "r")
        self._arrays = {name: self._file[name] for name in _UNITS if name in self._file}
        try:
            _check_arrays(filename, self._arrays)
        except InputError:
            self._file.close()
            raise
        self.n_frames, self.n_atoms, _ = self._arrays["coordinates"].shape
        self._block_frames = max(1, _BYTES_PER_BLOCK // (12 * self.n_atoms))
        self._first, self._block = 0, np.empty((0, self.n_atoms, 3), dtype=np.float32)
        self.ts = self._Timestep(self.n_atoms, **self._ts_kwargs)
        self._read_frame(0)

    def _read_frame(self, frame: int):
        if not self._first <= frame < self._first + len(self._block):
            self._block = self._arrays["coordinates"][frame : frame + self._block_frames]
            self._first = frame
        self.ts.frame = frame
        self.ts.positions = self._block[frame - self._first] * np.float32(ANGSTROM_PER_NM)
        if "time" in self._arrays:
            self.ts.time = float(self._arrays["time"][frame])
        if "cell_lengths" in self._arrays and "cell_angles" in self._arrays:
            lengths = self._arrays["cell_lengths"][frame] * ANGSTROM_PER_NM
            self.ts.dimensions = np.concatenate([lengths, self._arrays["cell_angles"][frame]])
        return self.ts

    def _read_next_timestep(self, ts=None):
        if self.ts.frame + 1 >= self.n_frames:
            raise EOFError
        return self._read_frame(self.ts.frame + 1)

    def _reopen(self) -> None:
        self.ts.frame = -1

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_mdtraj_topology(path: Path) -> Topology:
    """The topology inside the file, for an MDAnalysis Universe.

    Raises
    ------
    InputError
        if there is none, or it is damaged
    """
    with h5py.File(path, "r") as file:
        if "topology" not in file:
            raise InputError(f"{path}: no topology in it: give the structure (PDB, PSF, ...) before it")
        try:
            return _as_topology(json.loads(_text(file["topology"][0])))
        except (ValueError, KeyError, TypeError, IndexError, OSError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(f"{path}: its topology is damaged ({reason}): write it again with mdtraj")


def _as_topology(read: dict) -> Topology:
    """mdtraj's JSON, which orders chains, residues and atoms by their indices."""
    chains = _by_index(read["chains"])
    residues = [(number, one) for number, chain in enumerate(chains) for one in _by_index(chain["residues"])]
    atoms = [
        (number, one) for number, (_, residue) in enumerate(residues) for one in _by_index(residue["atoms"])
    ]
    letters = [chain.get("chain_id") or _CHAIN_NAMES[i % len(_CHAIN_NAMES)] for i, chain in enumerate(chains)]
    chain_of_residue = np.array([number for number, _ in residues])
    residue_of_atom = np.array([number for number, _ in atoms])
    bonds = np.array(read["bonds"], dtype=np.int64).reshape(-1, 2)
    if bonds.size and not 0 <= bonds.min() <= bonds.max() < len(atoms):
        raise ValueError(f"a bond to atom {bonds.max()} of {len(atoms)}")
    chain_of_atom = chain_of_residue[residue_of_atom]
    attributes = [
        topologyattrs.Atomnames(np.array([atom["name"] for _, atom in atoms], dtype=object)),
        topologyattrs.Elements(np.array([atom["element"] for _, atom in atoms], dtype=object)),
        topologyattrs.ChainIDs(np.array(letters, dtype=object)[chain_of_atom]),
        topologyattrs.Bonds([tuple(bond) for bond in bonds.tolist()]),
        topologyattrs.Resnames(np.array([residue["name"] for _, residue in residues], dtype=object)),
        topologyattrs.Resids(np.array([residue["resSeq"] for _, residue in residues], dtype=np.int64)),
        topologyattrs.Segids(np.array(letters, dtype=object)),
    ]
    return Topology(len(atoms), len(residues), len(chains), attributes, residue_of_atom, chain_of_residue)


def _by_index(entries: list[dict]) -> list[dict]:
    return sorted(entries, key=lambda entry: entry["index"])


def _check_arrays(path: str, arrays: dict[str, h5py.Dataset]) -> None:
    shape: tuple[int, ...] = arrays["coordinates"].shape if "coordinates" in arrays else ()
    if len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise InputError(f"{path}: no frames in it: its coordinates have the shape {shape}")
    for name, array in arrays.items():
        unit = _text(array.attrs.get("units", _UNITS[name]))
        if unit != _UNITS[name]:
            raise InputError(f"{path}: {name} in {unit}: write it in {_UNITS[name]}, as mdtraj does")
        if len(array) != shape[0]:
            raise InputError(f"{path}: {name} of {len(array)} frames for {shape[0]}: write it again")


def _text(value) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
