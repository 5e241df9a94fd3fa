"""Two processes: the same training as one, ended and resumed together, and no one waits for the dead."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import springs
import torch
from stopping import same_bits, weights

from cgprot.errors import UsageError
from cgprot.files.dataset import write_dataset
from cgprot.train import loop
from cgprot.train.metrics import read_metrics
from cgprot.train.world import choose_device, joined


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def settings(folder):
    """Frames of unlike size, in an odd number, so that the shares differ; a validation at every step."""
    train = {"batch_frames": 3, "validate_every": 1, "learning_rate": 3e-3, "warmup_steps": 0, "steps": 8}
    return springs.run_config(folder, **train, loss={"energy": 0.5, "dipole": 0.5}, outputs=["dipole"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    frames = {"a/300/0": springs.spring_frames(4, 0), "b/300/0": springs.spring_frames(3, 1, n_beads=3)}
    write_dataset(folder / "train.h5", frames)
    write_dataset(folder / "validation.h5", {"a/300/0": springs.spring_frames(3, 2, noise=0.5)})
    return folder


@pytest.fixture(scope="module")
def results(folder):
    """What two processes of `two_processes.py` say, and when and how they ended."""
    script, port = Path(__file__).with_name("two_processes.py"), str(free_port())
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(folder)],
            env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1"},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=250)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    codes = [process.returncode for process in processes]
    return {"codes": codes, "said": said} | json.loads((folder / "results.json").read_text())


def test_two_processes_learn_what_one_does(results, folder):
    """To 1e-5: the error of every step, the validation error after it, and the weights at the end."""
    alone = loop.train(settings(folder), folder / "alone")
    for one, two in zip(read_metrics(alone), read_metrics(folder / "whole"), strict=True):
        for name, value in one.row().items():
            if name != "seconds":
                torch.testing.assert_close(two.row()[name], value, rtol=1e-5, atol=1e-9, equal_nan=True)
    for name, weight in weights(alone).items():
        torch.testing.assert_close(weights(folder / "whole")[name], weight, rtol=1e-4, atol=1e-6)


def test_the_comparison_catches_gradients_averaged_by_process(results, folder):
    """The planted mistake of `two_processes.py`: each share's mean over its own components."""
    alone, wrong = read_metrics(folder / "alone")[-1], read_metrics(folder / "wrong")[-1]
    assert abs(wrong.train_force_rmse_kcal_mol_A / alone.train_force_rmse_kcal_mol_A - 1) > 1e-4


def test_a_signal_to_one_process_ends_both_at_one_step_and_the_run_resumes(results, folder):
    assert results["stopped"] == ["SIGTERM at step 5 of 8", "exit 0"]
    for name in ("model.safetensors", "checkpoint.safetensors"):
        assert same_bits(weights(folder / "whole", name), weights(folder / "parts", name))


def test_an_error_of_one_process_ends_both_and_is_told_once(results):
    assert results["error"] == ["InputError: only the second process sees this", "exit 3"]


def test_nobody_waits_for_a_process_that_died(results):
    """The second one was gone in the middle of a step."""
    assert results["codes"] == [0, 9]
    assert results["lost"][0].startswith("ProcessLost: another process of this training ended")
    assert results["lost_after_seconds"] < 60


def test_torchrun_trains_from_the_command_line(folder):
    config = folder / "config.toml"
    config.write_text(
        '[data]\ntrain = ["train.h5"]\nvalidation = ["validation.h5"]\n[model]\nchannels = 8\nrbf = 8\n'
        "[train]\nsteps = 2\nbatch_frames = 3\nvalidate_every = 1\n"
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += ["-m", "cgprot", "train", str(config), "-o", str(folder / "torchrun")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("done;") == 1
    assert json.loads((folder / "torchrun" / "run.json").read_text())["processes"] == 2
    assert [row.step for row in read_metrics(folder / "torchrun")] == [1, 2]


_GROUP_THEN_THREADS = """
from pathlib import Path
from cgprot.train.world import joined
with joined("cpu") as world:
    world.sum([1.0])
    import torch._dynamo  # as optimisers do
print(*[(task / "comm").read_text().strip() for task in Path("/proc/self/task").iterdir()])
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are counted by /proc")
def test_no_thread_outlives_the_group():
    # One that is left may ask for the interpreter after its end: SIGABRT when all is done.
    shared = {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "1"}
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _GROUP_THEN_THREADS]
    done = subprocess.run(command, env=os.environ | shared | address, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "gloo" not in done.stdout


def test_devices_are_chosen_aloud_or_refused(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match=r"train\.device=cuda: 0 CUDA devices"), joined("cuda"):
        pass
    assert choose_device("auto", 0) == torch.device("cpu")
    assert capsys.readouterr().err == "cgprot train: device cpu\n"
    assert choose_device("cpu") == torch.device("cpu")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("n_local", "kind"), [(2, "cuda"), (3, "cpu")])
def test_all_processes_of_a_machine_choose_the_same_kind_of_device(monkeypatch, n_local, kind):
    for name, value in {"is_available": True, "device_count": 2, "set_device": None}.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, value=value: value)
    assert [choose_device("auto", rank, n_local).type for rank in range(n_local)] == [kind] * n_local


def test_float32_is_float32():
    torch.set_float32_matmul_precision("high")
    choose_device("cpu", 0)
    assert torch.get_float32_matmul_precision() == "highest"
