"""All-atom positions and forces -> those of the beads, as sparse linear maps."""

from typing import NamedTuple

import numpy as np

from cgprot.beads import BeadSystem, Topology
from cgprot.compiled import kernel
from cgprot.errors import InputError
from cgprot.mapping.build import owners
from cgprot.mapping.rules import ForceMap, MappingRules
from cgprot.mapping.sites import Site, find_heavy_atoms, find_sites

_ONE, _TWO = np.uint64(1), np.uint64(2)


class LinearMap(NamedTuple):
    """A sparse matrix (n_beads, n_atoms) by rows: bead b combines atom[start[b]:start[b + 1]]."""

    start: np.ndarray  # (n_beads + 1,) int
    atom: np.ndarray  # (n_entries,) int
    weight: np.ndarray  # (n_entries,) float64

    @classmethod
    def from_rows(cls, atoms: list[np.ndarray], weights: list[np.ndarray]) -> "LinearMap":
        """One array of atoms and one of weights per bead."""
        start = np.concatenate([[0], np.cumsum([len(row) for row in atoms])])
        return cls(start, np.concatenate(atoms).astype(np.int64), np.concatenate(weights).astype(float))

    @property
    def picks(self) -> bool:
        """Whether every bead is one atom's value as it is."""
        return len(self.atom) == len(self.start) - 1 and self.adds

    @property
    def adds(self) -> bool:
        """Whether every weight is one."""
        return bool((self.weight == 1.0).all())

    def dense(self, n_atoms: int) -> np.ndarray:
        """(n_beads, n_atoms)"""
        matrix = np.zeros((len(self.start) - 1, n_atoms))
        beads = np.repeat(np.arange(len(matrix)), np.diff(self.start))
        np.add.at(matrix, (beads, self.atom), self.weight)
        return matrix

    def __call__(self, values: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """(..., n_atoms, 3) -> (..., n_beads, 3), of the same float type.

        Raises
        ------
        InputError
            if a value that enters is not finite
        """
        n_beads = len(self.start) - 1
        if out is None:
            out = np.empty((*values.shape[:-2], n_beads, 3), dtype=values.dtype)
        elif not out.flags.c_contiguous:
            raise ValueError("out must be contiguous: what is written to a copy of it would be lost")
        # A sum is finite unless an entry is not, or it overflows: only then is it worth looking at each.
        if not np.isfinite(self._apply(np.ascontiguousarray(values), out)):
            _refuse_not_finite(out)
        return out

    def _apply(self, values: np.ndarray, out: np.ndarray) -> float:
        """Fill the second array from the first; returns the sum of what was written."""
        values, out = (array.reshape(-1, 3 * array.shape[-2]) for array in (values, out))
        first, start = (3 * self.atom).astype(np.uint64), self.start.astype(np.uint64)
        if self.picks:
            return _pick(values, first, out)
        if self.adds:
            return _add(values, start, first, out)
        return _combine(values, start, first, self.weight, out)


class Projection:
    """Projects arrays of all atoms onto the beads of a system.

    Every map satisfies the consistency condition of Noid et al. (doi:10.1063/1.2938860): position
    map times force map transposed is the identity. Constraint forces along X-H bonds cancel in
    "sum", so trajectories with constrained hydrogens qualify; in "slice" they do not.

    Parameters
    ----------
    topology : all atoms
    system : the beads made from it
    rules : the mapping that made them; None for beads of one heavy atom and its hydrogens each,
        with the "sum" force map
    force_map : instead of that of the rules, e.g. the one that `optimal_force_map` found

    Raises
    ------
    InputError
        if the rules are not those of the system, or are needed and not given
    """

    def __init__(
        self,
        topology: Topology,
        system: BeadSystem,
        rules: MappingRules | None = None,
        force_map: LinearMap | None = None,
    ) -> None:
        self.n_atoms = len(topology.element)
        if rules is None:
            self.position_map, summed = _heavy_maps(topology, system)
            self.force_map = force_map or summed
            return
        if rules.hash != system.mapping_hash:
            raise InputError(
                f"beads of mapping {system.mapping}, rules {rules.name}: give the rules that made them"
            )
        heavy = find_heavy_atoms(topology)
        sites = find_sites(topology, rules, heavy)
        members = owners(heavy, sites)
        self.position_map = _position_map(topology, rules, sites, heavy.parent)
        # The optimal map starts from the sum and is set once data are there.
        kind: ForceMap = "sum" if rules.force == "optimal" else rules.force
        self.force_map = force_map or plain_force_map(kind, self.position_map, members)

    def positions(self, atom_positions: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Bead positions, (..., n_atoms, 3) [Å] -> (..., n_beads, 3) [Å]."""
        self._check_shape(atom_positions, "positions")
        return _named("positions", self.position_map, atom_positions, out)

    def forces(self, atom_forces: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        """Bead forces, (..., n_atoms, 3) -> (..., n_beads, 3), both [kcal/mol/Å]."""
        self._check_shape(atom_forces, "forces")
        return _named("forces", self.force_map, atom_forces, out)

    def _check_shape(self, array: np.ndarray, what: str) -> None:
        if array.shape[-2:] != (self.n_atoms, 3):
            shape = f"{what} of shape {array.shape}"
            raise InputError(f"{shape} do not fit {self.n_atoms} atoms: check the topology")


def plain_force_map(kind: ForceMap, position_map: LinearMap, members: np.ndarray) -> LinearMap:
    """The "sum" or "slice" force map.

    Parameters
    ----------
    members : (n_atoms,) int, the bead that an atom's force adds to, -1 for none
    """
    if kind == "slice":
        return LinearMap(position_map.start, position_map.atom, np.ones(len(position_map.atom)))
    mapped = np.flatnonzero(members >= 0)
    order = mapped[np.argsort(members[mapped], kind="stable")]
    start = np.searchsorted(members[order], np.arange(len(position_map.start)))
    return LinearMap(start, order, np.ones(len(order)))


def _position_map(topology: Topology, rules: MappingRules, sites: list[Site], parent) -> LinearMap:
    atoms, weights = [], []
    for site in sites:
        by_mass = (site.rule.position or rules.position) == "mass"
        row = np.flatnonzero(np.isin(parent, site.atoms)) if by_mass else site.atoms
        weight = topology.mass[row] if by_mass else np.ones(len(row))
        atoms.append(row)
        weights.append(weight / weight.sum())
    return LinearMap.from_rows(atoms, weights)


def _heavy_maps(topology: Topology, system: BeadSystem) -> tuple[LinearMap, LinearMap]:
    heavy = np.flatnonzero(topology.element != "H")
    if not np.array_equal(system.bead_of_atom[heavy], np.arange(system.n_beads)):
        raise InputError(f"mapping {system.mapping}: not one bead per heavy atom: give the rules with it")
    picks = LinearMap(np.arange(len(heavy) + 1), heavy, np.ones(len(heavy)))
    return picks, plain_force_map("sum", picks, system.bead_of_atom)


def _named(what: str, linear_map: LinearMap, values: np.ndarray, out: np.ndarray | None) -> np.ndarray:
    try:
        return linear_map(values, out)
    except InputError as error:
        raise InputError(f"{what} {error}")


def _refuse_not_finite(array: np.ndarray) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        first = tuple(map(int, bad[0]))
        raise InputError(f"are not finite (first at bead index {first}): leave that frame out")


# The loops run over flat coordinates by unsigned indices: numba then need not ask of each index whether
# it counts from the end, which doubles the speed.


@kernel
def _pick(values, first, out):  # (F, 3 A), (B,) -> (F, 3 B)
    x = y = z = values.dtype.type(0)
    for frame in range(values.shape[0]):
        source, target = values[frame], out[frame]
        for bead in range(len(first)):
            i, j = first[bead], np.uint64(3 * bead)
            target[j], target[j + _ONE], target[j + _TWO] = source[i], source[i + _ONE], source[i + _TWO]
            x += target[j]
            y += target[j + _ONE]
            z += target[j + _TWO]
    return x + y + z


@kernel
def _add(values, start, first, out):  # (F, 3 A), rows of a sparse matrix of ones -> (F, 3 B)
    sum_x = sum_y = sum_z = values.dtype.type(0)
    for frame in range(values.shape[0]):
        source, target = values[frame], out[frame]
        for bead in range(len(start) - 1):
            x = y = z = values.dtype.type(0)
            for entry in range(start[bead], start[bead + 1]):
                i = first[entry]
                x += source[i]
                y += source[i + _ONE]
                z += source[i + _TWO]
            j = np.uint64(3 * bead)
            target[j], target[j + _ONE], target[j + _TWO] = x, y, z
            sum_x += x
            sum_y += y
            sum_z += z
    return sum_x + sum_y + sum_z


@kernel
def _combine(values, start, first, weight, out):  # the same with weights
    sum_x = sum_y = sum_z = 0.0
    for frame in range(values.shape[0]):
        source, target = values[frame], out[frame]
        for bead in range(len(start) - 1):
            x = y = z = 0.0
            for entry in range(start[bead], start[bead + 1]):
                i, w = first[entry], weight[entry]
                x += w * source[i]
                y += w * source[i + _ONE]
                z += w * source[i + _TWO]
            j = np.uint64(3 * bead)
            target[j], target[j + _ONE], target[j + _TWO] = x, y, z
            sum_x += x
            sum_y += y
            sum_z += z
    return sum_x + sum_y + sum_z
