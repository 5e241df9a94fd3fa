"""Hydrogens placed back on hydrogen-free frames, so that any all-atom tool can read on."""

import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np
import openmm
from openmm import app, unit
from tqdm import tqdm

from cgprot.beads import BeadSystem, Topology
from cgprot.errors import InputError, UsageError
from cgprot.files.dcd import DcdFile
from cgprot.files.folder import check_new_file, check_new_with_beads
from cgprot.files.psf import write_atom_psf
from cgprot.files.sources import read_source
from cgprot.mapping.build import build_system
from cgprot.mapping.rules import load_rules
from cgprot.reference.building import repeatable
from cgprot.reference.forcefield import (
    create_system,
    openmm_errors_in_one_line,
    partial_charges,
    protein_forcefield,
    single_thread_context,
)
from cgprot.reference.hydrogens import place_hydrogens
from cgprot.reference.peptide import as_quantity
from cgprot.reference.structure import STANDARD_NAMES, Structure, topology_of
from cgprot.reference.workers import progress_bar, report_progress, run_jobs
from cgprot.units import ANGSTROM_PER_NM

_MAPPING = "heavy"
_FRAMES_PER_TASK = 20
_MAX_ITERATIONS = 200


class _Task(NamedTuple):
    system_xml: str
    topology: Topology
    beads: BeadSystem
    reference: np.ndarray  # (n_atoms, 3) [Å]
    bonds: np.ndarray  # (n_hydrogens, 2) int, hydrogen and parent
    lengths: np.ndarray  # (n_hydrogens,) [Å]
    frames: np.ndarray  # (n_frames, n_beads, 3) [Å]


def backmap(path: Path, output: Path, workers: int = 1, every: int = 1) -> list[Path]:
    """Write all-atom trajectories of what `path` holds, a PDB and a PSF of all atoms beside them.

    Parameters
    ----------
    path : run folder, dataset of beads, or bead trajectory with its PSF
    output : new .dcd file; with several replicas OUTPUT_000.dcd, OUTPUT_001.dcd ...
    workers : processes
    every : take every n-th frame

    Returns
    -------
    the trajectories written

    Raises
    ------
    UsageError
        if `workers` or `every` is below 1, or `output` is no new .dcd file, or its PSF or PDB is there
    StorageError, InputError
        if `path` holds no frames of the heavy mapping, several proteins, or a residue that ff14SB does not
        know; StorageError also if nothing can be written to the folder of `output`
    """
    for option, value in (("workers", workers), ("every", every)):
        if value < 1:
            raise UsageError(f"--{option} {value}: must be 1 or more")
    check_new_with_beads(output, ".dcd")
    replicas = read_source(path)
    if not all(replica.system.has_beads_of(replicas[0].system) for replica in replicas):
        raise InputError(f"{path}: holds several proteins: give a dataset of one")
    structure = all_atom_structure(replicas[0].system, replicas[0].positions[0], path)
    names = [output]
    if len(replicas) > 1:
        names = [output.with_name(f"{output.stem}_{number:03d}.dcd") for number in range(len(replicas))]
    for name in names:
        check_new_file(name, ".dcd")
    total = sum(len(replica.positions[::every]) for replica in replicas)
    with progress_bar("backmap", total, "frames") as bar:
        for replica, name in zip(replicas, names, strict=True):
            atoms = add_hydrogens(structure, replica.positions[::every], workers, bar)
            _write_trajectory(name, atoms, replica.time[::every])
            if name == names[0]:
                _write_structure(output, structure, atoms[0])
    return names


def all_atom_structure(system: BeadSystem, positions: np.ndarray, source: Path) -> Structure:
    """The all-atom structure of beads: protonation states from the bead types, hydrogens by template.

    The two hydrogens of a CH2 are equivalent to the force field and may have each other's names.

    Parameters
    ----------
    system : beads of the heavy mapping
    positions : (n_beads, 3) [Å]
    source : named in errors

    Raises
    ------
    InputError
        if the beads are of another mapping, or the force field's hydrogens are not those of the types
    """
    rules = load_rules(_MAPPING)
    if system.mapping_hash != rules.hash:
        raise InputError(
            f"{source}: beads of mapping {system.mapping}: give frames of {_MAPPING}, "
            "whose types count hydrogens"
        )
    element_of = {rule.type: rule.element for rule in rules.bead}
    hydrogens_of = {rule.type: rule.hydrogens or 0 for rule in rules.bead}
    hydrogens = np.array([hydrogens_of[name] for name in system.type_name])
    modeller = app.Modeller(_heavy_topology(system, element_of), as_quantity(positions.astype(float)))
    try:
        with repeatable():
            modeller.addHydrogens(protein_forcefield("obc2"), variants=_variants(system, hydrogens))
    except ValueError as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{source}: ff14SB does not know a residue ({reason}): leave it out")
    atoms = np.array(modeller.positions.value_in_unit(unit.nanometer)) * ANGSTROM_PER_NM
    structure = Structure(modeller.topology, atoms)
    made = build_system(topology_of(structure.topology), rules)
    wrong = np.flatnonzero(made.type_name != system.type_name)
    if len(wrong):
        bead = (
            f"{system.bead_name[wrong[0]]} of {system.residue_name[wrong[0]]} {system.residue_id[wrong[0]]}"
        )
        raise InputError(
            f"{source}: {bead} is {system.type_name[wrong[0]]}, ff14SB makes it {made.type_name[wrong[0]]}: "
            "that protonation state has no template"
        )
    return structure


def _heavy_topology(system: BeadSystem, element_of: dict[str, str | None]) -> app.Topology:
    topology = app.Topology()
    atoms, residue, chain = [], None, None
    index = system.residue_index
    goes_on = _goes_on(system)
    for bead in range(system.n_beads):
        if residue is None or index[bead] != index[bead - 1]:
            if chain is None or not goes_on[bead] or system.chain[bead] != system.chain[bead - 1]:
                chain = topology.addChain(str(system.chain[bead]))
            name = str(system.residue_name[bead])
            name = STANDARD_NAMES.get(name, name)
            residue = topology.addResidue(name, chain, str(system.residue_id[bead]))
        element = app.Element.getBySymbol(element_of[str(system.type_name[bead])])
        atoms.append(topology.addAtom(str(system.bead_name[bead]), element, residue))
    for i, j in system.bonds.tolist():
        topology.addBond(atoms[i], atoms[j])
    return topology


def _goes_on(system: BeadSystem) -> np.ndarray:
    """(n_beads,) bool, whether a peptide bond joins a bead's residue to the one before.

    Other programs' chains of one letter are told apart by nothing else.
    """
    residues = system.residue_index[system.bonds]
    is_peptide = np.isin(system.bead_name[system.bonds], ["C", "N"]).all(axis=1)
    joins = is_peptide & (np.abs(residues[:, 1] - residues[:, 0]) == 1)
    return np.isin(system.residue_index, residues[joins].max(axis=1))


def _variants(system: BeadSystem, hydrogens: np.ndarray) -> list[str | None]:
    """For each residue the protonation state that its bead types tell."""
    index = system.residue_index
    variants: list[str | None] = []
    for residue in range(int(index[-1]) + 1):
        beads = np.flatnonzero(index == residue)
        count = dict(zip(system.bead_name[beads].tolist(), hydrogens[beads].tolist(), strict=True))
        name = str(system.residue_name[beads[0]])
        variants.append(_variant(STANDARD_NAMES.get(name, name), count))
    return variants


def _variant(name: str, hydrogens: dict[str, int]) -> str | None:
    if name == "HIS":
        both = (bool(hydrogens.get("ND1")), bool(hydrogens.get("NE2")))
        return {(True, False): "HID", (False, True): "HIE", (True, True): "HIP"}.get(both)
    if name in ("ASP", "GLU"):
        oxygens = ("OD1", "OD2") if name == "ASP" else ("OE1", "OE2")
        protonated = any(hydrogens.get(oxygen) for oxygen in oxygens)
        return {"ASP": ("ASP", "ASH"), "GLU": ("GLU", "GLH")}[name][protonated]
    if name == "LYS":
        return "LYN" if hydrogens.get("NZ") == 2 else "LYS"
    if name == "CYS":
        return "CYS" if hydrogens.get("SG") else "CYX"
    return None


def add_hydrogens(structure: Structure, frames: np.ndarray, workers: int, bar: tqdm) -> np.ndarray:
    """All atoms of hydrogen-free frames.

    Every hydrogen is placed by the structure's geometry around its heavy atom; then all hydrogens
    relax in ff14SB with implicit solvent, the heavy atoms held, so that hydroxyls and methyls turn to
    where they belong; last every X-H bond gets the force field's length.

    Parameters
    ----------
    structure : all atoms
    frames : (n_frames, n_beads, 3) [Å]

    Returns
    -------
    (n_frames, n_atoms, 3) [Å], heavy atoms equal to the frames to the last bit
    """
    topology = topology_of(structure.topology)
    system = create_system(structure.topology, "obc2", constrain_hydrogens=False)
    bonds, lengths = _hydrogen_bonds(system, topology)
    for atom in np.flatnonzero(topology.element != "H").tolist():
        system.setParticleMass(atom, 0.0)
    xml = openmm.XmlSerializer.serialize(system)
    beads = build_system(topology, load_rules(_MAPPING))
    tasks = [
        _Task(xml, topology, beads, structure.positions, bonds, lengths, frames[i : i + _FRAMES_PER_TASK])
        for i in range(0, len(frames), _FRAMES_PER_TASK)
    ]
    return np.concatenate(run_jobs(_relax_frames, tasks, workers, bar))


def _hydrogen_bonds(system: openmm.System, topology: Topology) -> tuple[np.ndarray, np.ndarray]:
    """Hydrogen and parent of every X-H bond, and its length in the force field [Å]."""
    force = next(force for force in system.getForces() if isinstance(force, openmm.HarmonicBondForce))
    found = []
    for index in range(force.getNumBonds()):
        i, j, length, _ = force.getBondParameters(index)
        if (topology.element[[i, j]] == "H").sum() == 1:
            hydrogen, parent = (i, j) if topology.element[i] == "H" else (j, i)
            found.append((hydrogen, parent, length.value_in_unit(unit.nanometer) * ANGSTROM_PER_NM))
    return np.array([row[:2] for row in found], dtype=int), np.array([row[2] for row in found])


@openmm_errors_in_one_line()
def _relax_frames(task: _Task) -> np.ndarray:
    system = openmm.XmlSerializer.deserialize(task.system_xml)
    context = single_thread_context(system, openmm.VerletIntegrator(0.001), "CPU")
    heavy = np.flatnonzero(task.topology.element != "H")
    hydrogen, parent = task.bonds.T
    relaxed = []
    for frame in task.frames.astype(np.float64):
        placed = place_hydrogens(task.topology, task.beads, task.reference, frame)
        context.setPositions(as_quantity(placed))
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=_MAX_ITERATIONS)
        positions = context.getState(getPositions=True).getPositions(asNumpy=True)
        atoms = positions.value_in_unit(unit.nanometer) * ANGSTROM_PER_NM
        atoms[heavy] = frame  # there and back through nanometres costs the last bit
        bond = atoms[hydrogen] - atoms[parent]
        atoms[hydrogen] = atoms[parent] + bond * (task.lengths / np.linalg.norm(bond, axis=1))[:, None]
        relaxed.append(atoms)
        report_progress(1)
    return np.array(relaxed)


def _write_trajectory(path: Path, atoms: np.ndarray, time: np.ndarray) -> None:
    between = np.diff(time)
    if len(between) and not (between[0] > 0 and np.allclose(between, between[0], rtol=1e-3)):
        print(
            f"{path}: times are not evenly spaced, which a DCD cannot state: frames counted", file=sys.stderr
        )
        time = np.arange(len(time), dtype=float)
    interval = float(time[1] - time[0]) if len(time) > 1 else 1.0
    file = DcdFile.create(
        path, atoms.shape[1], 1, interval, start_step=max(0, round(float(time[0]) / interval))
    )
    for frame in atoms:
        file.append(frame)
    file.sync()


def _write_structure(output: Path, structure: Structure, positions: np.ndarray) -> None:
    with open(output.with_suffix(".pdb"), "w") as stream:
        app.PDBFile.writeFile(structure.topology, as_quantity(positions), stream, keepIds=True)
    system = create_system(structure.topology, "obc2", constrain_hydrogens=False)
    write_atom_psf(
        output.with_suffix(".psf"), topology_of(structure.topology), np.array(partial_charges(system))
    )
