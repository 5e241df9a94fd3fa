"""Priors reach training and evaluation with the bonds and charges of the data."""

import numpy as np
import pytest
import springs

from cgprot.beads import BeadFrames
from cgprot.errors import InputError
from cgprot.files.dataset import write_dataset
from cgprot.model.checkpoint import load_model
from cgprot.model.potential import ModelConfig, Potential
from cgprot.train import loop
from cgprot.train.evaluate import force_errors

CHAIN = np.array([[0, 1], [1, 2], [2, 3]])
PRIORS = {
    "bonds": {"terms": [{"types": [2, 1], "k": 40.0, "length": 1.6}, {"k": 25.0, "length": 1.4}]},
    "zbl": {"cutoff": 3.0},
    "coulomb": {"cutoff": 7.0},
}


def chain_frames(seed: int) -> BeadFrames:
    """Four beads whose forces are those of their three bonds alone: types 1, 2, 3, 2."""
    frames = springs.spring_frames(5, seed, n_beads=4)
    object.__setattr__(frames.system, "bonds", CHAIN)
    first, second = CHAIN.T
    bond = frames.positions[:, first] - frames.positions[:, second]
    length = np.linalg.norm(bond, axis=-1)
    k, rest = np.array([40.0, 25, 25]), np.array([1.6, 1.4, 1.4])
    pull = (k * (length - rest) / length)[..., None] * bond
    forces = np.zeros_like(frames.positions)
    np.add.at(forces, (slice(None), first), -pull)
    np.add.at(forces, (slice(None), second), pull)
    return BeadFrames(frames.system, frames.positions, forces)


def test_forces_of_bonds_alone_are_the_prior_where_the_network_is_silent():
    config = ModelConfig(channels=4, rbf=4, priors={"bonds": PRIORS["bonds"]})
    potential = Potential(config)
    potential.energy_scale.fill_(0.0)
    errors = force_errors(potential, {"chain/300/0": chain_frames(0)})
    assert errors[0].signal > 1
    assert errors[0].rmse < 1e-5 * errors[0].signal
    silent = Potential(ModelConfig(channels=4, rbf=4))
    silent.energy_scale.fill_(0.0)
    assert force_errors(silent, {"chain/300/0": chain_frames(0)})[0].rmse == pytest.approx(errors[0].signal)


def config_with_priors(folder):
    write_dataset(folder / "train.h5", {"chain/300/0": chain_frames(0)})
    write_dataset(folder / "validation.h5", {"chain/300/0": chain_frames(1)})
    config = springs.run_config(folder, steps=4, checkpoint_every=2)
    return type(config).model_validate(
        config.model_dump() | {"model": {"channels": 8, "rbf": 8, "priors": PRIORS}}
    )


def test_elements_come_from_the_names_of_the_bead_types_and_travel(tmp_path):
    loop.train(config_with_priors(tmp_path), tmp_path / "run")
    potential, metadata = load_model(tmp_path / "run")
    assert metadata["bead_types"] == {"CH0": 1, "CH1": 2, "CH2": 3}
    assert potential.config.priors.zbl.atomic_numbers == (6,) * 12
    assert potential.config.priors.coulomb.cutoff == potential.config.reach == 7.0
    from cgprot.train.config import recorded_config

    longer = recorded_config(tmp_path / "run")
    assert longer.model.priors == potential.config.priors
    loop.train(longer, tmp_path / "run", resume=True)


def test_bead_types_that_are_no_elements_are_refused_before_anything_is_written(tmp_path):
    config = config_with_priors(tmp_path)
    frames = chain_frames(0)
    object.__setattr__(frames.system, "type_name", np.full(4, "CA"))
    write_dataset(tmp_path / "train.h5", {"chain/300/0": frames})
    with pytest.raises(InputError, match=r"bead type CA .* give priors.zbl.atomic_numbers"):
        loop.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
