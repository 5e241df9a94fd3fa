"""A structure made ready for the force field: complete, and at its nearest minimum."""

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
        if the force field does not know a residue, the energy has no minimum near, or a chain is threaded
            through a ring
    """
    system = create_system(structure.topology, implicit, constrain_hydrogens=True)
    return Structure(structure.topology, minimised(structure, system, platform))


def minimised(structure: Structure, system: openmm.System, platform: str) -> np.ndarray:
    """(n_atoms, 3) [Å], the minimum of the force field's energy near the structure.

    Raises
    ------
    InputError
        if there is none, or a bond cannot come to its length there: a chain is threaded through a ring
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


def write_structure(path: Path, structure: Structure) -> None:
    """Write all atoms as a PDB; chains and residues keep their names."""
    with open(path, "w") as stream:
        app.PDBFile.writeFile(structure.topology, as_quantity(structure.positions), stream, keepIds=True)
