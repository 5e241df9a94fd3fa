"""What beads do by themselves with their matrices, and its derivatives of any order.

Matrices are held as coefficients (N, 9, C), see `tensornet`. On a CPU each of these is one compiled pass over
its arrays, see `forms` for how it is differentiated; on other devices it is written as it reads.
"""

import math
from functools import cache

import torch
from torch import Tensor

from cgprot.model import algebra_kernels as kernels
from cgprot.model.forms import Derivative, Form, fill, padded

I, A, S = slice(0, 1), slice(1, 4), slice(4, 9)
PARTS = (0, 1, 1, 1, 2, 2, 2, 2, 2)  # the part that each coefficient belongs to


@cache
def matrix_basis(dtype: torch.dtype, device: torch.device) -> Tensor:
    """(9, 9), rows orthonormal, each a flattened matrix: one for I, three for A, five for S."""
    basis = torch.zeros(9, 3, 3, dtype=torch.float64)
    basis[0] = torch.eye(3, dtype=torch.float64) / math.sqrt(3)
    for k, (row, column) in enumerate([(2, 1), (0, 2), (1, 0)]):  # the matrix of v × ...
        basis[1 + k, row, column] = 1 / math.sqrt(2)
        basis[1 + k, column, row] = -1 / math.sqrt(2)
    for k, (row, column) in enumerate([(0, 1), (1, 2), (0, 2)]):
        basis[4 + k, row, column] = basis[4 + k, column, row] = 1 / math.sqrt(2)
    basis[7, 0, 0], basis[7, 1, 1] = 1 / math.sqrt(2), -1 / math.sqrt(2)
    basis[8, 0, 0] = basis[8, 1, 1] = -1 / math.sqrt(6)
    basis[8, 2, 2] = 2 / math.sqrt(6)
    return basis.reshape(9, 9).to(device, dtype)


def matrix_product(X: Tensor, Y: Tensor) -> Tensor:
    """X Y, channel by channel; (N, 9, C), (N, 9, C) -> (N, 9, C)."""
    if X.device.type != "cpu":
        return matrix_product_in_full(X, Y)
    return Derivative.apply(PRODUCT, 0, None, None, padded(X), padded(Y))[..., : X.shape[-1]]


def anticommutator(X: Tensor, Y: Tensor) -> Tensor:
    """X Y + Y X, channel by channel; (N, 9, C), (N, 9, C) -> (N, 9, C)."""
    if X.device.type != "cpu":
        return matrix_product_in_full(X, Y) + matrix_product_in_full(Y, X)
    return Derivative.apply(ANTICOMMUTATOR, 0, None, None, padded(X), padded(Y))[..., : X.shape[-1]]


def scale_parts(scale: Tensor, X: Tensor) -> Tensor:
    """(s_I I, s_A A, s_S S); (N, 3, C), (N, 9, C) -> (N, 9, C)."""
    if X.device.type != "cpu":
        return scale_parts_in_full(scale, X)
    return Derivative.apply(SCALING, 0, None, None, padded(scale), padded(X))[..., : X.shape[-1]]


def dot_parts(X: Tensor, Y: Tensor) -> Tensor:
    """(I_X · I_Y, A_X · A_Y, S_X · S_Y); (N, 9, C), (N, 9, C) -> (N, 3, C)."""
    if X.device.type != "cpu":
        return dot_parts_in_full(X, Y)
    return Derivative.apply(SCALING, 1, None, padded(X), None, padded(Y))[..., : X.shape[-1]]


def map_parts(weight: Tensor, X: Tensor) -> Tensor:
    """(W_I I, W_A A, W_S S); weight (3, C, C), X (N, 9, C) -> (N, 9, C)."""
    if X.device.type != "cpu":
        return map_parts_in_full(weight, X)
    return Derivative.apply(MAPPING, 0, None, None, weight, X)


def matrix_product_in_full(X: Tensor, Y: Tensor) -> Tensor:
    """`matrix_product` as written; for other devices, and for tests."""
    basis = matrix_basis(X.dtype, X.device)
    X = (basis.T @ X).unflatten(1, (3, 3))  # (N, 3, 3, C)
    Y = (basis.T @ Y).unflatten(1, (3, 3))  # (N, 3, 3, C)
    return basis @ (X[:, :, :, None] * Y[:, None]).sum(2).flatten(1, 2)


def scale_parts_in_full(scale: Tensor, X: Tensor) -> Tensor:
    """`scale_parts` as written; for other devices, and for tests."""
    # By slices: a tuple of numbers would be sent to the device as an index, each time.
    return torch.cat([scale[:, n, None] * X[:, part] for n, part in enumerate((I, A, S))], dim=1)


def dot_parts_in_full(X: Tensor, Y: Tensor) -> Tensor:
    """`dot_parts` as written; for other devices, and for tests."""
    return torch.stack([(X[:, part] * Y[:, part]).sum(1) for part in (I, A, S)], dim=1)


def map_parts_in_full(weight: Tensor, X: Tensor) -> Tensor:
    """`map_parts` as written; for other devices, and for tests."""
    return torch.cat([X[:, part] @ W.T for W, part in zip(weight, (I, A, S), strict=True)], dim=1)


def _multiply(X: Tensor, Y: Tensor, transpose: tuple[bool, bool]) -> Tensor:
    return fill(kernels.multiply, torch.empty_like(X), *transpose, X, Y)


def _anticommute(X: Tensor, Y: Tensor, transpose_Y: bool) -> Tensor:
    return fill(kernels.anticommute, torch.empty_like(X), transpose_Y, X, Y)


def _dot(X: Tensor, Y: Tensor) -> Tensor:
    return fill(kernels.dot_parts, X.new_empty(len(X), 3, X.shape[-1]), X, Y)


def _scale(scale: Tensor, X: Tensor) -> Tensor:
    return fill(kernels.scale_parts, torch.empty_like(X), scale, X)


def _map(weight: Tensor, X: Tensor) -> Tensor:
    """out_m = X_m W_part; every coefficient is a matrix product between strided views, without a copy."""
    out = torch.empty_like(X)
    for m, part in enumerate(PARTS):
        torch.mm(X[:, m], weight[part], out=out[:, m])
    return out


def _correlate(X: Tensor, Y: Tensor) -> Tensor:
    """out_part = Σ_m X_mᵀ Y_m."""
    out = X.new_zeros(3, X.shape[-1], Y.shape[-1])
    for m, part in enumerate(PARTS):
        out[part].addmm_(X[:, m].T, Y[:, m])
    return out


# Φ(G, X, Y) = Σ_i tr(G_iᵀ X_i Y_i)
PRODUCT: Form = (
    lambda _, G, X, Y: _multiply(X, Y, (False, False)),
    lambda _, G, X, Y: _multiply(G, Y, (False, True)),
    lambda _, G, X, Y: _multiply(X, G, (True, False)),
)
# Φ(G, X, Y) = Σ_i tr(G_iᵀ (X_i Y_i + Y_i X_i))
ANTICOMMUTATOR: Form = (
    lambda _, G, X, Y: _anticommute(X, Y, False),
    lambda _, G, X, Y: _anticommute(G, Y, True),
    lambda _, G, X, Y: _anticommute(G, X, True),
)
# Φ(G, s, X) = Σ_i Σ_parts s_i G_i · X_i
SCALING: Form = (
    lambda _, G, s, X: _scale(s, X),
    lambda _, G, s, X: _dot(G, X),
    lambda _, G, s, X: _scale(s, G),
)
# Φ(G, W, X) = Σ_i Σ_parts G_i · W X_i
MAPPING: Form = (
    lambda _, G, W, X: _map(W.mT, X),
    lambda _, G, W, X: _correlate(G, X),
    lambda _, G, W, X: _map(W, G),
)
