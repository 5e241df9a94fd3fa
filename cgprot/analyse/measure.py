"""Everything the report says about one replica, and what went wrong in it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from cgprot.analyse.chirality import chirality_flips, stereocentres
from cgprot.analyse.contacts import fraction_native, native_contacts
from cgprot.analyse.dihedrals import (
    backbone_dihedrals,
    chi1_beads,
    cis_flips,
    dihedrals,
    omega_beads,
    peptide_omega,
)
from cgprot.analyse.structure import (
    Molecule,
    bond_lengths,
    broken_bonds,
    molecules,
    radius_of_gyration,
    rmsd,
    rmsf,
)
from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import InputError
from cgprot.files.sources import Source


@dataclass(frozen=True, eq=False)
class Measurement:
    """One replica, measured against its first frame, each of several molecules by itself.

    Attributes
    ----------
    frames : BeadFrames
    n_molecules : how many there are
    backbone_rmsd : (n_frames,) [Å], the largest of a molecule
    radius_of_gyration : (n_frames,) [Å], the mean over molecules
    bond_deviation : (n_frames, n_bonds) [Å], length less that at the start
    broken : (n_frames, n_bonds) bool
    inverted : (n_frames, n_centres) bool
    isomerised : (n_frames, n_omega) bool
    phi_psi : (n_frames, n_residues, 2) [degrees]
    chi1 : (n_frames, n_sidechains) [degrees]
    contacts : (n_frames,), fraction of the contacts of the first frame
    fluctuation : (n_alpha,) [Å], RMSF of every CA about its molecule
    """

    frames: BeadFrames
    n_molecules: int
    backbone_rmsd: np.ndarray
    radius_of_gyration: np.ndarray
    bond_deviation: np.ndarray
    broken: np.ndarray
    inverted: np.ndarray
    isomerised: np.ndarray
    phi_psi: np.ndarray
    chi1: np.ndarray
    contacts: np.ndarray
    fluctuation: np.ndarray


class Ensemble(NamedTuple):
    """A source with the measurements of its replicas."""

    source: Source
    replicas: list[Measurement]
    is_reference: bool

    @property
    def name(self) -> str:
        return self.source.name

    def pooled(self, quantity: str) -> np.ndarray:
        """One quantity of every replica, all frames in a row."""
        return np.concatenate([getattr(replica, quantity) for replica in self.replicas])

    @property
    def phi_psi(self) -> list[np.ndarray]:
        """(n_frames, n_residues, 2) [degrees] of every replica."""
        return [replica.phi_psi for replica in self.replicas]

    @property
    def chi1(self) -> list[np.ndarray]:
        """(n_frames, n_sidechains, 1) [degrees] of every replica."""
        return [replica.chi1[..., None] for replica in self.replicas]

    @property
    def fluctuation(self) -> np.ndarray:
        """(n_alpha,) [Å], RMSF of every CA, the mean of the replicas, which count by their frames."""
        n_frames = [len(replica.frames) for replica in self.replicas]
        return np.average([replica.fluctuation for replica in self.replicas], axis=0, weights=n_frames)


class Event(NamedTuple):
    """The first time that a bond, a stereocentre or a peptide bond went wrong."""

    kind: str
    beads: str
    time: float  # [ps]
    share: float  # of all frames in which it is wrong
    at_end: bool  # still wrong in the last frame


def measure(frames: BeadFrames) -> Measurement:
    """Measure one replica.

    Raises
    ------
    InputError
        if there is no frame, or the first is not finite
    """
    start = _start(frames)
    system, positions = frames.system, frames.positions
    of_each = molecules(system)
    lengths = bond_lengths(positions, system.bonds)
    at_start = bond_lengths(start[None], system.bonds)[0]
    omega_at_start = peptide_omega(start[None], system)[0]
    return Measurement(
        frames=frames,
        n_molecules=len(of_each),
        backbone_rmsd=np.max([rmsd(positions, start, own.backbone) for own in of_each], axis=0),
        radius_of_gyration=np.mean([_radius_of_gyration(frames, own) for own in of_each], axis=0),
        bond_deviation=lengths - at_start,
        broken=broken_bonds(lengths, at_start),
        inverted=chirality_flips(positions, start, stereocentres(system)),
        isomerised=cis_flips(peptide_omega(positions, system), omega_at_start),
        phi_psi=backbone_dihedrals(positions, system),
        chi1=dihedrals(positions, chi1_beads(system)),
        contacts=fraction_native(positions, native_contacts(start, system)),
        fluctuation=_fluctuation(frames, of_each),
    )


def _radius_of_gyration(frames: BeadFrames, molecule: Molecule) -> np.ndarray:
    # Not an index, which would turn the array's order in memory, and so the last bits of the sums.
    own = np.take(frames.positions, molecule.beads, axis=1)
    return radius_of_gyration(own, frames.system.mass[molecule.beads])


def _fluctuation(frames: BeadFrames, of_each: list[Molecule]) -> np.ndarray:
    alpha = alpha_carbons(frames.system)
    fluctuation = np.full(len(alpha), np.nan)
    for molecule in of_each:
        own = np.isin(alpha, molecule.beads)
        fluctuation[own] = rmsf(frames.positions, alpha[own], molecule.backbone)
    return fluctuation


def alpha_carbons(system: BeadSystem) -> np.ndarray:
    """Indices of the beads CA."""
    return np.flatnonzero(system.bead_name == "CA")


def not_finite(frames: BeadFrames) -> np.ndarray:
    """(n_frames,) bool, frames in which a position is not a number."""
    return ~np.isfinite(frames.positions).all(axis=(1, 2))


def events(measurement: Measurement) -> list[Event]:
    """What went wrong at any time, first things first."""
    system = measurement.frames.system
    subjects = (
        ("bond broken", measurement.broken, system.bonds),
        ("stereocentre inverted", measurement.inverted, stereocentres(system)[:, :1]),
        ("peptide bond isomerised", measurement.isomerised, omega_beads(system)[:, 1:3]),
    )
    found = [event for subject in subjects for event in _events(measurement.frames, *subject)]
    return sorted(found, key=lambda event: event.time)


def _events(frames: BeadFrames, kind: str, wrong: np.ndarray, beads: np.ndarray) -> list[Event]:
    return [
        Event(
            kind,
            " – ".join(describe_bead(frames.system, bead) for bead in beads[column]),
            float(frames.time[wrong[:, column].argmax()]),
            float(wrong[:, column].mean()),
            bool(wrong[-1, column]),
        )
        for column in np.flatnonzero(wrong.any(axis=0))
    ]


def describe_bead(system: BeadSystem, bead: int) -> str:
    """A bead as people name it, "CA LEU 12 A"."""
    name = f"{system.bead_name[bead]} {system.residue_name[bead]} {system.residue_id[bead]}"
    return f"{name} {system.chain[bead]}".strip()


def _start(frames: BeadFrames) -> np.ndarray:
    if len(frames) == 0:
        raise InputError("a replica without frames: leave it out or run it first")
    if not np.isfinite(frames.positions[0]).all():
        raise InputError("the first frame holds positions that are not finite: leave that replica out")
    return frames.positions[0]
