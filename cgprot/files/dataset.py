"""Datasets of bead frames: HDF5 in the mdCATH-noh layout that `torchmd-train` reads.

    /{protein}/z                              (n_beads,) bead types
    /{protein}/beads/...                      the rest of the BeadSystem
    /{protein}/{temperature}/{replica}/coords (n_frames, n_beads, 3) [Å]
                                      forces  same shape [kcal/mol/Å]
                                      force_noise, time
                                      property_{name}  (n_frames, ...), energy or dipole, say

A dataset is its own source file for torchmd-net: its groups carry the attributes that its MDCATH
class filters by.
"""

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import h5py
import numpy as np

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import InputError, StorageError
from cgprot.files.folder import partial_of, settle
from cgprot.units import ANGSTROM_PER_NM

LAYOUT = "mdcath-dataset-noh"
HDF5_SUFFIXES = (".h5", ".hdf5")
_TEXT = ("type_name", "bead_name", "residue_name", "chain")
_NUMBERS = ("mass", "charge", "bonds", "bead_of_atom", "residue_id")
_UNITS = {
    "coords": "Angstrom",
    "forces": "kcal/mol/Angstrom",
    "force_noise": "kcal/mol/Angstrom",
    "time": "ps",
    "box": "Angstrom",
    "property_energy": "kcal/mol",
    "property_dipole": "e*Angstrom",
    "property_polarizability": "Angstrom^3",
    "property_total_charge": "e",
}
_PROPERTY = "property_"
_FRAMES_PER_COPY = 256


def write_dataset(path: Path, entries: dict[str, BeadFrames]) -> None:
    """Write frames under keys "protein/temperature/replica", whole or not at all.

    Parameters
    ----------
    path : file to write
    entries : e.g. {"chignolin/300/0": frames}; frames of one protein share their beads
    """
    with DatasetWriter(path) as writer:
        for key, frames in entries.items():
            entry = writer.open_entry(key, frames.system, len(frames), frames.temperature)
            arrays = (frames.positions, frames.forces, frames.time, frames.force_noise)
            entry.append(*arrays, frames.properties, frames.box)
            entry.close()


class DatasetWriter:
    """Writes a dataset piece by piece; the file has its name once the `with` block ends well.

    Raises
    ------
    StorageError
        at the end of the block, if the disk refused; nothing is left then
    """

    def __init__(self, path: Path) -> None:
        self._path = Path(path)
        self._partial = partial_of(self._path)
        try:
            self.file = h5py.File(self._partial, "w")
        except OSError as error:
            raise self._refusal(error)
        self.file.attrs["layout"] = LAYOUT

    def __enter__(self) -> "DatasetWriter":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.file.close()
            if error is None:
                settle(self._partial, self._path)
        except OSError as refusal:
            error = refusal
        if error is not None:
            self._partial.unlink(missing_ok=True)
        if isinstance(error, OSError) and not isinstance(error, StorageError):
            raise self._refusal(error)

    def _refusal(self, error: OSError) -> StorageError:
        return StorageError(
            f"{self._path}: could not be written ({error}): free space or choose another place"
        )

    def open_entry(
        self, key: str, system: BeadSystem, n_frames: int, temperature: float | None = None
    ) -> "EntryWriter":
        """A new trajectory.

        Parameters
        ----------
        key : "protein/temperature/replica"
        system : beads; the same for all trajectories of a protein
        n_frames : how many frames will come at most
        temperature : [K]
        """
        protein = key.split("/")[0]
        if protein not in self.file:
            _write_system(self.file.create_group(protein), system)
        return EntryWriter(self.file.create_group(key), system, n_frames, temperature)

    def set_attributes(self, protein: str, **attributes: object) -> None:
        """Attributes of a protein's group or, by its key, of a trajectory's."""
        self.file[protein].attrs.update(attributes)


class EntryWriter:
    """One trajectory of a dataset that grows; memory does not depend on its length."""

    def __init__(
        self, group: h5py.Group, system: BeadSystem, n_frames: int, temperature: float | None
    ) -> None:
        self._group, self._system, self._capacity = group, system, n_frames
        self.n_frames = 0
        self._gyration = [np.inf, -np.inf]
        if temperature is not None:
            group.attrs["temperature"] = temperature

    @property
    def has_forces(self) -> bool:
        """Whether forces came with the frames."""
        return "forces" in self._group

    def append(
        self,
        positions: np.ndarray,
        forces: np.ndarray | None,
        time: np.ndarray,
        force_noise: np.ndarray | None = None,
        properties: Mapping[str, np.ndarray] | None = None,
        box: np.ndarray | None = None,
    ) -> None:
        """Add n frames of these shapes: see `BeadFrames`."""
        end = self.n_frames + len(positions)
        named = {"coords": positions, "forces": forces, "force_noise": force_noise, "time": time, "box": box}
        arrays = {name: array for name, array in named.items() if array is not None}
        arrays |= {_PROPERTY + name: np.asarray(array) for name, array in (properties or {}).items()}
        for name, array in arrays.items():
            if name not in self._group:
                # Total energies are large numbers with small differences.
                kind = np.float64 if name in ("time", "box", _PROPERTY + "energy") else np.float32
                # Without "never" HDF5 fills the space with zeros first.
                shape = (self._capacity, *array.shape[1:])
                self._group.create_dataset(name, shape, kind, fill_time="never")
                if name in _UNITS:
                    self._group[name].attrs["unit"] = _UNITS[name]
            self._group[name][self.n_frames : end] = array
        self.n_frames = end
        if len(positions):
            radius = _gyration_radius(positions, self._system.mass)
            self._gyration = [min(self._gyration[0], radius.min()), max(self._gyration[1], radius.max())]

    def close(self, alpha: float = 0.0, beta: float = 0.0) -> None:
        """State what came.

        Parameters
        ----------
        alpha, beta : mean numbers of residues in helices and strands, which torchmd-net filters by
        """
        if self.n_frames < self._capacity:
            for name in list(self._group):
                _cut(self._group, name, self.n_frames)
        n_residues = int(self._system.residue_index[-1]) + 1
        low, high = self._gyration if self.n_frames else (0.0, 0.0)
        self._group.attrs.update(
            numFrames=self.n_frames,
            alpha=alpha,
            beta=beta,
            coil=n_residues - alpha - beta,
            min_gyration_radius=low / ANGSTROM_PER_NM,
            max_gyration_radius=high / ANGSTROM_PER_NM,
        )


def _cut(group: h5py.Group, name: str, n_frames: int) -> None:
    """Keep the first frames; a contiguous dataset cannot shrink, so they are copied."""
    old = group[name]
    group.create_dataset("cut", (n_frames, *old.shape[1:]), old.dtype)
    for first in range(0, n_frames, _FRAMES_PER_COPY):
        part = np.s_[first : min(first + _FRAMES_PER_COPY, n_frames)]
        group["cut"][part] = old[part]
    group["cut"].attrs.update(old.attrs)
    del group[name]
    group.move("cut", name)


def _gyration_radius(positions: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """(n_frames,) [Å], from a thin sample: it only feeds a filter."""
    sample = positions[:: max(1, len(positions) // 8)].astype(np.float64)
    weight = (mass / mass.sum())[:, None]
    centred = sample - (weight * sample).sum(axis=1, keepdims=True)
    return np.sqrt((weight * centred**2).sum(axis=(1, 2)))


def _write_system(group: h5py.Group, system: BeadSystem) -> None:
    group.attrs["numNoHAtoms"] = system.n_beads
    group.attrs["numProteinAtoms"] = len(system.bead_of_atom)
    group.attrs["numResidues"] = int(system.residue_index[-1]) + 1
    group.attrs["numChains"] = len(np.unique(system.chain))
    group.attrs["mapping"] = system.mapping
    group.attrs["mapping_hash"] = system.mapping_hash
    group["z"] = system.bead_type
    for name in _NUMBERS:
        group[f"beads/{name}"] = getattr(system, name)
    for name in _TEXT:
        group[f"beads/{name}"] = np.char.encode(getattr(system, name).astype(str))


def read_dataset(path: Path) -> dict[str, BeadFrames]:
    """Read a dataset: key "protein/temperature/replica" -> BeadFrames, in the file's order.

    Raises
    ------
    StorageError
        if the file is missing or cannot be opened
    InputError
        if it is not a dataset of beads
    """
    _refuse_missing(path)
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("layout") != LAYOUT:
                raise InputError(f"{path}: not a {LAYOUT} file: make one with `cgprot map` or `cgprot label`")
            return {key: frames for protein in file for key, frames in _read_protein(file[protein])}
    except OSError as error:
        raise StorageError(f"{path}: could not be read ({error}): check the path")
    except KeyError as error:
        raise InputError(f"{path}: incomplete dataset ({error}): make it again with `cgprot map`")


def count_frames(path: Path) -> int:
    """The number of frames in a dataset, of which nothing else is read."""
    _refuse_missing(path)
    try:
        with h5py.File(path, "r") as file:
            temperatures = [file[p][t] for p in file for t in file[p] if t not in ("z", "beads")]
            return sum(len(group[replica]["coords"]) for group in temperatures for replica in group)
    except (OSError, KeyError) as error:
        raise StorageError(f"{path}: could not be read ({error}): check the path")


def _refuse_missing(path: Path) -> None:
    if not Path(path).is_file():  # HDF5 says it with an error number and the flags of a call
        raise StorageError(f"{path}: no such file: check the path")


def _read_protein(group: h5py.Group):
    system = _read_system(group)
    for temperature in group:
        if temperature in ("z", "beads"):
            continue
        for replica in group[temperature]:
            key = f"{group.name[1:]}/{temperature}/{replica}"
            yield key, _read_frames(group[temperature][replica], system)


def _read_system(group: h5py.Group) -> BeadSystem:
    arrays = {name: group[f"beads/{name}"][:] for name in _NUMBERS}
    arrays |= {name: np.char.decode(group[f"beads/{name}"][:]) for name in _TEXT}
    return BeadSystem(
        bead_type=group["z"][:],
        mapping=group.attrs["mapping"],
        mapping_hash=group.attrs["mapping_hash"],
        **arrays,
    )


def _read_frames(group: h5py.Group, system: BeadSystem) -> BeadFrames:
    def array(name: str) -> np.ndarray | None:
        return group[name][:] if name in group else None

    temperature = group.attrs.get("temperature")
    return BeadFrames(
        system=system,
        positions=group["coords"][:],
        forces=array("forces"),
        force_noise=array("force_noise"),
        box=array("box"),
        time=group["time"][:],
        temperature=None if temperature is None else float(temperature),
        properties={
            name.removeprefix(_PROPERTY): group[name][:] for name in group if name.startswith(_PROPERTY)
        },
    )
