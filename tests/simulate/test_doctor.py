"""doctor tells what is there, what is missing and how to mend it."""

import sys
from unittest import mock

import numpy as np
import pytest
import torch
from cuda_on_c import cupy_on_c
from packaging.requirements import Requirement

from cgprot import cli
from cgprot.simulate import doctor
from cgprot.simulate.doctor import Finding, check_requirement, crossing_finding, speed


def test_a_package_that_is_there_has_its_version_and_nothing_to_mend():
    assert check_requirement(Requirement("numpy>=1")) == Finding("numpy", np.__version__)


@pytest.mark.parametrize("line", ["numpy>=999", "no-such-package>=1"])
def test_a_package_that_is_missing_or_old_is_mended_by_pip(line):
    finding = check_requirement(Requirement(line))
    assert finding.needed
    assert finding.mend == f"pip install '{line}'"


def test_memory_that_is_shared_and_memory_that_is_copied_are_told_apart():
    array = np.zeros((1, 4, 3))
    assert crossing_finding("numpy and torch", array, torch.from_dlpack).state == "yes"
    copied = crossing_finding("numpy and torch", array, lambda x: torch.tensor(x))
    assert copied.state.startswith("no (")
    assert copied.needed


def test_speed_counts_the_steps_of_the_time_it_took():
    finding = speed(seconds=0.05)
    ms = float(finding.state.split(" ms")[0])
    ns_per_day = float(finding.state.split(", ")[1].split(" ns/day")[0])
    assert ns_per_day == pytest.approx(2e-6 * 86400e3 / ms, rel=0.1)


def test_the_verb_prints_a_line_each_and_fails_if_something_is_missing(monkeypatch, capsys):
    findings = [Finding("this", "1.0"), Finding("that", "missing", "pip install that", needed=True)]
    monkeypatch.setattr(doctor, "examine", lambda: iter(findings))
    assert cli.main(["doctor"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split() == ["that", "missing", "->", "pip", "install", "that"]
    findings.pop()
    assert cli.main(["doctor"]) == 0


def graphics() -> dict[str, Finding]:
    return {finding.what: finding for finding in doctor.graphics_processor()}


def test_the_gpu_of_simulations_does_not_depend_on_torch(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    stand_in = cupy_on_c()
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    found = graphics()
    assert found["GPU, simulations"].state.startswith("name processor, compute_capability 0.0")
    assert not found["GPU, simulations"].mend
    assert found["GPU, training"].mend


def test_a_gpu_without_a_compiler_is_not_well(monkeypatch):
    stand_in = cupy_on_c()
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    monkeypatch.setattr(stand_in.RawModule, "compile", mock.Mock(side_effect=RuntimeError("no libnvrtc")))
    finding = graphics()["GPU, simulations"]
    assert finding.state == "none"
    assert "NVRTC" in finding.mend
    assert not finding.needed
