"""A model as a file of the engine, and a simulation on a device that is not there."""

import sys

import numpy as np
import pytest
import torch
from cuda_on_c import cupy_on_c

from cgprot.engine.tables import holds_compressed, load_compressed
from cgprot.errors import InputError
from cgprot.files.dcd import read_dcd
from cgprot.files.folder import read_run
from cgprot.mapping.rules import load_rules
from cgprot.model.checkpoint import load_model, save_model, tensors_sha256
from cgprot.model.potential import ModelConfig, Potential
from cgprot.simulate.forces import choose_forces, load

SHORT = ("--time-ps", 0.01, "--output-every-ps", 0.002, "--no-minimise", "--temperature", 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    rules = load_rules("heavy")
    potential = Potential(ModelConfig(channels=4, layers=1, rbf=8))
    potential.energy_scale.fill_(10.0)
    save_model(path, potential, "heavy", rules.hash, {}, {"card": "kept"})
    return path


@pytest.fixture(scope="module")
def peptide(examples):
    return examples / "alanine_dipeptide.pdb"


@pytest.fixture(scope="module")
def engine_file(model, peptide):
    from cgprot.cli import main

    path = model.with_name("fast.safetensors")
    assert (
        main([str(a) for a in ("export", model, "--to", "engine", "--structure", peptide, "-o", path)]) == 0
    )
    return path


def trajectory(folder):
    return read_dcd(folder / "replica_000.dcd")[0]


def test_the_file_knows_its_model_and_its_error(engine_file, model):
    compressed, metadata = load_compressed(engine_file)
    assert compressed.model_sha256 == tensors_sha256(load_model(model)[0].state_dict())
    assert metadata["card"] == "kept"
    assert 0 < compressed.errors["single"] < 1e-3
    assert holds_compressed(engine_file)
    assert not holds_compressed(model)
    assert not holds_compressed(model.parent / "nothing")


def test_a_simulation_from_the_file_is_that_of_the_model(call, tmp_path, engine_file, model, peptide):
    for name, given in (("by_file", engine_file), ("by_model", model)):
        code, _, told = call("simulate", peptide, "--model", given, "-o", tmp_path / name, *SHORT)
        assert code == 0, told
    by_file, by_model = trajectory(tmp_path / "by_file"), trajectory(tmp_path / "by_model")
    assert np.ptp(by_model, axis=0).max() > 1e-4
    np.testing.assert_allclose(by_file, by_model, atol=1e-4)
    record = read_run(tmp_path / "by_file")
    assert record["engine"]["model_sha256"] == load_compressed(engine_file)[0].model_sha256
    assert record["device"] == "cpu"
    assert call("simulate", "--resume", tmp_path / "by_file", "--time-ps", 0.02)[0] == 0


def test_a_damaged_file_is_refused(call, tmp_path, engine_file, peptide):
    damaged = tmp_path / "damaged.safetensors"
    content = bytearray(engine_file.read_bytes())
    content[-7] ^= 4
    damaged.write_bytes(content)
    code, _, told = call("simulate", peptide, "--model", damaged, "-o", tmp_path / "run", *SHORT)
    assert code == 3
    assert "the weights are damaged" in told
    assert not (tmp_path / "run").exists()


def test_the_file_has_no_network(call, tmp_path, engine_file, peptide):
    arguments = ("simulate", peptide, "--model", engine_file, "-o", tmp_path / "run", *SHORT)
    code, _, told = call(*arguments, "--engine", "network")
    assert (code, told.count("\n")) == (3, 1)
    assert "holds no network: give the model that it came from" in told


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (("--to", "engine", "-o", "new.safetensors"), 2, "give --structure FILE"),
        (("--structure", "x.pdb", "-o", "new.ckpt"), 2, "--structure goes with --to engine only"),
        (("--to", "engine", "--structure", "x.pdb", "-o", "new.ckpt"), 2, "must end in .safetensors"),
        (("--to", "engine", "--structure", "no.pdb", "-o", "new.safetensors"), 5, "no.pdb"),
    ],
)
def test_wrong_exports_are_refused_in_one_line(call, tmp_path, monkeypatch, model, options, code, said):
    monkeypatch.chdir(tmp_path)
    got, _, told = call("export", model, *options)
    assert (got, told.count("\n")) == (code, 1)
    assert said in told
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("engine", "said"), [("compressed", "needs CuPy"), ("network", "torch sees no GPU")])
def test_without_a_gpu_cuda_is_refused_in_one_line(call, tmp_path, monkeypatch, model, peptide, engine, said):
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    arguments = ("simulate", peptide, "--model", model, "-o", tmp_path / "run", *SHORT)
    code, _, told = call(*arguments, "--engine", engine, "--device", "cuda")
    assert (code, told.count("\n")) == (2, 1)
    assert said in told
    assert not (tmp_path / "run").exists()


@pytest.fixture(params=["on c", pytest.param("gpu", marks=pytest.mark.gpu)])
def cuda(request, monkeypatch):
    if request.param == "on c":
        monkeypatch.setitem(sys.modules, "cupy", cupy_on_c())


def test_a_simulation_on_the_device_is_that_on_the_processor(call, tmp_path, model, peptide, cuda):
    for device in ("cuda", "cpu"):
        arguments = ("simulate", peptide, "--model", model, "-o", tmp_path / device, *SHORT)
        code, _, told = call(*arguments, "--device", device)
        assert code == 0, told
    np.testing.assert_allclose(trajectory(tmp_path / "cuda"), trajectory(tmp_path / "cpu"), atol=1e-5)
    record = read_run(tmp_path / "cuda")
    assert (record["device"], record["engine"]["device"]) == ("cuda", "cuda")
    assert call("simulate", "--resume", tmp_path / "cuda", "--time-ps", 0.012)[0] == 0


def test_the_error_is_that_of_the_engine_that_runs(monkeypatch, cuda, engine_file, model):
    """A mistake in the kernels of the GPU must show there, not pass as the processor's."""
    import cgprot.simulate.forces as module

    class Wrong(module.CudaEngine):
        def __call__(self, positions):
            energy, forces = super().__call__(positions)
            return energy, 1.1 * forces

    monkeypatch.setitem(module._ENGINES, "cuda", Wrong)
    positions = np.random.default_rng(0).normal(size=(1, 10, 3)) * 2
    types, charge = np.arange(1, 11), np.zeros(10)
    with pytest.raises(InputError, match="float32 misses forces"):
        choose_forces("compressed", load(str(model))[0], types, charge, positions, 1, device="cuda")
