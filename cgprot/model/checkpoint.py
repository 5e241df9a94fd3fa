"""Weights in files: safetensors with everything needed to use them, and a checksum. Never pickle."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from cgprot.beads import BeadSystem
from cgprot.errors import InputError, UsageError
from cgprot.model.potential import ModelConfig, Potential
from cgprot.shipped import shipped

MODEL_FILE = "model.safetensors"
METADATA_KEY = "cgprot"  # in the head of a file of `save_tensors`
ENGINE_KIND = "compressed"  # what a file of the engine says that it holds; see cgprot.engine.tables


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 over names, types, shapes and bytes, in the order of the names."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: dict) -> None:
    """Write tensors with JSON-ready metadata and their SHA-256; raises OSError if the disk refuses."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    record = {METADATA_KEY: json.dumps(metadata), "sha256": tensors_sha256(stored)}
    Path(path).write_bytes(save(stored, metadata=record))  # its own writing has errors of its own kind


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict]:
    """Tensors and metadata of a file of `save_tensors`.

    Raises
    ------
    InputError
        if the file is no such file, or a byte of it has changed
    """
    try:
        with safe_open(str(path), framework="pt") as stream:
            record = stream.metadata() or {}
            tensors = {name: stream.get_tensor(name) for name in stream.keys()}  # noqa: SIM118
        metadata, expected = json.loads(record[METADATA_KEY]), record["sha256"]
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise InputError(f"{path}: not a model of cgprot ({error}): take it anew from its source")
    if tensors_sha256(tensors) != expected:
        raise InputError(f"{path}: the weights are damaged (SHA-256 differs): take it anew from its source")
    return tensors, metadata


def save_model(
    path: Path,
    potential: Potential,
    mapping_name: str,
    mapping_hash: str,
    type_names: Mapping[str, int],
    extra: Mapping[str, object],
) -> None:
    """Write a potential and what its beads are.

    Parameters
    ----------
    mapping_name, mapping_hash : the rules that made the beads it was trained on
    type_names : bead type by name
    extra : further JSON-ready entries of the metadata
    """
    metadata = {
        "config": potential.config.model_dump(),
        "mapping": mapping_name,
        "mapping_hash": mapping_hash,
        "bead_types": dict(type_names),
        **extra,
    }
    save_tensors(path, potential.state_dict(), metadata)


def available_models() -> list[str]:
    """Names of the models that come with cgprot."""
    return sorted(path.parent.name for path in shipped("trained").glob(f"*/{MODEL_FILE}"))


def model_path(name_or_path: str | Path) -> Path:
    """The file of a shipped model or of a path, a run folder included.

    Raises
    ------
    UsageError
        if there is neither
    """
    for path in (shipped("trained") / name_or_path, Path(name_or_path)):
        file = path / MODEL_FILE if path.is_dir() else path
        if file.is_file():
            return file
        if (path / "member_0").is_dir():
            raise UsageError(f"model {name_or_path}: is a committee: give a member, {path / 'member_0'} say")
    names = ", ".join(available_models()) or "none"
    if Path(name_or_path).is_dir():
        raise UsageError(
            f"model {name_or_path}: a folder without {MODEL_FILE}: give that of `cgprot train`, a file, or a "
            f"name; names available: {names}"
        )
    raise UsageError(f"model {name_or_path}: no such file, and no such name; names available: {names}")


def load_model(name_or_path: str | Path, dtype: torch.dtype | None = torch.float32) -> tuple[Potential, dict]:
    """A potential and its metadata, by the name of a shipped model or by path.

    Parameters
    ----------
    dtype : of the weights, to which those of the file are rounded; the file's own if None

    Raises
    ------
    UsageError
        if there is no such model
    InputError
        if the file is damaged or not a model
    """
    path = model_path(name_or_path)
    tensors, metadata = load_tensors(path)
    if metadata.get("kind") == ENGINE_KIND:
        raise InputError(f"{path}: an engine file, for simulate alone: give the model that it came from")
    try:
        potential = Potential(ModelConfig(**metadata["config"])).to(dtype or tensors["energy_scale"].dtype)
        potential.load_state_dict(tensors)
    except (KeyError, ValidationError, RuntimeError) as error:
        reason = (
            error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error).splitlines()[0]
        )
        raise InputError(f"{path}: weights do not fit the configuration ({reason}): take it anew")
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise InputError(f"{path}: {name} is not finite: take the model of an earlier step")
    return potential.eval(), metadata


def check_mapping(metadata: Mapping[str, object], system: BeadSystem) -> None:
    """Refuse beads that other rules made than those the model was trained on.

    Raises
    ------
    InputError
        if the mapping hashes differ
    """
    if metadata["mapping_hash"] != system.mapping_hash:
        raise InputError(
            f"the beads come from mapping {system.mapping} ({system.mapping_hash[:12]}), the model from "
            f"{metadata['mapping']} ({str(metadata['mapping_hash'])[:12]}): map with the model's rules"
        )
