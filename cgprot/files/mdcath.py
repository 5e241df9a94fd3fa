"""mdCATH, all-atom: HDF5 files of protein domains (doi:10.1038/s41597-024-04140-z).

/{domain}/z, chain, resid, resname          (n_atoms,) protein atoms
/{domain}/psf, pdb, pdbProteinAtoms         text; psf and pdb with the solvent
/{domain}/{temperature}/{replica}/coords    (n_frames, n_atoms, 3) float32 [Å], every ns
                                  forces    same shape [kcal/mol/Å]
                                  box       (3, 3) [nm]
                                  dssp      (n_frames, n_residues), gyrationRadius [nm], ...
"""

import hashlib
import os
import string
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

import h5py
import numpy as np

from cgprot.beads import Topology
from cgprot.errors import InputError, StorageError
from cgprot.files.dataset import HDF5_SUFFIXES
from cgprot.files.periodic import FAULTS, AtomChunk, Bonded, inspect_frames, make_whole
from cgprot.files.topology import Residues, distinct_residues
from cgprot.units import ANGSTROM_PER_NM, PS_PER_NS

_LAYOUT = "mdcath-only-protein"
_ELEMENTS = {1: "H", 6: "C", 7: "N", 8: "O", 16: "S", 34: "Se"}
_FRAME_PS = 1.0 * PS_PER_NS
# A call of HDF5 costs as much as some megabytes do.
_BYTES_PER_CHUNK = 16 * 2**20
_BLOCKS, _BLOCK_BYTES = 64, 65536


class Replica(NamedTuple):
    """One trajectory of a domain."""

    domain: str
    temperature: float
    number: str
    n_frames: int

    @property
    def key(self) -> str:
        """Its path in the file."""
        return f"{self.domain}/{self.temperature:g}/{self.number}"


class MdcathFile:
    """An open mdCATH file; use it in a `with` statement.

    Parameters
    ----------
    path : e.g. mdcath_dataset_1abcA00.h5

    Attributes
    ----------
    domains : names of its protein domains
    faults : frames refused so far by `chunks`, counted by reason
    notes : how often `topology` resolved an oddity, by what was done

    Raises
    ------
    StorageError
        if it cannot be read
    InputError
        if it is another kind of file
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self.faults: Counter[str] = Counter()
        self.notes: Counter[str] = Counter()
        try:
            self._file = h5py.File(self.path, "r")
        except OSError as error:
            raise StorageError(f"{path}: could not be read as HDF5 ({error}): check the path")
        self.domains = list(self._file)
        if not is_mdcath(self._file):
            self._file.close()
            raise InputError(f"{path}: not an all-atom mdCATH file: its layout is not {_LAYOUT}")

    def __enter__(self) -> "MdcathFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def topology(self, domain: str) -> Topology:
        """The protein atoms of a domain, bonds from its PSF.

        Raises
        ------
        InputError
            if the PSF and z contradict each other
        """
        group = self._file[domain]
        number = group["z"][:]
        unknown = sorted(set(number.tolist()) - set(_ELEMENTS))
        if unknown:
            raise InputError(
                f"{self.path}: {domain}/z holds the atomic number {unknown[0]}: leave that domain out"
            )
        element = np.array([_ELEMENTS[z] for z in number])
        try:
            return _parse_psf(group["psf"][()].decode(), element, self.notes)
        except (ValueError, KeyError, IndexError, StopIteration) as error:
            raise InputError(f"{self.path}: {domain}/psf does not fit z ({error}): leave that domain out")

    def replicas(self, domain: str) -> list[Replica]:
        """Its complete trajectories, by temperature."""
        found = []
        for temperature in sorted((name for name in self._file[domain] if name.isdigit()), key=int):
            for number, group in self._file[domain][temperature].items():
                # The dataset's builder leaves an empty group where a trajectory could not be read.
                if "coords" in group and "forces" in group:
                    found.append(Replica(domain, float(temperature), number, len(group["coords"])))
        return found

    def chunks(self, replica: Replica, bonded: Bonded) -> Iterator[AtomChunk]:
        """All sound frames of a trajectory; faulty ones are counted in `faults` and left out.

        Parameters
        ----------
        bonded : bonds of the domain's topology, to make split molecules whole

        Raises
        ------
        StorageError
            if the file is damaged
        """
        group = self._file[replica.key]
        box = group["box"][:] * ANGSTROM_PER_NM if "box" in group else None
        n_atoms = group["coords"].shape[1]
        step = max(1, _BYTES_PER_CHUNK // (12 * n_atoms))
        buffers = np.empty((2, min(step, replica.n_frames), n_atoms, 3), dtype=np.float32)
        for first in range(0, replica.n_frames, step):
            n_frames = min(step, replica.n_frames - first)
            try:
                for name, buffer in zip(("coords", "forces"), buffers, strict=True):
                    group[name].read_direct(buffer, np.s_[first : first + n_frames], np.s_[:n_frames])
            except OSError as error:
                raise StorageError(
                    f"{self.path}: {replica.key} could not be read ({error}): download it again"
                )
            positions, forces = buffers[:, :n_frames]
            yield self._sound(positions, forces, first, bonded, box)

    def _sound(self, positions, forces, first: int, bonded: Bonded, box: np.ndarray | None) -> AtomChunk:
        fault, split = inspect_frames(positions, bonded)
        # The sum is finite unless a force is not, or it overflows: only then is it worth looking at each.
        if not np.isfinite(forces.sum()):
            fault[(fault == 0) & ~np.isfinite(forces).all(axis=(1, 2))] = 1 + FAULTS.index("not finite")
        number = first + np.arange(len(positions))
        if fault.any():
            self.faults.update(FAULTS[code - 1] for code in fault[fault > 0])
            sound = fault == 0
            positions, forces, number, split = positions[sound], forces[sound], number[sound], split[sound]
        astray = split | (not bonded.is_one_molecule)  # whole molecules may lie in different images
        if astray.any() and box is not None:
            positions[astray] = make_whole(positions[astray], bonded, box)
        return AtomChunk(number, positions, forces, number * _FRAME_PS)

    def secondary_structure(self, replica: Replica, number: np.ndarray) -> tuple[float, float] | None:
        """Mean numbers of residues in helices and in strands over some frames; None if not recorded."""
        group = self._file[replica.key]
        if "dssp" not in group or len(number) == 0:
            return None
        codes = group["dssp"][:][number]
        return (
            float(np.isin(codes, [b"H", b"G", b"I"]).sum(axis=1).mean()),
            float(np.isin(codes, [b"E", b"B"]).sum(axis=1).mean()),
        )


def fingerprint(path: Path) -> str:
    """SHA-256 of a file's size and of 64 blocks spread over it, in hexadecimal.

    A file that was downloaded again, cut or replaced has another; reading all of a campaign's
    terabytes to tell which files are done would cost as much as mapping them.
    """
    digest = hashlib.sha256()
    size = os.path.getsize(path)
    digest.update(str(size).encode())
    with open(path, "rb") as stream:
        for block in range(_BLOCKS):
            stream.seek(max(0, size - _BLOCK_BYTES) * block // (_BLOCKS - 1))
            digest.update(stream.read(_BLOCK_BYTES))
    return digest.hexdigest()


def is_mdcath(file: h5py.File) -> bool:
    """Whether an open HDF5 file is all-atom mdCATH."""
    return str(file.attrs.get("layout", "")).startswith(_LAYOUT)


def is_mdcath_path(path: Path) -> bool:
    """Whether there is an all-atom mdCATH file at `path`.

    Raises
    ------
    StorageError
        if it is HDF5, but cut or damaged
    """
    if Path(path).suffix not in HDF5_SUFFIXES or not h5py.is_hdf5(path):
        return False
    try:
        with h5py.File(path, "r") as file:
            return is_mdcath(file)
    except OSError as error:
        raise StorageError(f"{path}: could not be read as HDF5 ({error}): copy or download it again")


def _parse_psf(text: str, element: np.ndarray, notes: Counter[str]) -> Topology:
    """The first atoms of a PSF, which in mdCATH are the protein's; water and ions come after."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if "!NATOM" in line)
    n_atoms = len(element)
    if int(lines[start].split()[0]) < n_atoms:
        raise ValueError(f"{lines[start].split()[0]} atoms for {n_atoms}")
    rows = [line.split()[:8] for line in lines[start + 1 : start + 1 + n_atoms]]
    _, segment, residue_id, residue_name, name, _, _, mass = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    masses = mass.astype(float)
    if ((element == "H") != (masses < 5.0)).any():
        raise ValueError("its first atoms have other elements")
    bonds = _psf_bonds(lines)
    chain, number = _distinct(segment, residue_id, residue_name, name, notes)
    return Topology(
        element=element,
        name=name,
        mass=masses,
        residue_name=residue_name,
        residue_id=number,
        chain=chain,
        bonds=bonds[(bonds < n_atoms).all(axis=1)],
    )


def _distinct(
    segment: np.ndarray,
    residue_id: np.ndarray,
    residue_name: np.ndarray,
    name: np.ndarray,
    notes: Counter[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Chain and residue number of every atom; a PSF writes an insertion code behind the number, as in 52A."""
    keys = np.array([segment, residue_id, residue_name])
    place = np.concatenate([[0], np.cumsum((keys[:, 1:] != keys[:, :-1]).any(axis=0))])
    number = np.array([int(text.rstrip(string.ascii_letters)) for text in residue_id])
    starts = np.flatnonzero(segment[1:] != segment[:-1]) + 1
    return distinct_residues(Residues(segment, number, residue_name, place), name, starts, notes)


def _psf_bonds(lines: list[str]) -> np.ndarray:
    start = next(i for i, line in enumerate(lines) if "!NBOND" in line)
    n_bonds = int(lines[start].split()[0])
    # Four bonds a line, in columns that may touch: eight wide, or ten in the EXT format.
    width = 10 if "EXT" in lines[0].split() else 8
    body = "".join(line.rstrip("\n") for line in lines[start + 1 : start + 1 + -(-n_bonds // 4)])
    numbers = np.array([body[i : i + width] for i in range(0, 2 * n_bonds * width, width)]).astype(np.int64)
    return numbers.reshape(-1, 2) - 1
