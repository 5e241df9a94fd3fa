"""Compression measures its own error, refuses what is too wrong, and survives a file."""

import numpy as np
import pytest
import torch
from engines import TYPES, cluster, model_forces, potential_of

from cgprot.engine.compress import Tolerance, compress
from cgprot.engine.cpu import CpuEngine
from cgprot.engine.tables import load_compressed, save_compressed, tabulate
from cgprot.errors import InputError
from cgprot.model.checkpoint import save_model, tensors_sha256


def test_the_errors_told_are_the_errors_made():
    potential, positions = potential_of(layers=1, scale=5.0), cluster(n_replicas=2)
    compressed = compress(potential, positions, TYPES)
    energy, forces = CpuEngine(compressed, TYPES, 2, np.float64)(positions)
    model_energy, model = model_forces(potential, TYPES)(positions)
    assert compressed.errors["table_force"] == pytest.approx(np.abs(forces - model).max(), rel=1e-6)
    assert compressed.errors["table_energy"] == pytest.approx(
        np.abs(energy - model_energy).max() / 10, rel=1e-3
    )
    assert compressed.errors["table_force"] <= Tolerance().table_force


def test_tables_are_as_fine_as_the_tolerance_asks():
    potential, positions = potential_of(layers=1, scale=5.0), cluster()
    fine = compress(potential, positions, TYPES, Tolerance(table_force=1e-10))
    coarse = compress(potential, positions, TYPES, Tolerance(table_force=1e-3))
    assert fine.intervals > coarse.intervals


def test_a_potential_worse_than_the_tolerance_is_refused():
    potential, positions = potential_of(layers=1, scale=1e4), cluster()
    with pytest.raises(InputError, match="miss forces"):
        compress(potential, positions, TYPES, Tolerance(table_force=1e-13))
    with pytest.raises(InputError, match="float32 misses"):
        compress(potential, positions, TYPES, Tolerance(table_force=1, table_energy=1, single=1e-9))


def test_wrong_weights_are_noticed(monkeypatch):
    """Weights that do not belong to the model must not pass as it."""
    import cgprot.engine.compress as module

    other = potential_of(layers=1, scale=5.0, seed=1)
    monkeypatch.setattr(module, "tabulate", lambda potential, intervals: tabulate(other, intervals))
    with pytest.raises(InputError, match="miss forces"):
        compress(potential_of(layers=1, scale=5.0), cluster(), TYPES)


def test_there_and_back(tmp_path):
    potential, positions = potential_of(layers=2), cluster()
    compressed = compress(potential, positions, TYPES)
    save_compressed(tmp_path / "fast.safetensors", compressed, {"mapping": "heavy", "mapping_hash": "0"})
    loaded, metadata = load_compressed(tmp_path / "fast.safetensors")
    before, after = (CpuEngine(c, TYPES, 1)(positions) for c in (compressed, loaded))
    assert (before[1] == after[1]).all()
    assert loaded.errors == compressed.errors
    assert loaded.model_sha256 == metadata["model_sha256"] == tensors_sha256(potential.state_dict())
    assert metadata["mapping"] == "heavy"


def test_damaged_or_foreign_files_are_refused(tmp_path):
    path, potential = tmp_path / "fast.safetensors", potential_of()
    save_compressed(path, tabulate(potential, 64), {})
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        load_compressed(path)
    save_model(path, potential, "heavy", "0", {}, {})
    with pytest.raises(InputError, match="not a compressed potential"):
        load_compressed(path)


def test_where_a_network_is_wanted_the_file_is_refused_by_its_name(call, tmp_path, examples):
    path = tmp_path / "fast.safetensors"
    save_compressed(path, tabulate(potential_of(), 64), {})
    code, _, err = call("evaluate", path, examples / "chignolin_300K.h5")
    assert (code, err.count("\n")) == (3, 1)
    assert "fast.safetensors: an engine file, for simulate alone: give the model" in err


def test_only_tensornet_is_compressed():
    potential = potential_of()
    potential.network = torch.nn.Identity()
    with pytest.raises(InputError, match="Identity cannot be compressed"):
        compress(potential, cluster(), TYPES)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"priors": {"coulomb": {}}}, "the prior coulomb"),
        ({"spin": True}, "a spin as input"),
        ({"charge": "total", "spin": True}, "a spin as input"),
    ],
)
def test_what_the_engine_cannot_compute_is_refused_by_name(config, named):
    with pytest.raises(InputError, match=f"a model with {named} cannot .* --engine network$"):
        compress(potential_of(**config), cluster(), TYPES)


def test_outputs_beside_energy_and_forces_are_left_out():
    potential, positions = potential_of(layers=1, outputs=("dipole", "bead_scalar")), cluster()
    energy, forces = CpuEngine(compress(potential, positions, TYPES), TYPES, 1, np.float64)(positions)
    model_energy, model = model_forces(potential, TYPES)(positions)
    np.testing.assert_allclose(energy, model_energy, rtol=0, atol=1e-4)
    np.testing.assert_allclose(forces, model, rtol=0, atol=1e-4)


@pytest.mark.parametrize("charge", [None, np.zeros(9)])
def test_charges_that_the_model_needs_are_asked_for(charge):
    with pytest.raises(InputError, match="formal charge of every bead: give `charge`, 10 numbers"):
        CpuEngine(tabulate(potential_of(layers=1, charge="bead"), 64), TYPES, 1, charge=charge)


def test_a_charge_that_turns_a_factor_is_refused():
    charge = np.zeros(10)
    charge[3] = -10.0
    with pytest.raises(InputError, match=r"a charge of -10 makes the factor .* vanish"):
        CpuEngine(tabulate(potential_of(layers=1, charge="bead"), 64), TYPES, 1, charge=charge)
