"""Heavy atoms that a structure lacks, and ends of chains that another builder left bent.

PDBFixer takes missing atoms from a template and leaves their angles to a minimisation. It puts an OXT 76 to
105 degrees from CA about C, where a carboxylate has 118; a terminal O at 157; OD1 of an aspartate on its CB.
Beads feel hundreds of kcal/mol/Å there, and a model that never saw such a state may hold it.
"""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import openmm
from openmm import app, unit

from cgprot.errors import InputError
from cgprot.reference.forcefield import create_system, single_thread_context
from cgprot.reference.peptide import as_quantity
from cgprot.units import ANGSTROM_PER_NM

_LEAST_ANGLE = 100.0  # degrees, CA-C-OXT; three standard deviations of thermal ones below the mean
_SEED = 1
_THREADS = "Threads"  # a property of the CPU platform

Names = set[tuple[int, str]]  # numbers of the residues and names of atoms


@contextmanager
def repeatable() -> Iterator[None]:
    """Within, PDBFixer and OpenMM's Modeller build the same every time.

    They draw directions of hydrogens with `random`, and minimise on OpenMM's fastest platform: on a CPU with
    several threads, whose sums of forces depend on their order.
    """
    state, cpu = random.getstate(), openmm.Platform.getPlatformByName("CPU")
    threads = cpu.getPropertyDefaultValue(_THREADS)
    random.seed(_SEED)
    cpu.setPropertyDefaultValue(_THREADS, "1")
    try:
        yield
    finally:
        random.setstate(state)
        cpu.setPropertyDefaultValue(_THREADS, threads)


def names_of(topology: app.Topology, hydrogens: bool = True) -> Names:
    """Of all atoms, or of the heavy ones."""
    chosen = (atom for atom in topology.atoms() if hydrogens or atom.element is not app.element.hydrogen)
    return {(atom.residue.index, atom.name) for atom in chosen}


def relaxed(path: Path, topology: app.Topology, positions: np.ndarray, held: Names) -> np.ndarray:
    """Positions (n_atoms, 3) [Å] at a minimum of ff14SB with OBC2 for all atoms but those held.

    Where the force field does not know a residue, as one that is a chain by itself, nothing moves, and
    standard error is told.

    Parameters
    ----------
    path : of the structure, for what is told
    topology : hydrogens included
    positions : (n_atoms, 3) [Å]
    held : atoms that stay
    """
    try:
        system = create_system(topology, "obc2", constrain_hydrogens=False)
    except InputError as error:
        print(f"{path}: what was built stays where PDBFixer put it: {error}", file=sys.stderr)
        return positions
    for atom in topology.atoms():
        if (atom.residue.index, atom.name) in held:
            system.setParticleMass(atom.index, 0.0)
    context = single_thread_context(system, openmm.VerletIntegrator(0.001), "CPU")
    context.setPositions(as_quantity(positions))
    openmm.LocalEnergyMinimizer.minimize(context)
    found = context.getState(getPositions=True).getPositions(asNumpy=True)
    return found.value_in_unit(unit.nanometer) * ANGSTROM_PER_NM


def tell_bent_ends(path: Path, topology: app.Topology, positions: np.ndarray) -> None:
    """One line to standard error for every OXT that is not where a carboxylate has it; positions in Å."""
    for residue in topology.residues():
        index = {atom.name: atom.index for atom in residue.atoms()}
        if not {"CA", "C", "OXT"} <= index.keys():
            continue
        ca, oxt = (positions[index[name]] - positions[index["C"]] for name in ("CA", "OXT"))
        angle = np.degrees(np.arctan2(np.linalg.norm(np.cross(ca, oxt)), ca @ oxt))
        if angle < _LEAST_ANGLE:
            who = f"OXT of {residue.name} {residue.id} in chain {residue.chain.id}"
            advice = "leave that atom out of the file and it is built anew"
            print(f"{path}: {who} is {angle:.0f} degrees from CA about C, not 118: {advice}", file=sys.stderr)
