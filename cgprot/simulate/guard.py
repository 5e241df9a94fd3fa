"""Telling a replica that left sanity, with the bead and the number that show it."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.spatial import cKDTree
from scipy.special import lambertw

from cgprot.beads import BeadSystem
from cgprot.errors import InputError
from cgprot.simulate.langevin import kinetic_temperature

LARGEST_FORCE = 1000.0  # kcal/mol/Å; mean forces on heavy beads at 300 K have an rms of about 26
LARGEST_BOND_CHANGE = 0.5  # Å; a carbon-carbon bond vibrates by about 0.03 at 300 K
# Å; longer ones are a molecule cut by a periodic box or a gap in a chain. Where every bead is one heavy
# atom bonds are covalent (a disulfide has 2.05); coarser beads are farther apart (3.8 from CA to CA).
_LONGEST_STARTING_BOND = 5.0
_LONGEST_COVALENT_BOND = 2.5
_ATOMIC_MAPPINGS = ("heavy", "heavy_residue")
# Å; heavy atoms without a bond keep 2.1 (two bonds apart, at the sharpest angles). Nearer ones overlap:
# no such frame was ever learnt from, and the forces need not push them apart.
_NEAREST_STARTING_BEADS = 1.5
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
    where: str
    value: float
    limit: float
    unit: str

    def __str__(self) -> str:
        place = f" {self.where}" if self.where else ""
        bound = f" (limit {self.limit:.6g})" if np.isfinite(self.limit) else ""
        return f"replica {self.replica}: {self.what}{place} is {self.value:.6g} {self.unit}{bound}"


class _Measure(NamedTuple):
    what: str
    unit: str
    value: np.ndarray  # (n_replicas, n_places)
    limit: float
    places: np.ndarray | None  # (n_places, 1 or 2), the beads of each place


class Guard:
    """Watches all replicas at once.

    A replica is stopped if a position, the energy or a force is not finite, a force exceeds 1000
    kcal/mol/Å, a bond is 0.5 Å longer or shorter than in the starting structure, or its
    temperature exceeds `largest_temperature`. A starting structure is rarely in equilibrium and
    heats its replica as it relaxes, a heat that friction takes away within 1/(2 friction): that
    limit holds from 1 ps or 1/friction on, whichever is later, and not at 0 K or without
    friction, where no temperature is set. Until then, or throughout, the limit is ten times the
    temperature or 3000 K, whichever is more: an explosion.

    Parameters
    ----------
    system : BeadSystem
    starting_positions : (n_replicas, n_beads, 3) [Å]; they give the bond lengths to compare with
    temperature : [K]
    friction_per_ps : [1/ps]

    Raises
    ------
    InputError
        if a bond of the starting structure is longer than 5 Å (2.5 Å where a bead is a heavy atom), or
        beads without a bond are nearer than 1.5 Å
    """

    def __init__(
        self, system: BeadSystem, starting_positions: np.ndarray, temperature: float, friction_per_ps: float
    ) -> None:
        self._system = system
        self._bonds = system.bonds
        self._beads = np.arange(system.n_beads)[:, None]
        self._length = _bond_lengths(starting_positions, self._bonds)
        self._refuse_broken_molecule()
        self._refuse_overlap(starting_positions)
        self._hottest = largest_temperature(temperature, 3 * system.n_beads)
        usual = self._hottest if np.isfinite(self._hottest) else 0.0
        self._exploding = max(_EXPLOSION * max(temperature, _ROOM_TEMPERATURE), usual)
        self._allowance_ps = max(_SHORTEST_ALLOWANCE_PS, 1.0 / friction_per_ps if friction_per_ps else np.inf)

    def _refuse_broken_molecule(self) -> None:
        atomic = self._system.mapping in _ATOMIC_MAPPINGS
        longest = _LONGEST_COVALENT_BOND if atomic else _LONGEST_STARTING_BOND
        if self._length.size and not self._length.max() < longest:
            replica, bond = np.unravel_index(np.argmax(self._length), self._length.shape)
            raise InputError(
                f"starting frame {replica}: bond {self._names(self._bonds[bond])} is "
                f"{self._length[replica, bond]:.1f} Å long: make the molecule whole across the box, or "
                f"mend the gap in its chain"
            )

    def _refuse_overlap(self, positions: np.ndarray) -> None:
        bonded = {frozenset(bond) for bond in self._bonds.tolist()}
        for replica, frame in enumerate(positions):
            # Replicas mostly start alike, and non-finite positions are named by the first check.
            if not np.isfinite(frame).all() or (replica and np.array_equal(frame, positions[0])):
                continue
            near = cKDTree(frame).query_pairs(_NEAREST_STARTING_BEADS)
            apart = {pair: float(np.linalg.norm(frame[pair[0]] - frame[pair[1]])) for pair in near}
            pairs = [pair for pair in apart if frozenset(pair) not in bonded]
            if pairs:
                first, second = min(pairs, key=lambda pair: (apart[pair], pair))
                raise InputError(
                    f"starting frame {replica}: {self._name(first)} and {self._name(second)} are "
                    f"{apart[first, second]:.2f} Å apart without a bond: remove what overlaps"
                )

    def violations(
        self,
        positions: np.ndarray,
        velocities: np.ndarray,
        energy: np.ndarray,
        forces: np.ndarray,
        time_ps: float,
    ) -> list[Violation]:
        """The first thing wrong with each replica, in order of replicas; empty if all are sane.

        Parameters
        ----------
        positions, velocities, forces : (n_replicas, n_beads, 3) [Å, Å/ps, kcal/mol/Å]
        energy : (n_replicas,) [kcal/mol]
        time_ps : simulated time, which tells the limit of the temperature
        """
        change = np.abs(_bond_lengths(positions, self._bonds) - self._length)
        force = np.sqrt(np.einsum("rbi,rbi->rb", forces, forces))
        measures = [
            _Measure("position of", "Å", np.abs(positions).max(axis=2), np.inf, self._beads),
            _Measure("change of bond", "Å", change, LARGEST_BOND_CHANGE, self._bonds),
            _Measure("force on", "kcal/mol/Å", force, LARGEST_FORCE, self._beads),
            _Measure("energy", "kcal/mol", np.asarray(energy)[:, None], np.inf, None),
        ]
        heat = kinetic_temperature(velocities, self._system.mass)[:, None]
        hottest = self._hottest if time_ps > self._allowance_ps else self._exploding
        measures.append(_Measure("temperature", "K", heat, min(hottest, self._exploding), None))
        found: dict[int, Violation] = {}
        for measure in measures:
            for violation in self._beyond(measure):
                found.setdefault(violation.replica, violation)
        return [found[replica] for replica in sorted(found)]

    def _beyond(self, measure: _Measure) -> list[Violation]:
        # Written so that nan is beyond every limit.
        inside = np.abs(measure.value) < measure.limit
        if inside.all():
            return []
        replicas = np.flatnonzero(~inside.all(axis=1))
        return [self._worst(measure, int(replica)) for replica in replicas]

    def _worst(self, measure: _Measure, replica: int) -> Violation:
        values = measure.value[replica]
        place = int(np.where(np.isnan(values), np.inf, np.abs(values)).argmax())
        where = "" if measure.places is None else self._names(measure.places[place])
        return Violation(replica, measure.what, where, float(values[place]), measure.limit, measure.unit)

    def _name(self, bead: int) -> str:
        return self._names(np.array([bead]))

    def _names(self, beads: np.ndarray) -> str:
        """ "CB-SG of CYS 12 A"; the residue is that of the first bead."""
        system, first = self._system, beads[0]
        names = "-".join(str(system.bead_name[bead]) for bead in beads)
        residue = f"{system.residue_name[first]} {system.residue_id[first]} {system.chain[first]}"
        return f"{names} of {residue}".rstrip()


def _bond_lengths(positions: np.ndarray, bonds: np.ndarray) -> np.ndarray:
    """(n_replicas, n_bonds) [Å]."""
    bond = positions[:, bonds[:, 0]] - positions[:, bonds[:, 1]]
    return np.sqrt(np.einsum("rbi,rbi->rb", bond, bond))


def largest_temperature(temperature: float, degrees_of_freedom: int) -> float:
    """The kinetic temperature that a canonical ensemble exceeds with a chance below exp(-50).

    The kinetic temperature T' of k degrees of freedom follows a chi-squared distribution, with
    T'/T = x exceeded with a chance of at most exp(-k/2 (x - 1 - ln x)) (Chernoff's bound). For many
    degrees of freedom this limit is ten standard deviations, T (1 + 10 sqrt(2/k)); for a few it
    is wider, as the distribution is skewed.

    Returns
    -------
    [K], infinite at 0 K
    """
    if temperature == 0.0:
        return np.inf
    return float(-temperature * lambertw(-np.exp(-1.0 - 100.0 / degrees_of_freedom), -1).real)
