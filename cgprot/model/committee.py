"""Committees: several networks that learnt the same data from different seeds.

    RUN/member_0/model.safetensors   each a whole model, in a whole run folder of its own:
    RUN/member_1/model.safetensors   it simulates, evaluates and exports as any other does
    ...

Their metadata say {"committee": {"member": k, "size": K}}. Where the members agree, the data decided; their
spread tells where they did not. Whole networks, not several heads on one trunk, because the spread of heads
misses what the trunk does not know; a simulation runs one member and asks the others at the frames it keeps.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from cgprot.errors import InputError, UsageError
from cgprot.model.checkpoint import MODEL_FILE, load_model
from cgprot.model.graph import Graph
from cgprot.model.potential import Potential
from cgprot.shipped import shipped

MEMBER = "member_"


def member_folder(folder: Path, number: int) -> Path:
    """The run folder of a member, counted from 0."""
    return Path(folder) / f"{MEMBER}{number}"


def committee_paths(name_or_path: str | Path) -> list[Path]:
    """The members' files in their order; empty if it is no committee's folder."""
    folders = (shipped("trained") / name_or_path, Path(name_or_path))
    for folder in folders:
        if member_folder(folder, 0).is_dir():
            found = [path for path in folder.iterdir() if path.name.removeprefix(MEMBER).isdecimal()]
            found = [path for path in found if path.name.startswith(MEMBER) and path.is_dir()]
            ordered = sorted(found, key=lambda path: int(path.name.removeprefix(MEMBER)))
            return [path / MODEL_FILE for path in ordered]
    return []


def load_committee(name_or_path: str | Path) -> list[Potential]:
    """All members of a committee, or the one potential of a plain model.

    Parameters
    ----------
    name_or_path : name of a shipped model, a run folder of `cgprot train --committee`, or what `load_model`
        takes

    Raises
    ------
    UsageError
        if there is no such model
    InputError
        if a member is missing, damaged, or of another mapping than the first
    """
    paths = committee_paths(name_or_path)
    if not paths:
        return [load_model(name_or_path)[0]]
    for path in paths:
        if not path.is_file():
            raise UsageError(f"{path}: this member is not trained yet: finish it with cgprot train --resume")
    loaded = [load_model(path) for path in paths]
    for number, (path, (_, metadata)) in enumerate(zip(paths, loaded, strict=True)):
        if metadata.get("committee") != {"member": number, "size": len(paths)}:
            raise InputError(f"{path}: is not member {number} of {len(paths)}: bring the others back")
        if metadata["mapping_hash"] != loaded[0][1]["mapping_hash"]:
            raise InputError(f"{path}: its mapping is not that of {paths[0]}: train them together")
    return [potential for potential, _ in loaded]


def force_spread(members: Sequence[Potential], graph: Graph) -> tuple[Tensor, Tensor]:
    """Mean force and the members' standard deviation about it.

    Parameters
    ----------
    members : two or more

    Returns
    -------
    mean : (n_total, 3) [kcal/mol/Å]
    spread : (n_total,) [kcal/mol/Å], of each bead: sqrt(Σ_k |F_k - F̄|² / (3 (K - 1)))

    Raises
    ------
    InputError
        if there is only one
    """
    if len(members) < 2:
        raise InputError("one potential has no spread: train a committee with cgprot train --committee 4")
    forces = torch.stack([member.energy_and_forces(graph)[1] for member in members])  # (K, n_total, 3)
    mean = forces.mean(0)
    variance = (forces - mean).square().sum(dim=(0, 2)) / (3 * (len(members) - 1))
    return mean, variance.sqrt()
