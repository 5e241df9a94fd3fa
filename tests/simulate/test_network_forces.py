import numpy as np
import pytest
import torch
from chain import N_BEADS, chain_start, chain_system

from cgprot.errors import InputError
from cgprot.model.potential import ModelConfig, Potential
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.forces import choose_forces, forces_from, recorded_forces
from cgprot.simulate.run import resume, simulate
from cgprot.simulate.state import CHECKPOINT, load_checkpoint
from cgprot.units import COULOMB


@pytest.fixture(scope="module")
def potential():
    torch.manual_seed(1)
    return Potential(ModelConfig(channels=4, layers=1, rbf=8)).double()


@pytest.fixture(scope="module")
def forces(potential):
    return forces_from(potential, chain_system().bead_type)


def _positions(n_replicas):
    generator = np.random.default_rng(3)
    return chain_start().positions + generator.normal(scale=0.1, size=(n_replicas, N_BEADS, 3))


def test_forces_are_the_slope_of_the_energy(forces):
    positions, h = _positions(2), 1e-5
    energy, force = forces(positions)
    assert (energy.shape, force.shape) == ((2,), (2, N_BEADS, 3))
    assert energy.dtype == force.dtype == np.float64
    for bead, axis in ((0, 0), (3, 2)):
        shift = np.zeros_like(positions)
        shift[:, bead, axis] = h
        slope = (forces(positions + shift)[0] - forces(positions - shift)[0]) / (2 * h)
        np.testing.assert_allclose(force[:, bead, axis], -slope, rtol=1e-6, atol=1e-9)


def test_priors_act_in_a_simulation():
    priors = {"bonds": {"terms": [{"k": 60.0, "length": 1.5}]}, "coulomb": {"cutoff": 9.0}}
    torch.manual_seed(1)
    plain, prior = (
        Potential(ModelConfig(channels=4, layers=1, rbf=8, **more)).double()
        for more in ({}, {"priors": priors})
    )
    prior.load_state_dict(plain.state_dict())
    system, positions = chain_system(), _positions(2)
    charge = np.array([1.0, 0, 0, 0, 0, -1.0])
    learned, _ = forces_from(plain, system.bead_type)(positions)
    energy, force = choose_forces("network", prior, system.bead_type, charge, positions, 2, system.bonds)[0](
        positions
    )
    bond = np.linalg.norm(np.diff(positions, axis=1), axis=-1)
    ends = np.linalg.norm(positions[:, 0] - positions[:, -1], axis=-1)
    assert (ends < 9).all()
    pair = -COULOMB * (1 / ends + 0.5 * ends**2 / 9**3 - 1.5 / 9)
    np.testing.assert_allclose(energy - learned, 30 * ((bond - 1.5) ** 2).sum(axis=1) + pair, rtol=1e-9)
    np.testing.assert_allclose(force.sum(axis=1), 0, atol=1e-9)
    with pytest.raises(InputError, match=r"the prior bonds, the prior coulomb .* --engine network$"):
        choose_forces("compressed", prior, system.bead_type, charge, positions, 2, system.bonds)


def test_compressed_feels_charges_and_tells_which_outputs_it_leaves_out():
    torch.manual_seed(1)
    potential = Potential(ModelConfig(channels=4, layers=1, rbf=8, charge="bead", outputs=("dipole",)))
    for part in potential.network.layers[0].linear_out.parts:
        part.weight.data *= 30
    potential.energy_scale.fill_(100.0)
    types, positions, charge = chain_system().bead_type, _positions(2), np.array([1, 1 / 3, 0, 0, -1, 2.0])
    fast, record = choose_forces("compressed", potential, types, charge, positions, 2)
    assert record["left_out"] == ["dipole"]
    forces = fast(positions)[1]
    again = recorded_forces(record, potential, types, np.round(charge, 6), 2)
    assert (again(positions)[1] == forces).all()
    network = forces_from(potential.double(), types, charge)
    np.testing.assert_allclose(forces, network(positions)[1], atol=1e-3)
    neutral = forces_from(potential.double(), types, 0 * charge)
    assert np.abs(forces - neutral(positions)[1]).max() > 0.01


def test_replicas_do_not_see_each_other(forces):
    together = forces(_positions(3))
    alone = [forces(positions[None]) for positions in _positions(3)]
    np.testing.assert_allclose(together[0], np.concatenate([energy for energy, _ in alone]), rtol=1e-12)
    np.testing.assert_allclose(together[1], np.concatenate([force for _, force in alone]), atol=1e-12)


def test_single_precision_far_from_the_origin(potential):
    single = forces_from(Potential(potential.config), chain_system().bead_type)
    near, far = single(_positions(1))[1], single(_positions(1) + 1e4)[1]
    np.testing.assert_allclose(far, near, atol=1e-5 * np.abs(near).max())


def test_a_network_runs_and_resumes(forces, tmp_path):
    config = SimulateConfig(temperature=10.0, time_ps=0.04, replicas=2, output_every_ps=0.01)
    simulate(chain_start(), forces, config, tmp_path / "whole", {}, [])
    shorter = config.model_copy(update={"time_ps": 0.02})
    simulate(chain_start(), forces, shorter, tmp_path / "parts", {}, [])
    resume(tmp_path / "parts", forces, time_ps=0.04)
    whole, parts = (load_checkpoint(tmp_path / name / CHECKPOINT).state for name in ("whole", "parts"))
    np.testing.assert_array_equal(whole.positions, parts.positions)
    assert whole.step == parts.step == 20
