import sys

import pytest
import springs
from stopping import resumed_run
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from cgprot.errors import UsageError
from cgprot.train import loop
from cgprot.train.metrics import read_metrics


def test_tensorboard_has_what_the_csv_has_also_after_a_resume(tmp_path, monkeypatch):
    springs.write_springs(tmp_path)
    config = springs.run_config(tmp_path, tensorboard=True, validate_every=2)
    run = resumed_run(config, tmp_path / "run", monkeypatch)
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    rows = read_metrics(run)
    for name in rows[0].row().keys() - {"step"}:
        logged = events.Scalars(name)
        assert [event.step for event in logged] == [2, 4, 6, 8, 10, 12]
        assert [event.value for event in logged] == pytest.approx(
            [row.row()[name] for row in rows], nan_ok=True
        )


def test_tensorboard_that_is_not_installed_is_refused(tmp_path, monkeypatch):
    springs.write_springs(tmp_path)
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(UsageError, match="pip install tensorboard") as caught:
        loop.train(springs.run_config(tmp_path, tensorboard=True), tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
