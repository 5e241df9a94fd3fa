"""All-atom and bead coordinates through MDAnalysis: any topology and trajectory that it reads."""

import gc
import sys
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import MDAnalysis
import numpy as np
from MDAnalysis.lib.mdamath import triclinic_vectors

from cgprot.beads import BeadSystem, Topology
from cgprot.errors import InputError, StorageError
from cgprot.files.folder import write_whole
from cgprot.files.mdtraj_hdf5 import MdtrajReader, is_mdtraj_path, read_mdtraj_topology
from cgprot.files.periodic import AtomChunk, Bonded, inspect_frames, make_whole
from cgprot.files.steps import refuse_cut_dcd, steps
from cgprot.files.topology import choose_atoms, topology_of_atoms, usable_box
from cgprot.units import FORCE_FROM_MDANALYSIS

_BYTES_PER_CHUNK = 8 * 2**20
_LISTS_ATOMS = {".pdb", ".ent", ".cif", ".pdbx", ".mmcif"}  # one line each, named ATOM or HETATM


class AtomFrame(NamedTuple):
    """One frame of all atoms."""

    positions: np.ndarray  # (n_atoms, 3) [Å]
    forces: np.ndarray | None  # (n_atoms, 3) [kcal/mol/Å]
    time: float  # [ps]


class AtomSource:
    """The protein atoms of a topology with its trajectories; water and ions are left out.

    Molecules that a periodic box splits are made whole, and those of a trajectory stay together.

    Attributes
    ----------
    topology : Topology of the atoms that are kept
    left_out : how many atoms were left out, by reason
    notes : how often an oddity of the file was resolved, by what was done
    """

    def __init__(self, topology: Path, trajectories: list[Path]) -> None:
        self._universe = open_universe(topology, trajectories)
        self._atoms, self.left_out = choose_atoms(self._universe.atoms)
        self.notes: Counter[str] = Counter()
        if len(self._atoms) == 0:
            raise InputError(f"{topology}: nothing but solvent in it: give a protein")
        try:
            self.topology: Topology = topology_of_atoms(self._atoms, self.notes)
        except InputError as error:
            raise InputError(f"{topology}: {error}")
        self._bonded = Bonded.from_bonds(self.topology.bonds, len(self._atoms))
        self._names = ", ".join(str(path) for path in trajectories or [topology])
        # The cell of a structure may be a crystal's: its chains are where its authors want them.
        dynamic = any(path.suffix.lower() not in _LISTS_ATOMS for path in map(Path, trajectories))
        self._gathers = dynamic and not self._bonded.is_one_molecule

    def __len__(self) -> int:
        return len(self._universe.trajectory)

    def __iter__(self) -> Iterator[AtomFrame]:
        refuse_cut_dcd(self._universe.trajectory)
        for step in steps(self._universe.trajectory, self._names):
            forces = None
            if step.has_forces:
                forces = self._atoms.forces.astype(np.float64) * FORCE_FROM_MDANALYSIS
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # formats without a time count frames
                time = float(step.time)
            yield AtomFrame(self._whole(step), forces, time)

    def _whole(self, step) -> np.ndarray:
        positions = self._atoms.positions.astype(np.float64)
        box = usable_box(step.dimensions)
        if box is not None and (self._gathers or inspect_frames(positions[None], self._bonded)[1][0]):
            positions = make_whole(positions[None], self._bonded, triclinic_vectors(box, np.float64))[0]
        return positions

    def chunks(self) -> Iterator[AtomChunk]:
        """The frames a few megabytes at a time, so that memory does not depend on their number.

        Raises
        ------
        InputError
            if some frames have forces and some do not, or a frame is damaged
        """
        size = max(1, _BYTES_PER_CHUNK // (24 * len(self._atoms)))
        frames: list[AtomFrame] = []
        with_forces = None
        for index, frame in enumerate(self):
            if with_forces not in (None, frame.forces is not None):
                raise InputError(
                    f"{self._names}: some frames have forces and some do not: split the trajectory"
                )
            with_forces = frame.forces is not None
            frames.append(frame)
            if len(frames) == size:
                yield _chunk(frames, index + 1)
                frames = []
        if frames:
            yield _chunk(frames, index + 1)


def _chunk(frames: list[AtomFrame], end: int) -> AtomChunk:
    return AtomChunk(
        number=np.arange(end - len(frames), end),
        positions=np.array([frame.positions for frame in frames]),
        forces=None if frames[0].forces is None else np.array([frame.forces for frame in frames]),
        time=np.array([frame.time for frame in frames]),
    )


@contextmanager
def _quiet():
    """MDAnalysis's readers complain from their destructors when they could not be opened."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda _: None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.unraisablehook = hook


def names_atoms(path: Path) -> bool:
    """Whether a PDB or mmCIF file has atoms at all; without any, parsers fail in words of their insides."""
    listed = grouped = False
    try:
        # A trajectory may be a PDB file: its first atom is enough.
        with open(path, errors="replace") as stream:
            for line in stream:
                listed |= line.startswith("_atom_site.")
                grouped |= line.startswith("_atom_site.group_PDB")
                if line.startswith(("ATOM", "HETATM")) or (listed and {"ATOM", "HETATM"} & set(line.split())):
                    return True
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror}): check its permissions")
    return listed and not grouped  # the rows of such an mmCIF file lack the word


def open_universe(topology: Path, trajectories: list[Path]) -> MDAnalysis.Universe:
    """An MDAnalysis Universe, or one line on why not.

    Raises
    ------
    StorageError
        if a file is missing
    InputError
        if MDAnalysis cannot read the files, or they do not fit each other
    """
    for path in (topology, *trajectories):
        if not Path(path).is_file():
            raise StorageError(f"{path}: no such file: check the path")
    if Path(topology).suffix.lower() in _LISTS_ATOMS and not names_atoms(topology):
        raise InputError(f"{topology}: no atoms in it: check the file")
    # An mdtraj file stands for its own trajectory too, as a PDB file does.
    structure = read_mdtraj_topology(topology) if is_mdtraj_path(topology) else str(topology)
    frames = trajectories or ([] if isinstance(structure, str) else [topology])
    form = {"format": MdtrajReader} if frames and all(map(is_mdtraj_path, frames)) else {}
    with _quiet():
        try:
            universe = MDAnalysis.Universe(structure, *[str(path) for path in frames], **form)
        except InputError:
            raise
        except Exception as error:  # its parsers raise many types, AttributeError and StopIteration included
            reason = str(error).strip().split("\n")[0] or type(error).__name__
        else:
            _refuse_unusable(topology, universe)
            return universe
        gc.collect()
    names = ", ".join(str(path) for path in (topology, *trajectories))
    raise InputError(f"{names}: MDAnalysis cannot read this ({reason}): check that the files belong together")


def _refuse_unusable(topology: Path, universe: MDAnalysis.Universe) -> None:
    if not hasattr(universe, "trajectory"):
        raise InputError(f"{topology}: holds no positions: give a PDB, or a trajectory beside it")
    if not (hasattr(universe.atoms, "names") and hasattr(universe.atoms, "resnames")):
        raise InputError(f"{topology}: names no atoms or residues: give a topology (PDB, PSF) first")


def read_positions(topology: Path, trajectory: Path) -> tuple[np.ndarray, np.ndarray]:
    """All positions (n_frames, n_atoms, 3) [Å] and times (n_frames,) [ps] of a trajectory.

    Raises
    ------
    StorageError, InputError
        if a file is missing, cannot be read or ends within a frame; a DCD, of a run that was cut, gives
        what it has
    """
    universe = open_universe(topology, [trajectory])
    frames = [(step.positions.copy(), step.time) for step in steps(universe.trajectory, str(trajectory))]
    return np.array([positions for positions, _ in frames]), np.array([time for _, time in frames])


def bead_universe(system: BeadSystem, positions: np.ndarray) -> MDAnalysis.Universe:
    """An MDAnalysis Universe of the beads.

    Parameters
    ----------
    system : BeadSystem
    positions : (n_beads, 3) or (n_frames, n_beads, 3) [Å]
    """
    residue = system.residue_index
    first = np.unique(residue, return_index=True)[1]
    chains, segment = np.unique(system.chain[first], return_inverse=True)
    universe = MDAnalysis.Universe.empty(
        system.n_beads,
        n_residues=len(first),
        n_segments=len(chains),
        atom_resindex=residue,
        residue_segindex=segment,
        trajectory=True,
    )
    per_atom = {"names": system.bead_name, "types": system.type_name, "masses": system.mass}
    per_atom |= {"charges": system.charge, "chainIDs": system.chain}
    # A bead of several atoms has no element, and readers would guess one: sulphur for SC.TRP.
    per_atom["elements"] = np.where(system.element == "", "C", system.element)
    for name, values in per_atom.items():
        universe.add_TopologyAttr(name, values)
    universe.add_TopologyAttr("resnames", system.residue_name[first])
    universe.add_TopologyAttr("resids", system.residue_id[first])
    universe.add_TopologyAttr("segids", chains)
    universe.add_TopologyAttr("bonds", [tuple(bond) for bond in system.bonds])
    universe.load_new(np.asarray(positions, dtype=np.float32).reshape(-1, system.n_beads, 3))
    return universe


def read_bead_positions(system: BeadSystem, trajectory: Path) -> np.ndarray | None:
    """All frames of a trajectory of given beads, whatever of MDAnalysis's formats it is in.

    Returns
    -------
    (n_frames, n_beads, 3) [Å], or None if the trajectory is of another number of atoms

    Raises
    ------
    InputError
        if it cannot be read or was cut short
    """
    universe = bead_universe(system, np.zeros((system.n_beads, 3)))
    with _quiet():
        try:
            universe.load_new(str(trajectory))
            refuse_cut_dcd(universe.trajectory)
            frames = [step.positions.copy() for step in steps(universe.trajectory, str(trajectory))]
            return np.array(frames, dtype=np.float64)
        except InputError:
            raise
        except Exception as error:  # its readers raise many types
            reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        gc.collect()
    if "n_atoms" in reason or "number of atoms" in reason:
        return None
    raise InputError(f"{trajectory}: MDAnalysis cannot read this ({reason}): check the file")


def write_pdb(
    path: Path, system: BeadSystem, positions: np.ndarray, cell: tuple[float, ...] | None = None
) -> None:
    """Write one frame, (n_beads, 3) [Å], as a hydrogen-free PDB.

    Parameters
    ----------
    cell : edges [Å] and angles [degrees] of the periodic box, for its CRYST1 line
    """
    universe = bead_universe(system, positions)
    universe.dimensions = cell

    def write(temporary: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with MDAnalysis.Writer(str(temporary), format="PDB", bonds=None) as writer:
                writer.write(universe.atoms)

    write_whole(path, write)
