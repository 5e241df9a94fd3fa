"""All-atom frames that every test of the analyses may use."""

import pytest

from cgprot.files.dataset import read_dataset


@pytest.fixture(scope="session")
def frames(examples):
    return read_dataset(examples / "chignolin_300K.h5")["chignolin/300/0"]
