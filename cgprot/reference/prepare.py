"""A structure made ready for the force field: complete, and at its nearest minimum."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

from cgprot.errors import InputError
from cgprot.reference.forcefield import Implicit, create_system, single_thread_context
from cgprot.reference.peptide import as_quantity
from cgprot.reference.structure import Structure
from cgprot.units import ANGSTROM_PER_NM

_LONGEST_BOND = 2.3  # Å; a disulfide has 2.05


def prepared(structure: Structure, implicit: Implicit, platform: str) -> Structure:
    """The structure at the minimum from which `cgprot sample` starts its dynamics.

    Raises
    ------
    InputError
        if the force field does not know a residue, or `minimised` refuses the structure
    """
    system = create_system(structure.topology, implicit, constrain_hydrogens=True)
    return Structure(structure.topology, minimised(structure, system, platform))


def minimised(structure: Structure, system: openmm.System, platform: str) -> np.ndarray:
    """(n_atoms, 3) [Å], the minimum of the force field's energy near the structure.

    Raises
    ------
    InputError
        if there is none, a bond cannot come to its length there as a chain is threaded through a ring, or a
        stereocentre turns into its mirror image on the way
    """
    context = single_thread_context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPositions(as_quantity(structure.positions))
    try:
        openmm.LocalEnergyMinimizer.minimize(context)
    except openmm.OpenMMException as error:
        raise InputError(f"the structure cannot be minimised ({error}): separate atoms that lie together")
    positions = context.getState(getPositions=True).getPositions(asNumpy=True)
    if not np.isfinite(positions._value).all():
        raise InputError("the structure cannot be minimised: separate atoms that lie together")
    minimum = positions.value_in_unit(unit.nanometer) * ANGSTROM_PER_NM
    _refuse_threaded(structure.topology, minimum)
    _refuse_inverted(structure.topology, structure.positions, minimum)
    return minimum


def _refuse_threaded(topology: app.Topology, positions: np.ndarray) -> None:
    """Rings that are linked stay so at every temperature, with a bond of three ångströms."""
    for first, second in topology.bonds():
        length = np.linalg.norm(positions[first.index] - positions[second.index])
        if length > _LONGEST_BOND:
            who = f"{first.name}-{second.name} of {first.residue.name} {first.residue.id}"
            raise InputError(
                f"bond {who} in chain {first.residue.chain.id} stays {length:.2f} Å long when minimised: "
                "something is threaded through a ring there, pull it out"
            )


def _refuse_inverted(topology: app.Topology, before: np.ndarray, after: np.ndarray) -> None:
    """A hydrogen on the wrong side of its carbon, or a clash, makes a D residue of an L one."""
    for centre, arms in _stereocentres(topology):
        volumes = [np.linalg.det(found[arms] - found[centre.index]) for found in (before, after)]
        if volumes[0] * volumes[1] < 0:
            who = f"{centre.name} of {centre.residue.name} {centre.residue.id}"
            raise InputError(
                f"{who} in chain {centre.residue.chain.id} turns into its mirror image when minimised: mend "
                "that residue; hydrogens that are not in the file are built anew"
            )


def _stereocentres(topology: app.Topology) -> Iterator[tuple[app.topology.Atom, list[int]]]:
    """Every carbon with one hydrogen and three other neighbours, and the numbers of these."""
    neighbours = defaultdict(list)
    for first, second in topology.bonds():
        neighbours[first].append(second)
        neighbours[second].append(first)
    for atom, around in neighbours.items():
        heavy = [other.index for other in around if other.element is not app.element.hydrogen]
        if atom.element is app.element.carbon and len(around) == 4 and len(heavy) == 3:
            yield atom, heavy


def write_structure(path: Path, structure: Structure) -> None:
    """Write all atoms as a PDB; chains and residues keep their names."""
    with open(path, "w") as stream:
        app.PDBFile.writeFile(structure.topology, as_quantity(structure.positions), stream, keepIds=True)
