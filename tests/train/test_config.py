from pathlib import Path

import pytest

from cgprot.errors import StorageError, UsageError
from cgprot.model.checkpoint import model_path
from cgprot.train.config import RunConfig, load_config, recorded_config
from cgprot.train.order import BatchesOfFrames
from cgprot.train.state import TrainingState

TEXT = """
[data]
train = ["data/a.h5"]
validation = ["/elsewhere/b.h5"]
[model]
channels = 32
[train]
steps = 50
"""


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "config.toml"
    file.write_text(TEXT)
    return file


def test_paths_are_relative_to_the_file(path):
    config = load_config(path)
    assert config.data.train == (path.parent / "data/a.h5",)
    assert str(config.data.validation[0]) == "/elsewhere/b.h5"
    assert (config.model.channels, config.model.layers, config.train.steps) == (32, 1, 50)


def test_overrides(path):
    changes = ["train.learning_rate=3e-4", "model.group=SO(3)", "train.seed=5"]
    config = load_config(path, changes)
    assert config.train.learning_rate == 3e-4
    assert config.model.group == "SO(3)"
    assert config.train.seed == 5


def test_paths_of_overrides_are_relative_to_the_working_directory(path, tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    config = load_config(path, ['data.train=["c.h5", "/d.h5"]', "train.start=first"])
    assert config.data.train == (tmp_path / "elsewhere/c.h5", Path("/d.h5"))
    assert config.train.start == tmp_path / "elsewhere/first"
    assert str(config.data.validation[0]) == "/elsewhere/b.h5"


def test_first_weights_may_be_those_of_a_shipped_model(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    shipped = model_path("heavy-demo")
    assert load_config(path, ["train.start=heavy-demo"]).train.start == shipped
    path.write_text(TEXT + 'start = "heavy-demo/"\n')
    assert load_config(path).train.start == shipped
    own = path.parent / "heavy-demo"
    own.mkdir()
    assert load_config(path).train.start == own
    (path.parent / "heavy-0.7-small").mkdir()
    monkeypatch.chdir(own)
    path.write_text(TEXT + 'start = "heavy-0.7-small"\n')
    assert load_config(path).train.start == path.parent / "heavy-0.7-small"
    path.write_text(TEXT + 'start = ""\n')
    assert load_config(path).train.start == path.parent


@pytest.mark.parametrize(
    ("override", "key"),
    [("train.step=5", "train.step"), ("nets.channels=5", "nets"), ("model.widths=[1]", "model.widths")],
)
def test_unknown_key_is_named_with_the_file(path, override, key):
    with pytest.raises(UsageError) as caught:
        load_config(path, [override])
    assert f"{path}: {key}: unknown key" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "override",
    [
        "train.steps=0",
        "train.steps=many",
        "train.learning_rate=1e38",
        "train.noise_weighting=1e30",
        "model.group=O(2)",
        "data.train=[]",
    ],
)
def test_unusable_value_is_named(path, override):
    with pytest.raises(UsageError, match=override.split("=")[0]):
        load_config(path, [override])


@pytest.mark.parametrize(
    "override",
    [
        "model.cutoff=inf",
        "model.cutoff=nan",
        "train.learning_rate=inf",
        "train.gradient_clip=nan",
        f"train.seed={10**23}",
        f"train.seed={2**63}",
        f"train.steps={10**30}",
        "train.batch_frames=99999999999",
        "train.warmup_steps=99999999999",
        "train.validate_every=99999999999",
        "train.threads=100000",
        "train.batch_edges=0",
        "train.noise_weighting=0",
        "train.plateau_factor=1",
        "train.patience=0",
        "train.device=tpu",
        "train.committee=0",
        "train.member=1",
        "loss.forces=nan",
        "loss.energy=-1",
        "loss.dipole=1",
        "data.train=[1]",
        "data.train=1",
    ],
)
def test_numbers_that_are_no_use_are_named(path, override):
    with pytest.raises(UsageError, match=override.split("=")[0]) as caught:
        load_config(path, [override])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [0, 2**63 - 1])
def test_every_allowed_seed_can_be_used(path, seed):
    config = load_config(path, [f"train.seed={seed}", "model.channels=4"])
    TrainingState(config, {})
    assert sorted(BatchesOfFrames(3, 3, seed).numbers(0)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'data = "x"', "data: "),
        (b"data.train = [1]", "data.train"),
        (b"data.train = 1", "data.train"),
        (b"\xff\xfe\x00", "cannot be read as TOML"),
        (bytes(range(256)), "cannot be read as TOML"),
    ],
)
def test_malformed_files_are_refused_in_one_line(path, content, said):
    path.write_bytes(content)
    with pytest.raises(UsageError, match=said) as caught:
        load_config(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_is_no_malformed_one(tmp_path):
    with pytest.raises(StorageError, match=r"none\.toml: cannot be read \(No such file"):
        load_config(tmp_path / "none.toml")


def test_override_of_what_is_no_section_is_refused(path):
    path.write_text('data = "x"')
    with pytest.raises(UsageError, match="data is no section"):
        load_config(path, ["data.train=[]"])


@pytest.mark.parametrize(
    ("content", "error", "said"),
    [
        (b"\xff\x00", StorageError, "not a cgprot run folder"),
        (b"{", StorageError, "not a cgprot run folder"),
        (b"[1]", StorageError, "not the record of a run"),
        (b'{"verb": "train"}', StorageError, "no config"),
        (b'{"verb": "train", "config": [1]}', StorageError, "no config"),
        (b'{"verb": "train", "config": {}}', UsageError, "data"),
        (b'{"verb": "simulate", "config": {}}', UsageError, "is a run of simulate"),
    ],
)
def test_damaged_record_of_a_run_is_refused(tmp_path, content, error, said):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(error, match=said):
        recorded_config(tmp_path)


@pytest.mark.parametrize("override", ["steps=5", "train.steps", ".steps=5"])
def test_override_of_another_form_is_refused(path, override):
    with pytest.raises(UsageError, match=r"section\.key=value"):
        load_config(path, [override])


def test_batches_are_of_frames_or_of_edges(path):
    assert load_config(path).train.batch_frames == 8
    chosen = load_config(path, ["train.batch_edges=500"])
    assert (chosen.train.batch_edges, chosen.train.batch_frames) == (500, None)
    assert RunConfig.model_validate(chosen.model_dump(mode="json")) == chosen
    with pytest.raises(UsageError, match=r"two ways to say one thing"):
        load_config(path, ["train.batch_edges=500", "train.batch_frames=8"])


def test_weights_of_the_loss(path):
    assert load_config(path).weights == {"forces": 1.0}
    more = ['model.outputs=["dipole"]', "loss.energy=0.1", "loss.dipole=2"]
    assert load_config(path, more).weights == {"forces": 1.0, "dipole": 2.0, "energy": 0.1}
    with pytest.raises(UsageError, match="all weights are zero"):
        load_config(path, ["loss.forces=0"])


def test_text_that_is_not_toml_is_refused(path):
    path.write_text("[data")
    with pytest.raises(UsageError, match="TOML"):
        load_config(path)
