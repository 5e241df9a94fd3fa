"""One whole run of the chain, for all tests that compare theirs with it."""

import os
from pathlib import Path

import pytest
from chain_runs import simulate_chain


@pytest.fixture
def synced(monkeypatch):
    """Names of the files brought to the disk, without the wait: such tests kill processes, not machines."""
    names = []
    monkeypatch.setattr(
        os, "fsync", lambda number: names.append(Path(f"/proc/self/fd/{number}").readlink().name)
    )
    return names


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    simulate_chain(folder)
    return folder
