import pytest

from cgprot.errors import StorageError, UsageError
from cgprot.train.batches import batch_numbers
from cgprot.train.config import load_config, recorded_config
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
    changes = ["train.learning_rate=3e-4", "model.group=SO(3)", 'data.train=["c.h5"]', "train.seed=5"]
    config = load_config(path, changes)
    assert config.train.learning_rate == 3e-4
    assert config.model.group == "SO(3)"
    assert [str(entry) for entry in config.data.train] == ["c.h5"]
    assert config.train.seed == 5


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
    "override", ["train.steps=0", "train.steps=many", "model.group=O(2)", "data.train=[]"]
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
    TrainingState(config, energy_scale=1.0)
    assert sorted(batch_numbers(0, 3, 3, seed)) == [0, 1, 2]


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


def test_text_that_is_not_toml_is_refused(path):
    path.write_text("[data")
    with pytest.raises(UsageError, match="TOML"):
        load_config(path)
