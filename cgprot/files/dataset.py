"""Datasets of bead frames: HDF5 in the mdCATH-noh layout that `torchmd-train` reads.

/{protein}/z                              (n_beads,) bead types
/{protein}/beads/...                      the rest of the BeadSystem
/{protein}/{temperature}/{replica}/coords (n_frames, n_beads, 3) [Å]
                                  forces  same shape [kcal/mol/Å]
                                  force_noise, time
"""

from pathlib import Path

import h5py
import numpy as np

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import InputError, StorageError
from cgprot.files.folder import write_whole

LAYOUT = "mdcath-dataset-noh"
_TEXT = ("type_name", "bead_name", "residue_name", "chain")
_NUMBERS = ("mass", "charge", "bonds", "bead_of_atom", "residue_id")
_UNITS = {
    "coords": "Angstrom",
    "forces": "kcal/mol/Angstrom",
    "force_noise": "kcal/mol/Angstrom",
    "time": "ps",
}


def write_dataset(path: Path, entries: dict[str, BeadFrames]) -> None:
    """Write frames under keys "protein/temperature/replica", whole or not at all.

    Parameters
    ----------
    path : file to write
    entries : e.g. {"chignolin/300/0": frames}; frames of one protein share their beads
    """
    write_whole(path, lambda temporary: _fill(temporary, entries))


def _fill(path: Path, entries: dict[str, BeadFrames]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["layout"] = LAYOUT
        for key, frames in entries.items():
            protein = key.split("/")[0]
            if protein not in file:
                _write_system(file.create_group(protein), frames.system)
            _write_frames(file.create_group(key), frames)


def _write_system(group: h5py.Group, system: BeadSystem) -> None:
    group.attrs["numNoHAtoms"] = system.n_beads
    group.attrs["numProteinAtoms"] = len(system.bead_of_atom)
    group.attrs["numResidues"] = int(system.residue_index[-1]) + 1
    group.attrs["mapping"] = system.mapping
    group.attrs["mapping_hash"] = system.mapping_hash
    group["z"] = system.bead_type
    for name in _NUMBERS:
        group[f"beads/{name}"] = getattr(system, name)
    for name in _TEXT:
        group[f"beads/{name}"] = np.char.encode(getattr(system, name).astype(str))


def _write_frames(group: h5py.Group, frames: BeadFrames) -> None:
    group.attrs["numFrames"] = len(frames)
    if frames.temperature is not None:
        group.attrs["temperature"] = frames.temperature
    arrays = {"coords": frames.positions, "forces": frames.forces, "force_noise": frames.force_noise}
    for name, array in arrays.items():
        if array is not None:
            group[name] = array.astype(np.float32)
    group["time"] = frames.time
    for name, dataset in group.items():
        dataset.attrs["unit"] = _UNITS[name]


def read_dataset(path: Path) -> dict[str, BeadFrames]:
    """Read a dataset: key "protein/temperature/replica" -> BeadFrames, in the file's order.

    Raises
    ------
    StorageError
        if the file cannot be opened
    InputError
        if it is not a dataset of beads
    """
    try:
        with h5py.File(path, "r") as file:
            if file.attrs.get("layout") != LAYOUT:
                raise InputError(f"{path}: not a {LAYOUT} file: make one with `cgprot map` or `cgprot label`")
            return {key: frames for protein in file for key, frames in _read_protein(file[protein])}
    except OSError as error:
        raise StorageError(f"{path}: could not be read ({error}): check the path")
    except KeyError as error:
        raise InputError(f"{path}: incomplete dataset ({error}): make it again with `cgprot map`")


def _read_protein(group: h5py.Group):
    system = _read_system(group)
    for temperature in group:
        if temperature in ("z", "beads"):
            continue
        for replica in group[temperature]:
            yield (
                f"{group.name[1:]}/{temperature}/{replica}",
                _read_frames(group[temperature][replica], system),
            )


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
        time=group["time"][:],
        temperature=None if temperature is None else float(temperature),
    )
