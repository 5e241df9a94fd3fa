"""The compressed network is the network."""

import numpy as np
import pytest
import torch
from engines import ON_GPU, TYPES, cluster, each_engine, forces_by, model_forces, potential_of

from cgprot.engine.cpu import CpuEngine
from cgprot.engine.tables import tabulate


@each_engine
@pytest.mark.parametrize("group", ["O(3)", "SO(3)"])
@pytest.mark.parametrize("layers", [0, 1, 2, 3])
def test_equals_the_model(layers, group, engine):
    potential = potential_of(layers=layers, group=group, energy_shift=-7.5)
    positions = cluster(n_replicas=3)
    energy, forces = forces_by(engine)(potential, TYPES)(positions)
    model_energy, model = model_forces(potential, TYPES)(positions)
    assert np.abs(model).max() > 0.05
    np.testing.assert_allclose(energy, model_energy, rtol=0, atol=1e-9 * np.abs(model_energy).max())
    np.testing.assert_allclose(forces, model, rtol=0, atol=1e-6 * np.abs(model).max())


CHARGE = np.array([1.0, 0, -1, 0, 0.5, 0, 2, -1, 0, -0.5])


@each_engine
@pytest.mark.parametrize("group", ["O(3)", "SO(3)"])
@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("charge", ["bead", "total"])
def test_equals_the_model_with_charges(layers, group, engine, charge):
    potential = potential_of(layers=layers, group=group, charge=charge)
    for layer in potential.network.layers:  # so that the square, which has a factor of its own, counts
        for part in layer.linear_out.parts:
            part.weight.data *= 100
    positions = cluster(n_replicas=3)
    energy, forces = forces_by(engine)(potential, TYPES, charge=CHARGE)(positions)
    model_energy, model = model_forces(potential, TYPES, charge=CHARGE)(positions)
    np.testing.assert_allclose(energy, model_energy, rtol=0, atol=1e-9 * np.abs(model_energy).max())
    np.testing.assert_allclose(forces, model, rtol=0, atol=1e-6 * np.abs(model).max())
    _, neutral = forces_by(engine)(potential, TYPES, charge=0 * CHARGE)(positions)
    assert np.abs(neutral - model).max() > 1e-3 * np.abs(model).max()  # not by having no effect


@each_engine
def test_error_falls_with_the_third_power_of_the_spacing(engine):
    """As the slope of a cubic Hermite interpolant must; a wrong slope in a table would fall slower."""
    potential = potential_of(layers=1)
    positions = cluster()
    _, model = model_forces(potential, TYPES)(positions)
    errors = []
    for intervals in (128, 512):
        _, forces = engine(tabulate(potential, intervals), TYPES, 1, np.float64)(positions)
        errors.append(np.abs(forces - model).max())
    assert 30 < errors[0] / errors[1] < 200  # 4³ = 64


@each_engine
@pytest.mark.parametrize("channels", [12, 16])
def test_float32_of_real_frames(chignolin, channels, engine):
    potential = potential_of(layers=1, channels=channels, rbf=32)
    types, positions = chignolin.system.bead_type, chignolin.positions.astype(np.float64)
    _, model = model_forces(potential, types)(positions)
    potential.energy_scale.mul_(100 / np.abs(model).max())
    model_energy, model = model_forces(potential, types)(positions)
    energy, forces = engine(tabulate(potential, 1024), types, len(positions))(positions)
    assert energy.dtype == forces.dtype == np.float64
    assert np.abs(forces - model).max() < 1e-3
    assert np.abs(energy - model_energy).max() / len(types) < 1e-3
    assert np.abs(forces - model).max() > 1e-9  # it was float32


@each_engine
def test_forces_are_the_slope_of_the_tabulated_energy(engine):
    potential, positions = potential_of(layers=2, scale=10.0), cluster()
    forces_of = engine(tabulate(potential, 32), TYPES, 1, np.float64)  # coarse: far from the model
    _, forces = forces_of(positions)
    direction, h = np.random.default_rng(1).normal(size=positions.shape), 1e-4
    rise = [forces_of(positions + s * h * direction)[0][0] for s in (2, 1, -1, -2)]
    slope = (-rise[0] + 8 * rise[1] - 8 * rise[2] + rise[3]) / (12 * h)
    np.testing.assert_allclose(-(forces * direction).sum(), slope, rtol=1e-6)
    _, model = model_forces(potential, TYPES)(positions)
    assert np.abs(forces - model).max() > 1e-4 * np.abs(model).max()  # not by being the model


@pytest.mark.parametrize("engine", [CpuEngine, ON_GPU])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_energy_drift_is_no_worse_than_the_models(dtype, engine):
    """Leapfrog without friction; both follow the same path, the compressed one to the table error."""
    potential = potential_of(layers=1, scale=20.0)
    drifts = []
    precision = torch.float64 if dtype is np.float64 else torch.float32
    for forces_of in (
        model_forces(potential, TYPES, precision),
        forces_by(engine)(potential, TYPES, dtype),
    ):
        positions, velocities = cluster(), 0.02 * np.random.default_rng(2).normal(size=(1, 10, 3))
        energy, forces = forces_of(positions)
        totals = []
        for _ in range(150):
            velocities += 0.005 * forces
            positions = positions + 0.01 * velocities
            energy, forces = forces_of(positions)
            velocities += 0.005 * forces
            totals.append(energy[0] + 0.5 * (velocities**2).sum())
        drifts.append(np.ptp(totals))
    assert 0 < drifts[1] < 1.01 * drifts[0] + 1e-9
