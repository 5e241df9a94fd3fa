"""Stereocentres of residues whose missing atoms were built: PDBFixer leaves some of them inverted.

It places missing atoms as one rigid piece and then minimises without angles: CB of a threonine, or a whole
residue of which little is there, turns into its mirror image.
"""

from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import numpy as np
from openmm import app

from cgprot.reference.building import Names
from cgprot.reference.peptide import residue_template

# A centre and its three heavy neighbours; CB of the two residues that have a second centre.
_ALPHA = ("CA", ("CB", "N", "C"))
_BETA = {"THR": ("CB", ("OG1", "CG2", "CA")), "ILE": ("CB", ("CG1", "CG2", "CA"))}

_FLAT, _LIFT = 1.5, 0.5  # Å³, Å


class _Centre(NamedTuple):
    residue: app.topology.Residue
    atoms: dict[str, int]  # numbers of the residue's, by name
    name: str
    arms: tuple[str, ...]

    def volume(self, positions: np.ndarray) -> float:
        arms = [positions[self.atoms[name]] for name in self.arms]
        return _volume(arms, positions[self.atoms[self.name]])

    @property
    def right_sign(self) -> float:
        """Of the volume."""
        return _sign_of_l(self.residue.name, self.name, self.arms)

    def right_volume(self, positions: np.ndarray) -> float:
        """Above zero as in an L residue; about 2.5 Å³ at rest."""
        return self.right_sign * self.volume(positions)


@cache
def _sign_of_l(residue_name: str, centre: str, arms: tuple[str, ...]) -> float:
    """By the residue's template, all of which are L."""
    template = residue_template(residue_name)
    at = dict(zip((atom.name for atom in template.topology.atoms()), template.positions._value, strict=True))
    return float(np.sign(_volume([at[name] for name in arms], at[centre])))


def _volume(arms: list[np.ndarray], centre: np.ndarray) -> float:
    return float(np.linalg.det(np.array(arms) - np.array(centre)))


def righted(topology: app.Topology, positions: np.ndarray, there: Names) -> np.ndarray:
    """Positions (n_atoms, 3) [Å], what was built about an inverted or flat stereocentre on its right side.

    Parameters
    ----------
    topology, positions : heavy atoms
    there : atoms that were not built, which stay
    """
    positions = positions.copy()
    for centre in _built_centres(topology, there):
        own = {name for number, name in there if number == centre.residue.index}
        if centre.right_volume(positions) < 0.0:
            _reflect(centre, positions, own)
        if centre.right_volume(positions) < _FLAT:
            _lift(centre, positions, own)
    return positions


def first_inverted(topology: app.Topology, positions: np.ndarray, there: Names) -> str:
    """The first stereocentre that was built as its mirror image, "CB of THR 16 in chain A"; "" of none."""
    for centre in _built_centres(topology, there):
        if centre.right_volume(positions) < 0.0:
            residue = centre.residue
            return f"{centre.name} of {residue.name} {residue.id} in chain {residue.chain.id}"
    return ""


def _built_centres(topology: app.Topology, there: Names) -> Iterator[_Centre]:
    """Those of which an atom was built."""
    for residue in topology.residues():
        atoms = {atom.name: atom.index for atom in residue.atoms()}
        for name, arms in filter(None, (_ALPHA, _BETA.get(residue.name))):
            of_it = {name, *arms}
            if of_it <= atoms.keys() and any((residue.index, atom) not in there for atom in of_it):
                yield _Centre(residue, atoms, name, arms)


def _reflect(centre: _Centre, positions: np.ndarray, there: set[str]) -> None:
    """Through a plane that leaves the arms that were there in place."""
    built = [name for name in centre.arms if name not in there]
    if centre.name == "CA" and "CB" in built:
        built = ["CB"]  # the side chain moves, not the chain
    origin, normal = _plane(centre, positions, built)
    moved = [centre.atoms[name] for name in _beyond(centre, built) - there]
    positions[moved] -= 2.0 * np.outer((positions[moved] - origin) @ normal, normal)


def _lift(centre: _Centre, positions: np.ndarray, there: set[str]) -> None:
    """Move built arms so that the volume grows: a minimisation might take the other side."""
    origin = positions[centre.atoms[centre.name]]
    a, b, c = (positions[centre.atoms[name]] - origin for name in centre.arms)
    slopes = dict(zip(centre.arms, (np.cross(b, c), np.cross(c, a), np.cross(a, b)), strict=True))
    for name in set(centre.arms) - there:
        moved = [centre.atoms[atom] for atom in _beyond(centre, [name]) - there]
        positions[moved] += centre.right_sign * _LIFT * slopes[name] / np.linalg.norm(slopes[name])


def _plane(centre: _Centre, positions: np.ndarray, built: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """A point of it and its normal: through the other arms, or between two that were built."""
    origin = positions[centre.atoms[centre.name]]
    arms = {name: positions[centre.atoms[name]] - origin for name in centre.arms}
    kept = [arms[name] for name in centre.arms if name not in built]
    if len(built) == 2:
        kept.append(sum(arms[name] / np.linalg.norm(arms[name]) for name in built))
    if not built:  # the centre alone was
        origin, kept = origin + kept[0], [kept[1] - kept[0], kept[2] - kept[0]]
    normal = np.cross(kept[0], kept[1])
    return origin, normal / np.linalg.norm(normal)


def _beyond(centre: _Centre, arms: list[str]) -> set[str]:
    """Atoms of the residue that hang on the centre by these arms alone; without any, the centre."""
    bonds = [(one.name, two.name) for one, two in centre.residue.internal_bonds()]
    found = edge = set(arms)
    while edge:
        across = {two for bond in bonds for one, two in (bond, bond[::-1]) if one in edge}
        edge = across - found - {*centre.arms, centre.name}
        found = found | edge
    return found or {centre.name}
