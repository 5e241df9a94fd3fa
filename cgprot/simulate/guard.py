"""Telling a replica that left sanity, with the bead and the number that show it."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import lambertw

from cgprot.analyse.chirality import chirality, stereocentres
from cgprot.analyse.dihedrals import CIS_BELOW, dihedrals, omega_beads
from cgprot.analyse.structure import bond_lengths
from cgprot.beads import BeadSystem
from cgprot.simulate.sanity import (
    BOND,
    CHIRALITY,
    ENERGY,
    FORCE,
    PEPTIDE,
    POSITION,
    SANE,
    TEMPERATURE,
    inspect,
)
from cgprot.simulate.schemes import Scheme
from cgprot.simulate.state import SimulationState
from cgprot.simulate.whole import bead_names

LARGEST_FORCE = 1000.0  # kcal/mol/Å; mean forces on heavy beads at 300 K have an rms of about 26
LARGEST_BOND_CHANGE = 0.5  # Å; a carbon-carbon bond vibrates by about 0.03 at 300 K
_SHORTEST_ALLOWANCE_PS = 1.0
# A start brings the potential energy of room temperature, whatever the temperature of the run, and with
# a few bad bonds some times as much; ten times as much in every degree of freedom is an explosion.
_ROOM_TEMPERATURE = 300.0  # K
_EXPLOSION = 10.0


@dataclass(frozen=True)
class Violation:
    """What is wrong with one replica: the quantity, where, its value and its limit."""

    replica: int
    what: str
    unit: str
    where: str
    value: float
    limit: float

    def __str__(self) -> str:
        place = f" {self.where}" if self.where else ""
        bound = f" (limit {self.limit:.6g})" if np.isfinite(self.limit) else ""
        return f"replica {self.replica}: {self.what}{place} is {self.value:.6g} {self.unit}{bound}"


# What each kind is called, and its unit.
_KINDS = {
    POSITION: ("position of", "Å"),
    BOND: ("change of bond", "Å"),
    FORCE: ("force on", "kcal/mol/Å"),
    ENERGY: ("energy", "kcal/mol"),
    CHIRALITY: ("handedness of", "Å³"),
    PEPTIDE: ("ω of peptide bond", "degrees"),
    TEMPERATURE: ("temperature", "K"),
}


class Guard:
    """Watches all replicas at once, each by its own start and its own temperature.

    A replica is stopped if a position, the energy or a force is not finite, a force exceeds 1000
    kcal/mol/Å, a bond is 0.5 Å longer or shorter than in its start, a stereocentre is inverted, a
    peptide bond has changed between cis and trans, or its temperature exceeds
    `largest_temperature`.

    A start that is cis stays allowed, and one that is inverted too: what counts is the change.
    Proline is no exception: its peptide bond does isomerise, but over 20 kcal/mol, in seconds; a
    simulation that sees it has lost that barrier.

    A starting structure is rarely in equilibrium and heats its replica as it relaxes, a heat that
    friction takes away within 1/(2 friction): the limit of the temperature holds from 1 ps or
    1/friction on, whichever is later, and not at 0 K or without a thermostat. Until then, or
    throughout, the limit is ten times the temperature or 3000 K, whichever is more: an explosion.
    Brownian dynamics has no temperature of its own to watch.

    Parameters
    ----------
    system : BeadSystem
    starting_positions : (n_replicas, n_beads, 3) [Å], what changes are measured from
    friction_per_ps : (n_replicas,) [1/ps]
    scheme : of the integrator
    allow_flips : leave chirality and peptide bonds unwatched
    heat_ps : [ps] in which the replicas are heated: the heat of a relaxing start is large beside a
        temperature near 0, so that the limit of the temperature holds from so much later on
    warmest : step -> (n_replicas,) [K], the warmest bath that replicas may still have the heat of; without
        it only that of the moment counts
    """

    def __init__(
        self,
        system: BeadSystem,
        starting_positions: np.ndarray,
        friction_per_ps: np.ndarray,
        scheme: Scheme = "langevin",
        allow_flips: bool = False,
        heat_ps: float = 0.0,
        warmest: Callable[[int], np.ndarray] | None = None,
    ) -> None:
        self._system, self._scheme, self._warmest = system, scheme, warmest
        # As a resumed run reads it from the trajectories, so that both draw the same line.
        start = np.asarray(starting_positions, dtype=np.float32).astype(np.float64)
        bonds = system.bonds.astype(np.int64).reshape(-1, 2)
        nothing = np.empty((0, 4), dtype=np.int64)
        centres = nothing if allow_flips else stereocentres(system)
        omegas = nothing if allow_flips else omega_beads(system)
        cis = np.abs(dihedrals(start, omegas)) < CIS_BELOW
        self._reference = (bonds, bond_lengths(start, bonds), centres, chirality(start, centres), omegas, cis)
        beads, whole = np.arange(system.n_beads)[:, None], np.empty((1, 0), dtype=np.int64)
        self._places = {POSITION: beads, BOND: bonds, FORCE: beads, ENERGY: whole, TEMPERATURE: whole}
        self._places |= {CHIRALITY: centres[:, :1], PEPTIDE: omegas[:, 1:3]}
        with np.errstate(divide="ignore"):
            self._allowance_ps = heat_ps + np.maximum(
                _SHORTEST_ALLOWANCE_PS, 1.0 / np.asarray(friction_per_ps)
            )
        self._bath = self._usual = self._explosion = np.empty(0)

    def violations(
        self, state: SimulationState, energy: np.ndarray, forces: np.ndarray, time_ps: float
    ) -> list[Violation]:
        """The first thing wrong with each replica that runs, in order; empty if all are sane.

        Parameters
        ----------
        energy : (n_replicas,) [kcal/mol]
        forces : (n_replicas, n_beads, 3) [kcal/mol/Å]
        time_ps : simulated time, which tells the limit of the temperature
        """
        bath = state.temperature if self._warmest is None else self._warmest(state.step)
        hottest = self._hottest(bath, time_ps)
        kind, place = np.empty((2, len(hottest)), dtype=np.int64)
        value = np.empty(len(hottest))
        inspect(
            state.positions, state.velocities, energy, forces, state.running, self._system.mass,
            *self._reference, LARGEST_BOND_CHANGE, LARGEST_FORCE, CIS_BELOW, hottest, kind, place, value,
        )  # fmt: skip
        limits = {BOND: LARGEST_BOND_CHANGE, FORCE: LARGEST_FORCE, CHIRALITY: 0.0, PEPTIDE: CIS_BELOW}
        return [
            Violation(
                int(replica),
                *_KINDS[kind[replica]],
                self._where(kind[replica], place[replica]),
                float(value[replica]),
                hottest[replica] if kind[replica] == TEMPERATURE else limits.get(kind[replica], np.inf),
            )
            for replica in np.flatnonzero(kind != SANE)
        ]

    def _where(self, kind: int, place: int) -> str:
        beads = self._places[kind][place]
        return bead_names(self._system, beads) if len(beads) else ""

    def _hottest(self, bath: np.ndarray, time_ps: float) -> np.ndarray:
        """(n_replicas,) [K], at a time in baths of these temperatures."""
        if not np.array_equal(bath, self._bath):
            self._bath, usual = bath.copy(), largest_temperature(bath, 3 * self._system.n_beads)
            least = np.where(np.isfinite(usual), usual, 0.0)
            self._explosion = np.maximum(_EXPLOSION * np.maximum(bath, _ROOM_TEMPERATURE), least)
            self._usual = np.minimum(usual, self._explosion)
            if self._scheme != "langevin":
                self._usual = self._explosion
            if self._scheme == "brownian":
                self._usual = self._explosion = np.full(len(bath), np.inf)
        return np.where(time_ps > self._allowance_ps, self._usual, self._explosion)


def largest_temperature(temperature: np.ndarray, degrees_of_freedom: int) -> np.ndarray:
    """The kinetic temperature that a canonical ensemble exceeds with a chance below exp(-50).

    The kinetic temperature T' of k degrees of freedom follows a chi-squared distribution, with
    T'/T = x exceeded with a chance of at most exp(-k/2 (x - 1 - ln x)) (Chernoff's bound). For many
    degrees of freedom this limit is ten standard deviations, T (1 + 10 sqrt(2/k)); for a few it
    is wider, as the distribution is skewed.

    Returns
    -------
    [K] of the shape of `temperature`, infinite at 0 K
    """
    temperature = np.asarray(temperature, dtype=np.float64)
    limit = -temperature * lambertw(-np.exp(-1.0 - 100.0 / degrees_of_freedom), -1).real
    return np.where(temperature == 0.0, np.inf, limit)
