"""Scalars, vectors and tensors beside the energy."""

import laws
import pytest
import torch
from pydantic import ValidationError

from cgprot.model.checkpoint import load_model, save_model
from cgprot.model.graph import build_graph
from cgprot.model.heads import OUTPUTS
from cgprot.model.potential import ModelConfig, Potential

SHAPES = {
    "bead_scalar": (20,),
    "bead_vector": (20, 3),
    "bead_tensor": (20, 3, 3),
    "system_scalar": (2,),
    "system_vector": (2, 3),
    "system_tensor": (2, 3, 3),
    "dipole": (2, 3),
    "polarizability": (2, 3, 3),
}


def potential_of(*outputs: str, **config) -> Potential:
    torch.manual_seed(0)
    return Potential(ModelConfig(**{"channels": 8, "rbf": 8, "cutoff": 4.0, "outputs": outputs, **config}))


def two_systems(dtype=torch.float64):
    return build_graph(laws.cluster(n_systems=2), laws.TYPES, 4.0, dtype)


def test_every_output_has_its_shape_and_is_detached():
    predicted = potential_of(*OUTPUTS).double().predict(two_systems())
    shapes = {name: tuple(value.shape) for name, value in predicted.items()}
    assert shapes == {"energy": (2,), "forces": (20, 3)} | SHAPES
    assert not any(value.requires_grad for value in predicted.values())


def test_outputs_leave_energy_and_forces_alone():
    plain, rich = potential_of(), potential_of("dipole")
    rich.load_state_dict(plain.state_dict(), strict=False)
    graph = two_systems(torch.float32)
    predicted = rich.predict(graph)
    for a, b in zip(plain.energy_and_forces(graph), rich.energy_and_forces(graph), strict=True):
        assert torch.equal(a, b)
    assert torch.equal(predicted["energy"], plain.energy(graph))


@pytest.mark.parametrize("kind", ["scalar", "vector", "tensor"])
def test_a_system_is_the_sum_of_its_beads(kind):
    potential = potential_of(f"bead_{kind}", f"system_{kind}").double()
    bead, system = (potential.outputs[f"{owner}_{kind}"] for owner in ("bead", "system"))
    system.load_state_dict(bead.state_dict())
    predicted = potential.predict(two_systems())
    parts = torch.stack([part.sum(0) for part in predicted[f"bead_{kind}"].split(10)])
    torch.testing.assert_close(predicted[f"system_{kind}"], parts)


def test_scale_multiplies_an_output():
    potential = potential_of("polarizability").double()
    before = potential.predict(two_systems())["polarizability"]
    potential.outputs["polarizability"].scale.fill_(3.0)
    torch.testing.assert_close(potential.predict(two_systems())["polarizability"], 3 * before)


def test_outputs_travel_with_the_weights(tmp_path):
    potential = potential_of("dipole", "bead_tensor")
    potential.outputs["dipole"].scale.fill_(0.7)
    save_model(tmp_path / "some.safetensors", potential, "heavy", "abc", {}, {})
    loaded, _ = load_model(tmp_path / "some.safetensors")
    graph = two_systems(torch.float32)
    for name, value in potential.predict(graph).items():
        assert torch.equal(loaded.predict(graph)[name], value), name


def test_unknown_output_is_refused():
    with pytest.raises(ValidationError, match="outputs"):
        ModelConfig(outputs=("quadrupole",))
