"""Replicas spread over processes: the same files as from one."""

import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from cgprot.cli import main
from cgprot.errors import InputError, UsageError
from cgprot.simulate import spread
from cgprot.simulate.exchange import EXCHANGE_LOG
from cgprot.simulate.state import CHECKPOINT

CHIGNOLIN = Path(__file__).parents[2] / "examples" / "chignolin.pdb"
TORCHRUN = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone")
RUN = ("simulate", str(CHIGNOLIN), "--model", "heavy-demo", "--no-minimise", "--seed", "3")
SHORT = ("--temperature", "300", "330", "363", "--output-every-ps", "0.02", "--exchange-every-ps", "0.02")


def spread_run(*arguments: str) -> subprocess.CompletedProcess:
    command = [*TORCHRUN, "-m", "cgprot", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=250)


@pytest.mark.slow
def test_two_processes_write_the_bytes_of_one_exchanges_and_resumption_included(tmp_path):
    assert main([*RUN, *SHORT, "--time-ps", "0.08", "-o", str(tmp_path / "one")]) == 0
    result = spread_run(*RUN, *SHORT, "--time-ps", "0.04", "-o", str(tmp_path / "two"))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("done") == 1
    result = spread_run("simulate", "--resume", str(tmp_path / "two"), "--time-ps", "0.08")
    assert result.returncode == 0, result.stderr
    _same_files(tmp_path)


def _same_files(folder: Path) -> None:
    names = {path.name for path in (folder / "one").iterdir() if path.suffix in (".dcd", ".csv", ".pdb")}
    assert EXCHANGE_LOG in names
    for name in {*names, CHECKPOINT}:
        assert (folder / "two" / name).read_bytes() == (folder / "one" / name).read_bytes(), name


@pytest.mark.parametrize(("n_replicas", "processes"), [(3, 2), (7, 4), (4, 4), (1, 1)])
def test_every_replica_has_one_process(monkeypatch, n_replicas, processes):
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    shares = []
    for rank in range(processes):
        monkeypatch.setenv("RANK", str(rank))
        shares.append(spread.share(n_replicas))
    assert sum(shares) == n_replicas
    assert max(shares) - min(shares) <= 1
    monkeypatch.setenv("WORLD_SIZE", str(n_replicas + 1))
    with pytest.raises(UsageError, match="no more processes than replicas"):
        spread.share(n_replicas)


def _process(rank: int, port: int, results) -> None:
    variables = {"RANK": rank, "WORLD_SIZE": 2, "MASTER_ADDR": "localhost", "MASTER_PORT": port}
    os.environ |= {name: str(value) for name, value in variables.items()}

    def forces(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if positions.max() > 1:
            raise InputError("beads 0 and 1 coincide")
        return positions.sum(axis=(1, 2)), 2 * positions

    positions = np.linspace(0, 1, 18).reshape(3, 2, 3)
    with spread.together(forces, positions.shape) as all_forces:
        if all_forces is None:
            return
        energy, force = all_forces(positions)
        results.put((energy, force))
        positions[2] = 5  # the other process's share
        try:
            all_forces(positions)
        except InputError as error:
            results.put(str(error))
        results.put(all_forces(positions / 5)[0])


def test_what_goes_wrong_in_another_process_is_told_in_the_first_and_the_run_can_go_on():
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    processes = [context.Process(target=_process, args=(rank, port, results)) for rank in range(2)]
    for process in processes:
        process.start()
    positions = np.linspace(0, 1, 18).reshape(3, 2, 3)
    energy, force = results.get(timeout=120)
    np.testing.assert_array_equal(energy, positions.sum(axis=(1, 2)))
    np.testing.assert_array_equal(force, 2 * positions)
    assert results.get(timeout=60) == "beads 0 and 1 coincide"
    assert results.get(timeout=60)[2] == 6
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0
