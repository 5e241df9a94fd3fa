"""Harmonic restraints on distances and on the RMSD to a reference, added to a model's forces."""

import tomllib
from functools import cached_property
from pathlib import Path

import MDAnalysis
import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cgprot.beads import BeadFrames, BeadSystem, Forces
from cgprot.errors import InputError, StorageError
from cgprot.files.folder import sha256_of
from cgprot.files.universe import bead_universe
from cgprot.simulate.start import load_start

RESTRAINTS_FILE = "restraints.json"
_LEAST_BEADS = 3  # fewer have no orientation


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class _DistanceEntry(_Strict):
    beads: tuple[str, str]
    length: float = Field(ge=0)  # Å
    stiffness: float = Field(gt=0)  # kcal/mol/Å²


class _RmsdEntry(_Strict):
    beads: str
    reference: Path | None = None
    rmsd: float = Field(default=0.0, ge=0)  # Å
    stiffness: float = Field(gt=0)  # kcal/mol/Å²


class _Entries(_Strict):
    distance: list[_DistanceEntry] = []
    rmsd: list[_RmsdEntry] = []


class DistanceRestraint(_Strict):
    """E = k/2 (|x_i - x_j| - length)²; bead numbers from 0, [Å], [kcal/mol/Å²]."""

    beads: tuple[int, int]
    length: float
    stiffness: float

    def energy_and_forces(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n_replicas,) [kcal/mol] and (n_replicas, 2, 3) [kcal/mol/Å] on the two beads."""
        apart = positions[:, self.beads[0]] - positions[:, self.beads[1]]
        length = np.sqrt((apart**2).sum(axis=1))
        stretch = length - self.length
        # Coincident beads have no direction between them.
        direction = apart / np.where(length > 0, length, 1.0)[:, None]
        pull = -self.stiffness * stretch[:, None] * direction
        return 0.5 * self.stiffness * stretch**2, np.stack([pull, -pull], axis=1)


class RmsdRestraint(_Strict):
    """E = k/2 (RMSD - rmsd)², RMSD after the best superposition on the reference, all beads alike.

    Bead numbers from 0, reference positions [Å], [kcal/mol/Å²].
    """

    beads: tuple[int, ...]
    reference: tuple[tuple[float, float, float], ...]
    rmsd: float
    stiffness: float

    def energy_and_forces(self, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n_replicas,) [kcal/mol] and (n_replicas, len(beads), 3) [kcal/mol/Å] on the beads.

        At the best rotation the RMSD does not change with the rotation, so that its gradient is that
        with the rotation held: (x - R y)/(N RMSD).
        """
        apart = deviations(positions[:, np.array(self.beads)], self._centred)
        rmsd = np.sqrt((apart**2).sum(axis=2).mean(axis=1))
        stretch = rmsd - self.rmsd
        # At the reference itself no direction leads away from it: no force.
        slope = self.stiffness * np.where(rmsd > 0, stretch / np.where(rmsd > 0, rmsd, 1.0), 0.0)
        return 0.5 * self.stiffness * stretch**2, -slope[:, None, None] * apart / len(self.beads)

    @cached_property
    def _centred(self) -> np.ndarray:
        reference = np.array(self.reference)
        return reference - reference.mean(axis=0)


class Restraints(_Strict):
    """All of a run."""

    distance: tuple[DistanceRestraint, ...] = ()
    rmsd: tuple[RmsdRestraint, ...] = ()

    @property
    def all(self) -> list[DistanceRestraint | RmsdRestraint]:
        return [*self.distance, *self.rmsd]

    def text(self) -> str:
        """What RESTRAINTS_FILE of a run folder holds, for its resumption."""
        return self.model_dump_json() + "\n"


def deviations(positions: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """What is left between frames and a reference laid on them, frame by frame.

    Kabsch 1976 (doi:10.1107/S0567739476001873), without reflections.

    Parameters
    ----------
    positions : (n_frames, n_beads, 3) [Å]
    reference : (n_beads, 3) [Å], about its own centroid

    Returns
    -------
    (n_frames, n_beads, 3) [Å], x - x̄ - R y of the rotation R that makes it least
    """
    centred = positions - positions.mean(axis=1, keepdims=True)
    left, _, right = np.linalg.svd(np.swapaxes(centred, 1, 2) @ reference)  # (F, 3, 3), sum of x yᵀ
    mirror = np.sign(np.linalg.det(left @ right))
    left = left * np.stack([np.ones_like(mirror), np.ones_like(mirror), mirror], axis=1)[:, None, :]
    return centred - reference @ np.swapaxes(left @ right, 1, 2)


def restrained(forces: Forces, restraints: Restraints) -> Forces:
    """Energies and forces with those of the restraints added.

    Positions are taken as they are, without periodic images.
    """

    def total(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        energy, force = forces(positions)
        energy, force = energy.copy(), force.copy()
        for restraint in restraints.all:
            more_energy, more_force = restraint.energy_and_forces(positions)
            energy += more_energy
            # No bead is twice in one restraint, so that this adds once to each.
            force[:, list(restraint.beads)] += more_force
        return energy, force

    return total


def read_restraints(path: Path, start: BeadFrames) -> Restraints:
    """Restraints as a user writes them, in TOML.

        [[distance]]
        beads = ["resid 3 and name CB", "resid 8 and name CB"]
        length = 6.5       # Å
        stiffness = 5.0    # kcal/mol/Å²

        [[rmsd]]
        beads = "name CA"
        reference = "native.pdb"   # beside this file; the start if left out
        rmsd = 0.0         # Å
        stiffness = 50.0   # kcal/mol/Å²

    Beads are selected in MDAnalysis's language.

    Parameters
    ----------
    path : the TOML file
    start : its first frame is the reference where none is given

    Raises
    ------
    StorageError
        if a file is missing
    InputError
        if an entry is unknown, or selects none or too many beads, or the reference lacks one of them
    """
    path = Path(path)
    entries = _read_entries(path)
    universe = bead_universe(start.system, start.positions[0])
    distances = [
        _distance(f"{path}: distance {number}", entry, universe)
        for number, entry in enumerate(entries.distance, start=1)
    ]
    rmsds = [
        _rmsd(f"{path}: rmsd {number}", entry, universe, path.parent, start)
        for number, entry in enumerate(entries.rmsd, start=1)
    ]
    return Restraints(distance=tuple(distances), rmsd=tuple(rmsds))


def saved_restraints(folder: Path, sha256: str) -> Restraints:
    """Those that a run began with, the same to the last bit.

    Raises
    ------
    StorageError
        if their file is missing or was changed since
    """
    path = Path(folder) / RESTRAINTS_FILE
    if sha256_of(path) != sha256:
        raise StorageError(f"{path}: not the restraints that the run began with: restore it from a copy")
    return Restraints.model_validate_json(path.read_text())


def _read_entries(path: Path) -> _Entries:
    try:
        entries = _Entries.model_validate(tomllib.loads(path.read_text()))
    except OSError as error:
        raise StorageError(f"{path}: could not be read ({error.strerror}): check the path")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not TOML ({error}): mend that line")
    except ValidationError as error:
        first = error.errors()[0]
        key = " ".join(str(part + 1 if isinstance(part, int) else part) for part in first["loc"])
        reason = "no such key" if first["type"] == "extra_forbidden" else first["msg"].lower()
        raise InputError(f"{path}: {key}: {reason}: mend that key")
    if not entries.distance and not entries.rmsd:
        raise InputError(f"{path}: restrains nothing: add a [[distance]] or an [[rmsd]]")
    return entries


def _distance(where: str, entry: _DistanceEntry, universe: MDAnalysis.Universe) -> DistanceRestraint:
    first, second = (_one_bead(where, text, _select(where, universe, text)) for text in entry.beads)
    if first == second:
        raise InputError(f"{where}: both ends are the same bead: choose two")
    return DistanceRestraint(beads=(first, second), length=entry.length, stiffness=entry.stiffness)


def _rmsd(
    where: str, entry: _RmsdEntry, universe: MDAnalysis.Universe, folder: Path, start: BeadFrames
) -> RmsdRestraint:
    beads = _select(where, universe, entry.beads)
    if len(beads) < _LEAST_BEADS:
        raise InputError(
            f"{where}: {entry.beads!r} selects {len(beads)} beads: choose {_LEAST_BEADS} or more"
        )
    reference = start.positions[0][beads]
    if entry.reference is not None:
        reference = _reference(where, folder / entry.reference, start.system, beads)
    return RmsdRestraint(
        beads=tuple(beads.tolist()),
        reference=tuple(map(tuple, reference.tolist())),
        rmsd=entry.rmsd,
        stiffness=entry.stiffness,
    )


def _select(where: str, universe: MDAnalysis.Universe, selection: str) -> np.ndarray:
    try:
        return universe.select_atoms(selection).indices
    except Exception as error:  # its parser raises several types, AttributeError included
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{where}: {selection!r} is no selection of MDAnalysis ({reason}): mend it")


def _one_bead(where: str, selection: str, beads: np.ndarray) -> int:
    if len(beads) != 1:
        raise InputError(f"{where}: {selection!r} selects {len(beads)} beads: choose exactly one")
    return int(beads[0])


def _reference(where: str, path: Path, system: BeadSystem, beads: np.ndarray) -> np.ndarray:
    """(len(beads), 3) [Å], where another structure has the same beads."""
    other = load_start(path, system.mapping)
    place = {name: number for number, name in enumerate(_names(other.system))}
    names = [_names(system)[bead] for bead in beads]
    missing = [name for name in names if name not in place]
    if missing:
        raise InputError(
            f"{where}: {path} lacks {' '.join(map(str, missing[0]))}: give the reference of the same chains"
        )
    return other.positions[0][[place[name] for name in names]]


def _names(system: BeadSystem) -> list[tuple[str, int, str, str]]:
    """What a bead is called in every file of the same protein."""
    columns = (system.chain, system.residue_id, system.residue_name, system.bead_name)
    return list(zip(*(column.tolist() for column in columns), strict=True))
