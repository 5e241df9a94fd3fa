"""The compiled algebra equals its definitions, derivatives included."""

import pytest
import torch

from cgprot.model import algebra

CASES = {
    "product": (algebra.matrix_product, algebra.matrix_product_in_full, [(7, 9), (7, 9)]),
    "anticommutator": (
        algebra.anticommutator,
        lambda X, Y: algebra.matrix_product_in_full(X, Y) + algebra.matrix_product_in_full(Y, X),
        [(7, 9), (7, 9)],
    ),
    "scale": (algebra.scale_parts, algebra.scale_parts_in_full, [(7, 3), (7, 9)]),
    "dot": (algebra.dot_parts, algebra.dot_parts_in_full, [(7, 9), (7, 9)]),
    "map": (algebra.map_parts, algebra.map_parts_in_full, [(3, None), (7, 9)]),
}


def arguments(channels, shapes):
    torch.manual_seed(0)
    return [
        torch.randn([n or channels for n in shape] + [channels], dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("channels", [1, 16, 21, 32])
def test_compiled_algebra_is_its_definition(case, channels):
    compiled, in_full, shapes = CASES[case]
    inputs = arguments(channels, shapes)
    torch.testing.assert_close(compiled(*inputs), in_full(*inputs), rtol=1e-12, atol=1e-12)


def test_product_is_that_of_matrices():
    X, Y = arguments(2, [(7, 9), (7, 9)])
    basis = algebra.matrix_basis(X.dtype, X.device)
    matrices = [torch.einsum("mk,nmc->nck", basis, Z).unflatten(2, (3, 3)) for Z in (X, Y)]
    expected = torch.einsum("mk,nck->nmc", basis, (matrices[0] @ matrices[1]).flatten(2))
    torch.testing.assert_close(algebra.matrix_product(X, Y), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_derivatives_of_first_and_second_order(case):
    compiled, _, shapes = CASES[case]
    inputs = arguments(2, shapes)
    assert torch.autograd.gradcheck(compiled, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(compiled, inputs, fast_mode=True)


def test_third_derivatives_of_a_norm():
    """Both arguments are one tensor: every order adds both ways that it enters."""
    (X,) = arguments(2, [(7, 9)])

    def slope(x):
        norm = (algebra.dot_parts(x, x) ** 2).sum()
        return torch.autograd.grad(norm, x, create_graph=True)[0]

    assert torch.autograd.gradgradcheck(slope, X, fast_mode=True)


def test_gradcheck_catches_a_missing_transpose(monkeypatch):
    right = algebra.ANTICOMMUTATOR
    wrong = (right[0], lambda _, G, X, Y: algebra._anticommute(G, Y, False), right[2])
    monkeypatch.setattr(algebra, "ANTICOMMUTATOR", wrong)
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(algebra.anticommutator, arguments(2, [(7, 9), (7, 9)]), fast_mode=True)
