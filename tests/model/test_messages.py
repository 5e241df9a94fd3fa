"""The compiled sums equal their definitions, derivatives included."""

import laws
import pytest
import torch

from cgprot.errors import InputError
from cgprot.model import kernels, messages
from cgprot.model.edge_factor import EdgeFactor
from cgprot.model.graph import build_graph


@pytest.fixture
def near():
    graph = build_graph(laws.cluster()[:, :6], laws.TYPES[:6], 3.5)
    return messages.Neighbours.of(graph.edges, 6)


def arguments(near, channels, *shapes):
    torch.manual_seed(0)
    sizes = {"P": near.pairs.shape[1], "N": 6, "C": channels}
    return [
        torch.randn([sizes.get(n, n) for n in shape], dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]


def embedding(embed):
    return lambda Y, w, T, z, near: embed(Y, EdgeFactor(w, T, ROW), z, near)


def passing(pass_messages):
    return lambda w, T, X, near: pass_messages(EdgeFactor(w, T, ROW), X, near)


ROW = torch.tensor([2, 0, 2, 1, 4, 4, 2, 0, 1, 2, 2, 0, 1, 4, 4])[:11]
CASES = {
    "embed": (
        embedding(messages.embed),
        embedding(messages.embed_in_full),
        [("P", 9), ("P", 4), (5, 4, 3, "C"), ("N", 2, "C")],
    ),
    "pass": (
        passing(messages.pass_messages),
        passing(messages.pass_messages_in_full),
        [("P", 4), (5, 4, 3, "C"), ("N", 9, "C")],
    ),
}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("channels", [1, 16, 21])
def test_compiled_sum_is_its_definition(case, channels, near):
    compiled, in_full, shapes = CASES[case]
    inputs = arguments(near, channels, *shapes)
    torch.testing.assert_close(compiled(*inputs, near), in_full(*inputs, near), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_derivatives_of_first_and_second_order(case, near):
    compiled, _, shapes = CASES[case]
    inputs = arguments(near, 2, *shapes)
    assert torch.autograd.gradcheck(lambda *x: compiled(*x, near), inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(lambda *x: compiled(*x, near), inputs, fast_mode=True)


def test_gradcheck_catches_a_wrong_parity(near, monkeypatch):
    inputs = arguments(near, 2, *CASES["embed"][2])
    right = messages.EMBEDDING
    wrong = [*right]
    wrong[1] = lambda *x: right[1](*x) * torch.from_numpy(kernels.PARITY)
    monkeypatch.setattr(messages, "EMBEDDING", tuple(wrong))
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(lambda *x: CASES["embed"][0](*x, near), inputs, fast_mode=True)


@pytest.mark.parametrize("case", CASES)
def test_number_of_threads_changes_no_bit(case, near):
    compiled, _, shapes = CASES[case]
    inputs = arguments(near, 16, *shapes)
    before = torch.get_num_threads()
    results = []
    for n_threads in (1, 3):
        torch.set_num_threads(n_threads)
        results.append(compiled(*inputs, near))
    torch.set_num_threads(before)
    assert torch.equal(*results)


def test_edges_in_one_direction_only_are_refused():
    edges = build_graph(laws.cluster(), laws.TYPES, 4.0).edges
    with pytest.raises(InputError, match="reverse"):
        messages.Neighbours.of(edges[:, edges[0] < edges[1]], 10)
