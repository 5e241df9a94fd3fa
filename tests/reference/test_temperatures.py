import json

import pytest

from cgprot.errors import InputError, StorageError, UsageError
from cgprot.files.folder import RUN_FILE
from cgprot.reference.frames import refuse_other_temperature, trajectory_temperature


@pytest.fixture
def sampled(tmp_path):
    """A file that `cgprot sample` recorded at 350 K, and one beside it that it knows nothing of."""
    for name in ("350K.trr", "other.trr"):
        (tmp_path / name).touch()
    record = {"verb": "sample", "trajectories": {"350K.trr": 350.0}}
    (tmp_path / RUN_FILE).write_text(json.dumps(record))
    return tmp_path


def test_the_temperature_is_that_given_or_that_recorded(sampled):
    assert trajectory_temperature(sampled / "350K.trr", None) == 350.0
    assert trajectory_temperature(sampled / "350K.trr", 300.0) == 300.0
    with pytest.raises(InputError, match="its temperature is not known"):
        trajectory_temperature(sampled / "other.trr", None)
    with pytest.raises(StorageError, match="no such file"):
        trajectory_temperature(sampled / "missing.trr", None)


def test_forces_of_one_temperature_are_not_called_those_of_another(sampled):
    refuse_other_temperature(sampled / "350K.trr", 350.0)
    refuse_other_temperature(sampled / "other.trr", 300.0)
    with pytest.raises(UsageError, match="was sampled at 350 K: leave the option out"):
        refuse_other_temperature(sampled / "350K.trr", 300.0)
