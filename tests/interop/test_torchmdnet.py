"""Weights in and out of TorchMD-Net: the same energies and forces both ways."""

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest
import theirs
import torch
from theirs import AMARO, assert_same, our_energy_and_forces, small, their_energy_and_forces, write_theirs

from cgprot.errors import InputError, StorageError
from cgprot.interop.torchmdnet import export_model, import_model, read_checkpoint
from cgprot.mapping.rules import load_rules
from cgprot.model.checkpoint import load_model, load_tensors, save_model
from cgprot.model.potential import ModelConfig, Potential


@pytest.fixture(autouse=True)
def _peer_in_plain_python(monkeypatch):
    theirs.in_plain_python(monkeypatch)


@pytest.fixture
def file(tmp_path) -> Path:
    return tmp_path / "theirs.ckpt"


@pytest.mark.parametrize(
    "changes",
    [
        {"num_layers": 0},
        {"num_layers": 2, "equivariance_invariance_group": "SO(3)"},
        {"precision": 64, "cutoff_upper": 5.7},
        {"activation": "swish", "reduce_op": "sum", "prior_model": [], "max_z": 40},
        {"trainable_rbf": True, "static_shapes": True},
        {"rbf_type": "gauss", "trainable_rbf": True, "equivariance_invariance_group": "SO(3)"},
    ],
)
def test_reads_what_torchmdnet_reads(file, changes):
    write_theirs(file, small(**changes), prefix="" if changes.get("max_z") else "model.")
    checkpoint = read_checkpoint(file)
    assert checkpoint.layout == "new"
    assert_same(our_energy_and_forces(checkpoint.potential), their_energy_and_forces(file))


@pytest.mark.parametrize("group", ["O(3)", "SO(3)"])
def test_total_charges_act_as_theirs(file, group):
    write_theirs(file, small(charge=True, equivariance_invariance_group=group))
    potential, charges = read_checkpoint(file).potential, np.array([-2.0, 3.0])
    ours = our_energy_and_forces(potential, total_charge=charges)
    assert_same(ours, their_energy_and_forces(file, q=charges))
    with pytest.raises(AssertionError):
        assert_same(ours, their_energy_and_forces(file, q=charges[::-1].copy()))


def test_charges_without_layers_act_on_nothing(file):
    write_theirs(file, small(charge=True, num_layers=0))
    ours = our_energy_and_forces(read_checkpoint(file).potential)
    assert_same(ours, their_energy_and_forces(file, q=[-2.0, 3.0]))


def test_scale_and_shift_are_those_of_the_file(file):
    """The shift once for each system, whatever its number of beads."""
    write_theirs(file, small())
    potential = read_checkpoint(file).potential
    assert (float(potential.energy_scale), potential.config.energy_shift) == (21.5, -7.25)
    apart = 100.0 * np.arange(10.0)[:, None] * np.array([1.0, 0, 0])
    one_by_one = sum(
        float(our_energy_and_forces(potential, apart[None, [i]], theirs.TYPES[[i]])[0][0]) for i in range(10)
    )
    together = our_energy_and_forces(potential, apart[None])[0][0]
    np.testing.assert_allclose(together, one_by_one + 9 * 7.25, rtol=1e-12)


def test_a_lost_shift_would_be_seen(file):
    write_theirs(file, small())
    potential = read_checkpoint(file).potential
    potential.config = potential.config.model_copy(update={"energy_shift": -7.2500001})
    with pytest.raises(AssertionError):
        assert_same(our_energy_and_forces(potential), their_energy_and_forces(file))


def test_amaros_configuration_and_file(file):
    """The rows of its layers are those of old versions, which TorchMD-Net 3.1.0 knows by check_errors."""
    write_theirs(file, AMARO, old=True)
    checkpoint = read_checkpoint(file)
    assert checkpoint.layout == "old"
    parameters = sum(parameter.numel() for parameter in checkpoint.potential.parameters())
    assert parameters + 128 == theirs.AMARO_PARAMETERS  # they embed type 0 too
    assert_same(our_energy_and_forces(checkpoint.potential), their_energy_and_forces(file))


@pytest.mark.parametrize("layers", [0, 2])
def test_the_oldest_files_do_not_say_that_they_are_old(tmp_path, layers):
    """Before check_errors came there was no box in the file; today's version has the exact function."""
    given = small(num_layers=layers)
    today = write_theirs(tmp_path / "today.ckpt", given)
    oldest = write_theirs(tmp_path / "oldest.ckpt", given, old=True)
    checkpoint = read_checkpoint(oldest)
    assert checkpoint.layout == "old"
    assert_same(our_energy_and_forces(checkpoint.potential), their_energy_and_forces(today))
    wrong = read_checkpoint(oldest, layout="new").potential
    with pytest.raises(AssertionError):
        assert_same(our_energy_and_forces(wrong), their_energy_and_forces(today))


def random_potential(dtype=torch.float32, **config) -> Potential:
    torch.manual_seed(1)
    settings = {"channels": 12, "rbf": 8, "cutoff": 4.3, "energy_shift": -3.5} | config
    potential = Potential(ModelConfig(**settings)).to(dtype)
    for parameter in potential.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    potential.energy_scale.fill_(13.25)
    return potential


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "config",
    [{"layers": 0}, {"layers": 2, "group": "SO(3)"}, {"n_types": 20, "cutoff": 8.0, "basis": "gauss"}],
)
def test_torchmdnet_reads_what_is_written(tmp_path, config, dtype):
    potential = random_potential(dtype, **config)
    model, exported = tmp_path / "model.safetensors", tmp_path / "out.ckpt"
    save_model(model, potential, "heavy", "abc", {"CH0": 1}, {})
    export_model(model, exported)
    back = read_checkpoint(exported)
    assert back.origin == {"mapping": "heavy", "mapping_hash": "abc", "bead_types": {"CH0": 1}}
    assert back.potential.config == potential.config
    for name, tensor in potential.state_dict().items():
        assert torch.equal(back.potential.state_dict()[name], tensor), name
    assert_same(their_energy_and_forces(exported), our_energy_and_forces(potential))


def test_the_shipped_model_goes_out_and_comes_back(call, tmp_path, chignolin):
    exported, back = tmp_path / "demo.ckpt", tmp_path / "back.safetensors"
    assert call("export", "heavy-demo", "-o", exported)[0] == 0
    types, positions = chignolin.system.bead_type, chignolin.positions[:1]
    potential, metadata = load_model("heavy-demo")
    ours = our_energy_and_forces(potential, positions, types)
    assert_same(their_energy_and_forces(exported, positions, types), ours)
    code, out, _ = call("import", exported, "-o", back, "--mapping", "heavy")
    assert (code, "64 channels" in out, "kcal/mol" in out) == (0, True, True)
    again = load_model(back)
    assert again[0].config == potential.config
    for name in ("mapping", "mapping_hash", "bead_types"):
        assert again[1][name] == metadata[name]
    for name, tensor in load_tensors(back)[0].items():
        assert torch.equal(tensor, load_model("heavy-demo")[0].state_dict()[name]), name


def test_double_precision_survives(file, tmp_path):
    write_theirs(file, small(precision=64))
    import_model(file, tmp_path / "model.safetensors", load_rules("heavy"))
    export_model(tmp_path / "model.safetensors", tmp_path / "again.ckpt")
    assert_same(their_energy_and_forces(tmp_path / "again.ckpt"), their_energy_and_forces(file), 1e-15)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"cutoff_lower": 0.5}, "cutoff_lower = 0.5: cgprot cannot express it, only 0"),
        ({"model": "tensornet2"}, "model = tensornet2: cgprot cannot express it, only tensornet"),
        ({"activation": "tanh"}, "activation = tanh: cgprot cannot express it, only silu or swish"),
        ({"output_model": "DipoleMoment"}, "output_model = DipoleMoment"),
        ({"reduce_op": "mean"}, "reduce_op = mean"),
        ({"prior_model": ["ZBL"]}, "prior_model = ['ZBL']"),
        ({"box_vecs": [[20, 0, 0], [0, 20, 0], [0, 0, 20]]}, "box_vecs"),
        ({"atom_filter": 1}, "atom_filter = 1"),
        ({"num_rbf": 9}, "distance_expansion.means has shape (8,)"),
        ({"num_layers": 2}, "its state_dict lacks representation_model.layers.1"),
        ({"max_z": 1}, "greater than or equal to 1"),
    ],
)
def test_what_cannot_be_expressed_is_refused_by_name(call, file, tmp_path, changes, words):
    write_theirs(file, small())
    content = torch.load(file, weights_only=True)
    content["hyper_parameters"] |= changes
    torch.save(content, file)
    code, _, err = call("import", file, "-o", tmp_path / "model.safetensors")
    assert (code, err.count("\n")) == (3, 1)
    assert words in err
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda state: state.update({"prior_model.0.weight": torch.ones(3)}), "has prior_model.0.weight"),
        (lambda state: state["representation_model.distance.box"].fill_(20.0), "box of its own"),
        (lambda state: state.update(std=torch.ones(2)), "no single numbers"),
        (lambda state: state.update(std="1"), "std in its state_dict is no finite tensor"),
        (
            lambda state: state.update(std=torch.tensor(torch.nan)),
            "std in its state_dict is no finite tensor",
        ),
    ],
)
def test_tensors_that_cannot_be_expressed_are_refused(file, change, words):
    write_theirs(file, small(), change=change)
    with pytest.raises(InputError, match=words):
        read_checkpoint(file)


def test_numbers_of_numpy_beside_the_weights_do_not_matter(file):
    write_theirs(file, small())
    content = torch.load(file, weights_only=True)
    kept = {"best": np.float64(0.5), "wait": np.int64(3), "last": np.float32(2)}
    torch.save(content | {"callbacks": kept}, file)
    assert read_checkpoint(file).layout == "new"
    with zipfile.ZipFile(io.BytesIO(file.read_bytes())) as old, zipfile.ZipFile(file, "w") as new:
        assert b"numpy._core.multiarray" in old.read("theirs/data.pkl")
        for name in old.namelist():
            as_numpy_1 = old.read(name).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
            new.writestr(name, as_numpy_1)
    assert read_checkpoint(file).layout == "new"


class Malicious:
    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self):
        return Path.touch, (self.victim,)


def test_code_in_a_checkpoint_is_refused_and_not_run(call, file, tmp_path):
    victim = tmp_path / "victim"
    torch.save({"hyper_parameters": small(), "state_dict": {}, "callbacks": Malicious(victim)}, file)
    code, _, err = call("import", file, "-o", tmp_path / "model.safetensors")
    assert (code, err.count("\n")) == (3, 1)
    assert "could run any code" in err
    file.write_bytes(pickle.dumps(Malicious(victim)))
    with pytest.raises(InputError, match="could run any code"):
        read_checkpoint(file)
    assert not victim.exists()
    pickle.loads(file.read_bytes())
    assert victim.exists()  # so it would have


def test_other_files_are_refused(file, examples):
    with pytest.raises(StorageError, match="could not be read"):
        read_checkpoint(file)
    for content in (b"", b"PK nothing", (examples / "chignolin.pdb").read_bytes()):
        file.write_bytes(content)
        with pytest.raises(InputError):
            read_checkpoint(file)
    write_theirs(file, small())
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(InputError, match=r"damaged|not a file of torch"):
        read_checkpoint(file)
    for content in ({"state_dict": {}}, torch.ones(3), [1, 2]):
        torch.save(content, file)
        with pytest.raises(InputError, match="no hyper_parameters"):
            read_checkpoint(file)


def test_mappings_that_do_not_fit_are_refused(file, tmp_path):
    write_theirs(file, small(max_z=12))
    with pytest.raises(InputError, match="bead types 1 to 11, mapping heavy has up to 12"):
        import_model(file, tmp_path / "model.safetensors", load_rules("heavy"))
    export_model("heavy-demo", file)
    rules = load_rules("heavy").model_copy(update={"name": "other"})
    with pytest.raises(InputError, match="made for mapping heavy, not for this other"):
        import_model(file, tmp_path / "model.safetensors", rules)
    assert list(tmp_path.iterdir()) == [file]


def test_a_charged_model_goes_out(tmp_path):
    model, exported = tmp_path / "model.safetensors", tmp_path / "out.ckpt"
    potential, charges = random_potential(charge="total"), np.array([1.0, -4.0])
    save_model(model, potential, "heavy", "abc", {}, {})
    export_model(model, exported)
    assert read_checkpoint(exported).potential.config == potential.config
    ours = our_energy_and_forces(potential, total_charge=charges)
    assert_same(their_energy_and_forces(exported, q=charges), ours)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"outputs": ("dipole",)}, "outputs = ('dipole',)"),
        ({"spin": True}, "spin = True"),
        ({"charge": "bead"}, 'charge = "bead"'),
    ],
)
def test_what_torchmdnet_cannot_express_stays_here(call, tmp_path, config, words):
    model = tmp_path / "model.safetensors"
    save_model(model, random_potential(**config), "heavy", "abc", {}, {})
    code, _, err = call("export", model, "-o", tmp_path / "out.ckpt")
    assert (code, err.count("\n")) == (3, 1)
    assert words in err
    assert list(tmp_path.iterdir()) == [model]
