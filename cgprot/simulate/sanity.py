"""What is wrong with a replica, found in one pass over its beads, compiled.

Comparisons are written so that nan fails every one of them.
"""

import math

from cgprot.compiled import kernel
from cgprot.units import BOLTZMANN, ENERGY_TO_MASS_VELOCITY_SQUARED

SANE, POSITION, BOND, FORCE, ENERGY, CHIRALITY, PEPTIDE, TEMPERATURE = range(8)


@kernel
def inspect(
    positions, velocities, energy, forces, running, mass, bonds, length, centres, handedness,
    omegas, cis, longest_change, largest_force, cis_below, hottest, kind, place, value,
):  # fmt: skip
    """The first thing wrong with every replica that runs, in the order of the kinds.

    Parameters
    ----------
    positions, velocities, forces : (n_replicas, n_beads, 3) [Å], [Å/ps], [kcal/mol/Å]
    energy : (n_replicas,) [kcal/mol]
    running : (n_replicas,) bool
    mass : (n_beads,) [Da]
    bonds : (n_bonds, 2) int; length : (n_replicas, n_bonds) [Å], at the start
    centres : (n_centres, 4) int; handedness : (n_replicas, n_centres), -1 or 1, at the start
    omegas : (n_omega, 4) int; cis : (n_replicas, n_omega) bool, at the start
    longest_change [Å], largest_force [kcal/mol/Å], cis_below [degrees] : limits
    hottest : (n_replicas,) [K]
    kind, place, value : (n_replicas,), written: what, at which bead, bond, centre or ω, and how much
    """
    for r in range(len(positions)):
        kind[r], place[r], value[r] = SANE, -1, 0.0
        if not running[r]:
            continue
        x = positions[r]
        kind[r] = POSITION
        place[r], value[r] = _infinite_bead(x)
        if place[r] < 0:
            kind[r] = BOND
            place[r], value[r] = _worst_bond(x, bonds, length[r], longest_change)
        if place[r] < 0:
            kind[r] = FORCE
            place[r], value[r] = _worst_force(forces[r], largest_force)
        if place[r] < 0:
            kind[r], place[r], value[r] = ENERGY, 0, energy[r]
            if math.isfinite(energy[r]):
                kind[r] = CHIRALITY
                place[r], value[r] = _inverted_centre(x, centres, handedness[r])
        if place[r] < 0:
            kind[r] = PEPTIDE
            place[r], value[r] = _turned_peptide(x, omegas, cis[r], cis_below)
        if place[r] < 0:
            kind[r], place[r], value[r] = TEMPERATURE, 0, _temperature(velocities[r], mass)
            if value[r] < hottest[r]:
                kind[r], place[r] = SANE, -1


@kernel
def _infinite_bead(x):
    for bead in range(len(x)):
        for i in range(3):
            if not math.isfinite(x[bead, i]):
                return bead, x[bead, i]
    return -1, 0.0


@kernel
def _worst_bond(x, bonds, length, longest_change):
    worst, place = longest_change, -1
    for bond in range(len(bonds)):
        change = abs(math.sqrt(_squared(_minus(x, bonds[bond, 1], bonds[bond, 0]))) - length[bond])
        if not change < worst:
            worst, place = change, bond
    return place, worst


@kernel
def _worst_force(forces, largest):
    worst, place = largest * largest, -1
    for bead in range(len(forces)):
        f = forces[bead]
        square = f[0] * f[0] + f[1] * f[1] + f[2] * f[2]
        if not square < worst:
            if not square <= 1e300:  # nan or infinite: nothing is worse
                return bead, math.sqrt(square)
            worst, place = square, bead
    return place, math.sqrt(worst)


@kernel
def _inverted_centre(x, centres, handedness):
    for k in range(len(centres)):
        centre, one, two, three = centres[k]
        product = _dot(_minus(x, one, centre), _cross(_minus(x, two, centre), _minus(x, three, centre)))
        if not product * handedness[k] > 0.0 and handedness[k] != 0.0:
            return k, product
    return -1, 0.0


@kernel
def _turned_peptide(x, omegas, cis, cis_below):
    for k in range(len(omegas)):
        omega = _dihedral(x, omegas[k])
        if (abs(omega) < cis_below) != cis[k] or omega != omega:
            return k, omega
    return -1, 0.0


@kernel
def _dihedral(x, beads):
    """Degrees, IUPAC sign."""
    a, b, c = _minus(x, beads[1], beads[0]), _minus(x, beads[2], beads[1]), _minus(x, beads[3], beads[2])
    n, m = _cross(a, b), _cross(b, c)
    return math.degrees(math.atan2(_dot(a, m) * math.sqrt(_squared(b)), _dot(n, m)))


@kernel
def _temperature(velocities, mass):
    twice = 0.0
    for bead in range(len(mass)):
        v = velocities[bead]
        twice += mass[bead] * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2])
    return twice / (ENERGY_TO_MASS_VELOCITY_SQUARED * 3 * len(mass) * BOLTZMANN)


@kernel
def _minus(x, end, start):
    return x[end, 0] - x[start, 0], x[end, 1] - x[start, 1], x[end, 2] - x[start, 2]


@kernel
def _cross(a, b):
    return a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]


@kernel
def _dot(a, b):
    return a[0] * b[0] + a[1] * b[1] + a[2] * b[2]


@kernel
def _squared(a):
    return _dot(a, a)
