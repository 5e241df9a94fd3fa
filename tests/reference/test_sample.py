"""Sampling: refused before a folder is made, distinct random numbers, and progress with its speed."""

import json
import sys

import numpy as np
import openmm
import pytest
from pydantic import ValidationError

from cgprot.errors import CgprotError, InputError, UsageError
from cgprot.files.universe import read_positions
from cgprot.reference import sample as module
from cgprot.reference.sample import SampleConfig, sample
from cgprot.reference.structure import load_structure
from cgprot.reference.workers import progress_bar


@pytest.fixture(scope="module")
def dipeptide(examples):
    return load_structure(examples / "alanine_dipeptide.pdb")


def short(**options) -> SampleConfig:
    chosen = {"temperature": (300.0,), "time_ps": 0.1, "every_ps": 0.02, "equilibrate_ps": 0.0}
    return SampleConfig(**chosen | options)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"temperature": (300.0, 300.0)}, "temperature 300 is given twice"),
        ({"temperature": (300.0, 300.0000001)}, "temperature 300 is given twice"),
        ({"temperature": (float("nan"),)}, "finite|greater"),
        ({"temperature": (float("inf"),)}, "finite"),
        ({"time_ps": float("inf")}, "finite"),
        ({"time_ps": 0.101}, "time_ps 0.101 is 50.5 steps of 2 fs"),
        ({"every_ps": 0.003}, "every_ps 0.003 is 1.5 steps"),
        ({"equilibrate_ps": 0.003}, "equilibrate_ps 0.003 is 1.5 steps"),
        ({"every_ps": 0.2}, "exceeds time_ps"),
        ({"every_ps": 0.04}, "time_ps 0.1 is 2.5 times every_ps 0.04"),
    ],
)
def test_wrong_configurations_are_refused(options, words):
    with pytest.raises(ValidationError, match=words):
        short(**options)


def test_every_frame_is_written_and_recorded(dipeptide, tmp_path):
    sample(dipeptide, short(temperature=(300.0, 400.0), workers=2), tmp_path / "run", {}, [])
    for name in json.loads((tmp_path / "run" / "run.json").read_text())["trajectories"]:
        positions, time = read_positions(tmp_path / "run" / "system.pdb", tmp_path / "run" / name)
        assert positions.shape == (5, 22, 3)
        np.testing.assert_allclose(time, [0.02, 0.04, 0.06, 0.08, 0.1], rtol=1e-5)


def first_frame(dipeptide, folder, seed) -> np.ndarray:
    """Of the Reference platform, which adds up in one order, after a single step."""
    config = short(time_ps=0.002, every_ps=0.002, seed=seed, platform="Reference")
    sample(dipeptide, config, folder, {}, [])
    return read_positions(folder / "system.pdb", folder / "300K.trr")[0]


def test_seeds_decide_including_zero(dipeptide, tmp_path):
    one, again = (first_frame(dipeptide, tmp_path / name, 0) for name in ("a", "b"))
    np.testing.assert_array_equal(one, again)
    assert np.abs(first_frame(dipeptide, tmp_path / "c", 1) - one).max() > 1e-3


def test_integrator_and_velocities_have_seeds_of_their_own(dipeptide, tmp_path, monkeypatch):
    seen = []
    real = openmm.Context.setVelocitiesToTemperature
    monkeypatch.setattr(
        openmm.Context,
        "setVelocitiesToTemperature",
        lambda context, temperature, seed: (
            seen.append((seed, context.getIntegrator().getRandomNumberSeed())),
            real(context, temperature, seed),
        )[1],
    )
    for seed in (0, 1):
        sample(dipeptide, short(temperature=(300.0, 400.0), seed=seed), tmp_path / str(seed), {}, [])
    assert len({one for pair in seen for one in pair} - {0}) == 8


def test_nothing_is_left_of_a_refused_call(dipeptide, tmp_path, monkeypatch):
    missing = {"CUDA", "OpenCL"} - {
        openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())
    }
    for platform in missing:
        with pytest.raises(UsageError, match=f"--platform {platform}"):
            sample(dipeptide, short(platform=platform), tmp_path / "run", {}, [])
    collapsed = dipeptide._replace(positions=np.zeros_like(dipeptide.positions))
    with pytest.raises(InputError, match="cannot be minimised"):
        sample(collapsed, short(), tmp_path / "run", {}, [])
    assert not (tmp_path / "run").exists()


def test_openmm_failing_on_the_way_is_one_line(dipeptide, tmp_path, monkeypatch):
    def fail(*_):
        raise openmm.OpenMMException("Particle coordinate is NaN.\nSee the manual")

    monkeypatch.setattr(module, "_advance", fail)
    with pytest.raises(CgprotError, match="Particle coordinate is NaN") as caught:
        sample(dipeptide, short(), tmp_path / "run", {}, [])
    assert "\n" not in str(caught.value)


def test_the_bar_tells_its_speed_while_it_runs(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress_bar("sample", 10, "ps", lambda rate: f"{rate:.0f} ns/day") as bar:
        bar.update(5)
        bar.refresh()
        shown = capsys.readouterr().err
    assert "ns/day" in shown
    assert "<00:0" in shown  # time left
