"""The proteins to learn more of: structures made ready, and none of those a model is judged by."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from cgprot.beads import BeadFrames, BeadSystem
from cgprot.errors import CgprotError, InputError, UsageError
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import load_rules
from cgprot.reference.forcefield import refuse_missing_platform
from cgprot.reference.label import MAPPING
from cgprot.reference.prepare import prepared, write_structure
from cgprot.reference.structure import (
    CAPS,
    STANDARD_NAMES,
    Structure,
    load_structure,
    structure_from_sequence,
    topology_of,
)
from cgprot.refine.config import RefineConfig
from cgprot.train.batches import read_datasets
from cgprot.train.config import RunConfig

STRUCTURES = "structures"


class Protein(NamedTuple):
    """One protein of a refinement."""

    name: str  # in the datasets
    structure: Structure  # all atoms, as the labels need them
    start: BeadFrames  # the same as one frame of beads


def prepare_proteins(paths: Sequence[Path], sequences: Sequence[str], config: RefineConfig) -> list[Protein]:
    """Read or build every structure, complete it, and take it to the force field's minimum.

    Raises
    ------
    UsageError
        if there is none, two have one name, or the platform is not there
    StorageError, InputError
        if one cannot be read or prepared
    """
    refuse_missing_platform(config.platform)
    names = [Path(path).stem for path in paths] + [sequence.upper() for sequence in sequences]
    if not names:
        raise UsageError("give STRUCTURE or --sequence")
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"two structures are called {name}: name each by another file")
    loaded = [load_structure(path) for path in paths]
    loaded += [structure_from_sequence(sequence) for sequence in sequences]
    return [_prepare(name, structure, config) for name, structure in zip(names, loaded, strict=True)]


def _prepare(name: str, structure: Structure, config: RefineConfig) -> Protein:
    try:
        return _protein(name, prepared(structure, config.implicit, config.platform))
    except CgprotError as error:
        raise type(error)(f"{name}: {error}")


def _protein(name: str, structure: Structure) -> Protein:
    topology, rules = topology_of(structure.topology), load_rules(MAPPING)
    system = build_system(topology, rules)
    positions = Projection(topology, system, rules).positions(structure.positions)
    return Protein(name, structure, BeadFrames(system, positions[None], time=np.zeros(1)))


def save_proteins(folder: Path, proteins: Sequence[Protein]) -> None:
    """Write all atoms of each to structures/NAME.pdb."""
    (folder / STRUCTURES).mkdir()
    for protein in proteins:
        write_structure(folder / STRUCTURES / f"{protein.name}.pdb", protein.structure)


def saved_proteins(folder: Path, names: Sequence[str]) -> list[Protein]:
    """What `save_proteins` wrote; the coordinates of a PDB are rounded."""
    return [_protein(name, load_structure(folder / STRUCTURES / f"{name}.pdb")) for name in names]


def refuse_held_out(proteins: Sequence[Protein], run: RunConfig) -> None:
    """Refuse a protein of the validation data: a model would be judged by what it has learnt.

    One that is in the training data too is no held-out protein already; this is told on stderr.

    Raises
    ------
    InputError
        naming the protein and the entry of the validation data
    """
    known = {sequence_of(f.system) for f in read_datasets([*run.data.train, *run.data.extra]).values()}
    validation = {sequence_of(f.system): key for key, f in read_datasets(run.data.validation).items()}
    for protein in proteins:
        sequence = sequence_of(protein.start.system)
        if sequence not in validation:
            continue
        what = f"{protein.name}: is in the validation data ({validation[sequence]})"
        if sequence not in known:
            raise InputError(f"{what}, and would be judged by what it was trained on: leave it out")
        print(
            f"cgprot refine: {what} and in the training data: no protein is held out there", file=sys.stderr
        )


def sequence_of(system: BeadSystem) -> tuple[str, ...]:
    """Residue names without caps; those of protonation states are their residues'."""
    first = np.unique(system.residue_index, return_index=True)[1]
    names = [str(name) for name in system.residue_name[first]]
    return tuple(STANDARD_NAMES.get(name, name) for name in names if name not in CAPS)
