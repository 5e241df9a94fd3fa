"""TorchMD-Net's checkpoints of TensorNet: read, and written so that its `load_model` takes them.

Such a file is a pickled dictionary: `hyper_parameters`, which build the network, and `state_dict`, the
tensors in it (`cgprot.interop.torchmdnet_tensors`). Its energy is std Σ_i MLP(x_i) + mean, the mean once
for each system.
"""

import math
import pickle
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from pydantic import ValidationError
from torch import Tensor

from cgprot.errors import InputError, StorageError
from cgprot.files.folder import sha256_of, write_whole
from cgprot.interop.torchmdnet_tensors import NETWORK, modern_names, part_by_part, to_ours, to_theirs
from cgprot.mapping.rules import MappingRules
from cgprot.model.checkpoint import load_model, save_model
from cgprot.model.potential import ModelConfig, Potential

Layout = Literal["old", "new"]

# What a hyperparameter must be for the function to be the same; those not listed do not enter it.
_ALLOWED: dict[str, tuple] = {
    "model": ("tensornet",),
    "output_model": ("Scalar",),
    "activation": ("silu", "swish"),
    "rbf_type": ("expnorm", "gauss"),
    "equivariance_invariance_group": ("O(3)", "SO(3)"),
    "cutoff_lower": (0,),
    "reduce_op": ("add", "sum"),
    "atom_filter": (-1,),
    "prior_model": (None, []),
    "remove_ref_energy": (False, None),
    "box_vecs": (None,),
}
_CONFIG = {  # TorchMD-Net's name -> that in ModelConfig
    "embedding_dimension": "channels",
    "num_layers": "layers",
    "num_rbf": "rbf",
    "cutoff_upper": "cutoff",
    "equivariance_invariance_group": "group",
    "rbf_type": "basis",
}
_NEEDED = ("model", "output_model", "activation", "cutoff_lower", "max_z", *_CONFIG)
_EXPRESSED = {*_CONFIG.values(), "n_types", "charge", "energy_shift"}
# Single numbers of NumPy, as a trainer's callbacks keep them, run no code; NumPy 1 had them elsewhere.
_NUMBERS: list[Any] = [np.dtype, np.dtypes.Float64DType, np.dtypes.Float32DType, np.dtypes.Int64DType]
_NUMBERS += [(np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
_NEIGHBOURS_PER_VOLUME = 0.12  # Å⁻³, twice the density of heavy atoms in proteins


class Checkpoint(NamedTuple):
    """What a checkpoint of TorchMD-Net holds."""

    potential: Potential  # weights of the file's own precision
    layout: Layout
    origin: dict  # mapping, mapping_hash and bead_types if cgprot wrote it, or empty


def import_model(path: Path, output: Path, rules: MappingRules, layout: Layout | None = None) -> Checkpoint:
    """Write a checkpoint as a model of cgprot.

    Parameters
    ----------
    rules : what made the beads that the network was trained on
    layout : see `read_checkpoint`

    Raises
    ------
    StorageError, InputError
        as `read_checkpoint`, or if the network cannot have been trained on beads of these rules
    """
    checkpoint = read_checkpoint(path, layout)
    highest, n_types = max(rules.type_numbers.values()), checkpoint.potential.config.n_types
    if highest > n_types:
        raise InputError(
            f"{path}: knows bead types 1 to {n_types}, mapping {rules.name} has up to {highest}: "
            "give the mapping that it was trained on"
        )
    if checkpoint.origin.get("mapping_hash", rules.hash) != rules.hash:
        raise InputError(
            f"{path}: made for mapping {checkpoint.origin.get('mapping')}, not for this {rules.name}: "
            "give its own rules"
        )
    extra = {"imported_from": path.name, "imported_sha256": sha256_of(path), "layout": checkpoint.layout}
    origin = (rules.name, rules.hash, rules.type_numbers)
    write_whole(output, lambda temporary: save_model(temporary, checkpoint.potential, *origin, extra))
    return checkpoint


def export_model(model: str | Path, output: Path) -> None:
    """Write a model of cgprot, by name or path, as a checkpoint.

    Raises
    ------
    UsageError, InputError
        if there is no such model, or TorchMD-Net's TensorNet cannot express it
    """
    potential, metadata = load_model(model, dtype=None)
    origin = {name: metadata[name] for name in ("mapping", "mapping_hash", "bead_types")}
    content = checkpoint_content(potential, origin)
    write_whole(output, lambda temporary: torch.save(content, temporary))


def read_checkpoint(path: Path, layout: Layout | None = None) -> Checkpoint:
    """The potential in a checkpoint of TorchMD-Net. No code in the file is run.

    Parameters
    ----------
    layout : "old" for files of versions whose features were [N, C, 3, 3], "new" for [N, 3, 3, C]. If None it
        is taken from the signs of the file: old ones have the hyperparameter check_errors or lack the
        tensor distance.box.

    Raises
    ------
    StorageError
        if the file cannot be read
    InputError
        if it is no checkpoint of a TensorNet, or cgprot cannot express what is in it
    """
    content = _load(path)
    known = content if isinstance(content, dict) else {}
    hyper_parameters, tensors = known.get("hyper_parameters"), known.get("state_dict")
    if not isinstance(hyper_parameters, dict) or not isinstance(tensors, dict):
        raise InputError(f"{path}: has no hyper_parameters and state_dict: give a checkpoint of TorchMD-Net")
    for name, tensor in tensors.items():
        if not (isinstance(name, str) and isinstance(tensor, Tensor) and tensor.isfinite().all()):
            raise InputError(f"{path}: {name} in its state_dict is no finite tensor: take it anew")
    try:
        return _checkpoint(hyper_parameters, tensors, layout, known.get("cgprot", {}))
    except InputError as error:
        raise InputError(f"{path}: {error}")


def _load(path: Path) -> dict:
    try:
        with torch.serialization.safe_globals(_NUMBERS):
            return torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        if error.filename is None:  # torch's own, of a file that ends too soon
            raise InputError(f"{path}: damaged ({error}): take it anew from its source")
        raise StorageError(f"{path}: could not be read ({error}): check the path")
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        raise InputError(
            f"{path}: refused, loading {named[1] if named else 'what is in it'} could run any code: where "
            "you trust it, save its hyper_parameters and state_dict anew as plain values and tensors"
        )
    except (RuntimeError, EOFError, ValueError, LookupError, AttributeError):
        raise InputError(f"{path}: not a file of torch.save: give a checkpoint of TorchMD-Net")


def _checkpoint(
    hyper_parameters: dict, tensors: dict[str, Tensor], layout: Layout | None, origin: dict
) -> Checkpoint:
    _check_expressible(hyper_parameters)
    if any(tensors[name].numel() != 1 for name in tensors if name.endswith(("mean", "std"))):
        raise InputError("its mean and std are no single numbers: cgprot cannot express it")
    tensors = modern_names(tensors)
    box = tensors.pop(NETWORK + "distance.box", None)
    if box is not None and box.any():
        raise InputError("has a box of its own: cgprot takes the box from the structure")
    if layout is None:
        layout = "old" if "check_errors" in hyper_parameters or box is None else "new"
    config = _config(hyper_parameters, float(tensors.pop("mean", 0.0)))
    return Checkpoint(_potential(config, tensors, layout), layout, origin)


def _check_expressible(given: dict) -> None:
    for name in _NEEDED:
        if name not in given:
            raise InputError(f"its hyper_parameters lack {name}: give a checkpoint of a TensorNet")
    for name, allowed in _ALLOWED.items():
        if name in given and given[name] not in allowed:
            possible = " or ".join(str(value) for value in allowed)
            raise InputError(f"{name} = {given[name]}: cgprot cannot express it, only {possible}")


def _config(given: dict, energy_shift: float) -> ModelConfig:
    settings = {ours: given[theirs] for theirs, ours in _CONFIG.items()}
    settings["charge"] = "total" if given.get("charge") and given["num_layers"] else "none"  # acts in layers
    try:
        return ModelConfig(**settings, n_types=given["max_z"] - 1, energy_shift=energy_shift)
    except (ValidationError, TypeError) as error:
        reason = str(error)
        if isinstance(error, ValidationError):
            first = error.errors()[0]
            reason = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        raise InputError(f"its hyper_parameters make no model ({reason}): give a checkpoint of a TensorNet")


def _potential(config: ModelConfig, tensors: dict[str, Tensor], layout: Layout) -> Potential:
    tensors = {"std": torch.ones(())} | tensors
    tensors = {
        name: tensor if tensor.dtype == torch.float64 else tensor.float() for name, tensor in tensors.items()
    }
    potential = Potential(config)
    expected = to_theirs(potential)
    for name in sorted(expected.keys() ^ tensors.keys()):
        verb = "lacks" if name in expected else "has"
        raise InputError(f"its state_dict {verb} {name}, unlike cgprot's TensorNet: use another checkpoint")
    for name, tensor in tensors.items():
        if tensor.shape != expected[name].shape:
            raise InputError(f"{name} has shape {tuple(tensor.shape)}: it does not fit the hyper_parameters")
    if layout == "old":
        tensors = part_by_part(tensors, config)
    potential = potential.to(tensors[NETWORK + "linear.weight"].dtype)
    potential.load_state_dict(to_ours(tensors, config))
    return potential.eval()


def checkpoint_content(potential: Potential, origin: dict[str, Any]) -> dict[str, Any]:
    """What torch.save writes for torchmdnet.models.model.load_model.

    Parameters
    ----------
    origin : mapping, mapping_hash and bead_types, kept under the key "cgprot"

    Raises
    ------
    InputError
        if TorchMD-Net's TensorNet cannot express the potential
    """
    config, scale = potential.config, potential.energy_scale
    for name, field in ModelConfig.model_fields.items():
        if name not in _EXPRESSED and getattr(config, name) != field.default:
            raise InputError(f"TorchMD-Net cannot express {name} = {getattr(config, name)}: it stays here")
    if config.charge == "bead":
        raise InputError('TorchMD-Net cannot express charge = "bead", only total charges: it stays here')
    state = to_theirs(potential)
    state |= {"mean": scale.new_tensor(config.energy_shift), "std": scale}
    state[NETWORK + "distance.box"] = scale.new_zeros(3, 3)
    return {
        "hyper_parameters": _hyper_parameters(config, scale.dtype),
        "state_dict": {f"model.{name}": tensor.detach().cpu().clone() for name, tensor in state.items()},
        "cgprot": origin,
    }


def _hyper_parameters(config: ModelConfig, dtype: torch.dtype) -> dict[str, Any]:
    within_reach = math.ceil(_NEIGHBOURS_PER_VOLUME * 4 / 3 * math.pi * config.cutoff**3)
    return {theirs: getattr(config, ours) for theirs, ours in _CONFIG.items()} | {
        "model": "tensornet",
        "output_model": "Scalar",
        "output_mlp_num_layers": 0,
        "activation": "silu",
        "cutoff_lower": 0.0,
        "max_z": config.n_types + 1,
        "max_num_neighbors": max(64, within_reach),
        "trainable_rbf": False,
        "reduce_op": "add",
        "derivative": True,
        "precision": 64 if dtype == torch.float64 else 32,
        "charge": config.charge == "total",
        "spin": False,
        "atom_filter": -1,
        "prior_model": None,
        "remove_ref_energy": False,
        "box_vecs": None,
        "static_shapes": False,
    }
