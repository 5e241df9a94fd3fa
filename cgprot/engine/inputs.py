"""What both engines ask of their inputs."""

import numpy as np

from cgprot.errors import InputError
from cgprot.model.charge import LAMBDA
from cgprot.model.potential import ModelConfig


def type_numbers(config: ModelConfig, bead_type: np.ndarray) -> np.ndarray:
    """(n_beads,) int64 from 0, for rows of arrays by type.

    Raises
    ------
    InputError
        if a type is unknown to the model
    """
    bead_type = np.asarray(bead_type, dtype=np.int64)
    outside = (bead_type < 1) | (bead_type > config.n_types)
    if outside.any():
        raise InputError(
            f"bead type {bead_type[outside][0]} is unknown to a model of types 1 to {config.n_types}: "
            "use the model's own mapping"
        )
    return bead_type - 1


def product_factors(config: ModelConfig, n_beads: int, charge: np.ndarray | None) -> np.ndarray:
    """(n_beads,), 1 + λ q of each bead, or 1 + λ Q with their sum, as in `cgprot.model.charge`.

    Raises
    ------
    InputError
        if a charge that the model needs is missing or out of range
    """
    if config.charge == "none":
        return np.ones(n_beads)
    if charge is None or np.shape(charge) != (n_beads,):
        raise InputError(f"the model needs the formal charge of every bead: give `charge`, {n_beads} numbers")
    attribute = np.asarray(charge, dtype=np.float64)
    if config.charge == "total":
        attribute = np.full(n_beads, attribute.sum())
    factor = 1 + LAMBDA * attribute
    if not (factor > 0).all():
        raise InputError(
            f"a charge of {attribute.min():g} makes the factor 1 + {LAMBDA} q of the network vanish"
        )
    return factor


def check_shape(shape: tuple[int, ...], n_replicas: int, n_beads: int) -> None:
    """Raise InputError unless it is that of positions (n_replicas, n_beads, 3)."""
    expected = (n_replicas, n_beads, 3)
    if tuple(shape) != expected:
        raise InputError(f"positions of shape {tuple(shape)}: expected {expected}")


def not_finite(replica: int, bead: int) -> InputError:
    """What is said of a position that is none."""
    return InputError(f"replica {replica}: bead {bead} has a position that is not finite")


def coincident(replica: int, first: int, second: int) -> InputError:
    """What is said of two beads without a direction between them."""
    return InputError(f"replica {replica}: beads {first} and {second} coincide: move one")
