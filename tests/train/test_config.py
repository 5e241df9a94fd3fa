import pytest

from cgprot.errors import UsageError
from cgprot.train.config import load_config

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


@pytest.mark.parametrize("override", ["steps=5", "train.steps", ".steps=5"])
def test_override_of_another_form_is_refused(path, override):
    with pytest.raises(UsageError, match=r"section\.key=value"):
        load_config(path, [override])


def test_text_that_is_not_toml_is_refused(path):
    path.write_text("[data")
    with pytest.raises(UsageError, match="TOML"):
        load_config(path)
