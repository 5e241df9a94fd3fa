"""All-atom and bead coordinates through MDAnalysis: any topology and trajectory that it reads."""

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import MDAnalysis
import numpy as np
from MDAnalysis.lib.distances import self_capped_distance

from cgprot.beads import BeadSystem, Topology
from cgprot.errors import InputError, StorageError
from cgprot.files.folder import write_whole
from cgprot.units import FORCE_FROM_MDANALYSIS

_SOLVENT = (
    "resname HOH WAT TIP3 TIP4 TP3M SOL SPC OPC NA CL K MG CA ZN LI RB CS BR IOD "
    "NA+ CL- K+ Na+ Cl- SOD CLA POT CAL CES"
)
_DISULFIDE_LENGTH = 2.5  # Å; a bond is 2.05, two sulphurs that only touch are beyond 3.5
_GUESS_RADII = {"C": 1.7, "N": 1.55, "O": 1.52, "S": 1.8, "H": 1.1}


class AtomFrame(NamedTuple):
    """One frame of all atoms."""

    positions: np.ndarray  # (n_atoms, 3) [Å]
    forces: np.ndarray | None  # (n_atoms, 3) [kcal/mol/Å]
    time: float  # [ps]


class AtomSource:
    """The protein atoms of a topology with its trajectories; water and ions are left out.

    Attributes
    ----------
    topology : Topology of the atoms that are kept
    n_dropped : number of solvent atoms left out
    """

    def __init__(self, topology: Path, trajectories: list[Path]) -> None:
        self._universe = open_universe(topology, trajectories)
        solvent = self._universe.select_atoms(_SOLVENT)
        self._atoms = self._universe.atoms - solvent
        self.n_dropped = len(solvent)
        if len(self._atoms) == 0:
            raise InputError(f"{topology}: nothing but solvent in it: give a protein")
        self.topology = _topology(self._atoms)

    def __len__(self) -> int:
        return len(self._universe.trajectory)

    def __iter__(self) -> Iterator[AtomFrame]:
        for step in self._universe.trajectory:
            forces = None
            if step.has_forces:
                forces = self._atoms.forces.astype(np.float64) * FORCE_FROM_MDANALYSIS
            yield AtomFrame(self._atoms.positions.astype(np.float64), forces, float(step.time))


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
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return MDAnalysis.Universe(str(topology), *[str(path) for path in trajectories])
    except (OSError, ValueError, TypeError, IndexError, KeyError, EOFError) as error:
        reason = str(error).strip().split("\n")[0]
        names = ", ".join(str(path) for path in (topology, *trajectories))
        raise InputError(
            f"{names}: MDAnalysis cannot read this ({reason}): check that the files belong together"
        )


def _topology(atoms: MDAnalysis.AtomGroup) -> Topology:
    element = _elements(atoms)
    chain = getattr(atoms, "chainIDs", getattr(atoms, "segids", np.array([""] * len(atoms))))
    return Topology(
        element=element,
        name=np.asarray(atoms.names, dtype=str),
        mass=np.asarray(atoms.masses, dtype=float),
        residue_name=np.asarray(atoms.resnames, dtype=str),
        residue_id=np.asarray(atoms.resids, dtype=np.int64),
        chain=np.array([str(name).strip() or "A" for name in chain]),
        bonds=_bonds(atoms, element),
    )


def _elements(atoms: MDAnalysis.AtomGroup) -> np.ndarray:
    """Element symbols from the file, or else by the nearest mass."""
    known = np.asarray(getattr(atoms, "elements", [""] * len(atoms)), dtype=str)
    if (known != "").all():
        return np.char.capitalize(known)
    masses = {"H": 1.008, "C": 12.011, "N": 14.007, "O": 15.999, "S": 32.06}
    symbols, values = np.array(list(masses)), np.array(list(masses.values()))
    distance = np.abs(np.asarray(atoms.masses)[:, None] - values)
    guessed = np.where(distance.min(axis=1) < 0.7, symbols[distance.argmin(axis=1)], "X")
    # Repartitioned hydrogens weigh 1.5 to 4 Da; nothing else does.
    guessed[np.asarray(atoms.masses) < 5.0] = "H"
    return np.where(known != "", np.char.capitalize(known), guessed)


def _bonds(atoms: MDAnalysis.AtomGroup, element: np.ndarray) -> np.ndarray:
    """The file's bonds if every hydrogen has one, else bonds by distance in the first frame."""
    local = np.full(len(atoms.universe.atoms), -1)
    local[atoms.ix] = np.arange(len(atoms))
    if hasattr(atoms, "bonds"):
        bonds = local[atoms.bonds.indices] if len(atoms.bonds) else np.empty((0, 2), dtype=int)
        bonds = bonds[(bonds >= 0).all(axis=1)]
        if np.isin(np.flatnonzero(element == "H"), bonds).all() and len(bonds) >= len(atoms) - 1:
            return bonds
    return bonds_by_distance(atoms.positions, element)


def bonds_by_distance(positions: np.ndarray, element: np.ndarray) -> np.ndarray:
    """Covalent bonds from interatomic distances.

    Two atoms are bonded below 0.55 times the sum of their van der Waals radii (VMD's rule); a
    hydrogen is bonded to its nearest heavy atom only; two sulphurs below 2.5 Å.

    Parameters
    ----------
    positions : (n_atoms, 3) [Å]
    element : (n_atoms,) str

    Returns
    -------
    (n_bonds, 2) int
    """
    if not np.isfinite(positions).all():
        bad = int(np.argwhere(~np.isfinite(positions))[0, 0])
        raise InputError(f"position of atom {bad + 1} is not finite: mend or leave out that structure")
    pairs, distances = self_capped_distance(np.asarray(positions, dtype=np.float32), max_cutoff=2.5)
    radius = np.array([_GUESS_RADII.get(symbol, 2.0) for symbol in element])
    is_hydrogen = element == "H"
    both_sulphur = (element[pairs] == "S").all(axis=1)
    limit = np.where(both_sulphur, _DISULFIDE_LENGTH, 0.55 * radius[pairs].sum(axis=1))
    bonded = (distances < limit) & ~is_hydrogen[pairs].all(axis=1)
    order = np.argsort(distances[bonded])
    return _one_bond_per_hydrogen(pairs[bonded][order], is_hydrogen)


def _one_bond_per_hydrogen(pairs: np.ndarray, is_hydrogen: np.ndarray) -> np.ndarray:
    """Keep the shortest bond of each hydrogen; `pairs` come shortest first."""
    hydrogen = np.where(is_hydrogen[pairs[:, 0]], pairs[:, 0], pairs[:, 1])
    with_hydrogen = np.flatnonzero(is_hydrogen[pairs].any(axis=1))
    _, first = np.unique(hydrogen[with_hydrogen], return_index=True)
    kept = np.union1d(with_hydrogen[first], np.flatnonzero(~is_hydrogen[pairs].any(axis=1)))
    return np.sort(pairs[kept].astype(np.int64), axis=1)


def read_positions(topology: Path, trajectory: Path) -> tuple[np.ndarray, np.ndarray]:
    """All positions (n_frames, n_atoms, 3) [Å] and times (n_frames,) [ps] of a trajectory."""
    universe = open_universe(topology, [trajectory])
    frames = [(step.positions.copy(), step.time) for step in universe.trajectory]
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
    # A heavy bead's type starts with its element: CH3 is carbon.
    per_atom["elements"] = np.array([name[0] for name in system.type_name])
    for name, values in per_atom.items():
        universe.add_TopologyAttr(name, values)
    universe.add_TopologyAttr("resnames", system.residue_name[first])
    universe.add_TopologyAttr("resids", system.residue_id[first])
    universe.add_TopologyAttr("segids", chains)
    universe.add_TopologyAttr("bonds", [tuple(bond) for bond in system.bonds])
    universe.load_new(np.asarray(positions, dtype=np.float32).reshape(-1, system.n_beads, 3))
    return universe


def write_pdb(path: Path, system: BeadSystem, positions: np.ndarray) -> None:
    """Write one frame, (n_beads, 3) [Å], as a hydrogen-free PDB."""
    universe = bead_universe(system, positions)

    def write(temporary: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with MDAnalysis.Writer(str(temporary), format="PDB", bonds=None) as writer:
                writer.write(universe.atoms)

    write_whole(path, write)
