"""The log of a training run."""

import pytest

from cgprot.errors import StorageError
from cgprot.train.metrics import METRICS_FILE, Metrics, append_metrics


def test_a_disk_that_refuses_is_told_in_one_line(tmp_path):
    (tmp_path / METRICS_FILE).mkdir()
    with pytest.raises(StorageError, match="free space, then resume"):
        append_metrics(tmp_path, Metrics(1, *[0.5] * 7))
