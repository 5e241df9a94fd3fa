"""Scalars, vectors and tensors beside the energy."""

import laws
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from cgprot.errors import InputError
from cgprot.model.checkpoint import load_model, save_model
from cgprot.model.graph import build_graph
from cgprot.model.heads import OUTPUTS
from cgprot.model.potential import ModelConfig, Potential

CHARGES = np.array([1.0, 0, -1, 0.5, -0.5, 0, 1, -1, 0.5, 0])
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
    return build_graph(laws.cluster(n_systems=2), laws.TYPES, 4.0, dtype, charge=CHARGES)


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


def test_dipole_is_that_of_the_charges_about_the_centroid_and_of_the_vectors():
    potential = potential_of("dipole", "system_vector").double()
    potential.outputs["system_vector"].load_state_dict(potential.outputs["dipole"].state_dict())
    positions = laws.cluster(n_systems=2)
    graph = two_systems()
    predicted = potential.predict(graph._replace(positions=graph.positions + 7.0))
    centred = positions - positions.mean(axis=1, keepdims=True)
    expected = np.einsum("b,sbk->sk", CHARGES, centred)
    assert CHARGES.sum() == 0.5
    np.testing.assert_allclose(predicted["dipole"] - predicted["system_vector"], expected, atol=1e-12)


def test_dipole_is_refused_without_charges_and_with_charges_in_a_box():
    potential = potential_of("dipole").double()
    with pytest.raises(InputError, match="zeros for a neutral molecule"):
        potential.predict(two_systems()._replace(charge=None))
    boxed, neutral = (
        build_graph(laws.cluster(), laws.TYPES, 4.0, torch.float64, charge=charge, box=20 * np.eye(3))
        for charge in (CHARGES, 0 * CHARGES)
    )
    with pytest.raises(InputError, match="system_vector"):
        potential.predict(boxed)
    assert potential.predict(neutral)["dipole"].abs().max() > 0


def test_dipole_of_partial_charges_is_learnt():
    """The sum of local vectors finds the dipole of frames not seen, five times better than the mean does."""
    rng = np.random.default_rng(0)
    corners = np.array([[0, 0, 0], [1.5, 0, 0], [2, 1.4, 0], [1, 1.5, 1.4]])
    positions = corners + rng.uniform(-0.4, 0.4, size=(80, 4, 3))
    labels = torch.from_numpy(np.einsum("b,sbk->sk", [0.4, -0.3, -0.5, 0.4], positions))
    potential = potential_of("dipole", channels=16, cutoff=5.0).double()
    head = potential.outputs["dipole"]
    head.scale.fill_(float(labels.std()))
    seen, unseen = (
        build_graph(frames, np.arange(1, 5), 5.0, torch.float64, charge=np.zeros(4))
        for frames in (positions[:60], positions[60:])
    )
    optimiser = torch.optim.Adam(potential.parameters(), lr=0.01)
    for _ in range(100):
        optimiser.zero_grad()
        (head(potential.features(seen), seen) - labels[:60]).square().mean().backward()
        optimiser.step()
    error = (potential.predict(unseen)["dipole"] - labels[60:]).square().mean()
    assert error < 0.04 * (labels[:60].mean(0) - labels[60:]).square().mean()
