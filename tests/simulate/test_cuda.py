"""The CUDA source against the law: by a C compiler everywhere, on a GPU where there is one."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from cuda_on_c import compiled, cupy_on_c

from cgprot.errors import InputError, UsageError
from cgprot.simulate.cuda import SOURCE, CudaStep, compile_options
from cgprot.simulate.integrator import Integrator
from cgprot.simulate.langevin import middle_step
from cgprot.simulate.noise import normal_noise, philox4x32
from cgprot.simulate.schemes import coefficients

SCHEMES = ("langevin", "verlet", "brownian")
N_REPLICAS, N_BEADS, STEP = 5, 61, 2**40 + 17
generator = np.random.default_rng(0)
MASS = generator.uniform(12.0, 33.0, N_BEADS)
POSITIONS, VELOCITIES, FORCES = generator.normal(size=(3, N_REPLICAS, N_BEADS, 3)) * np.array(
    [5.0, 4.0, 25.0]
).reshape(3, 1, 1, 1)
FRICTION, TEMPERATURE = np.linspace(60.0, 90.0, N_REPLICAS), np.linspace(0.0, 400.0, N_REPLICAS)
SEED = generator.integers(0, 2**64, N_REPLICAS, dtype=np.uint64)
REPLICAS = np.array([7, 0, 3, 2**32 - 1, 4], dtype=np.uint64)


def _law(scheme="langevin", step=STEP, positions=POSITIONS, velocities=VELOCITIES, forces=FORCES):
    noise = normal_noise(SEED, REPLICAS, step, N_BEADS)
    numbers = coefficients(scheme, 0.002, FRICTION, TEMPERATURE)
    return np.stack(middle_step(positions, velocities, forces, noise, MASS, numbers))


def _words_of_the_law(step):
    counter = np.empty((4, N_REPLICAS, N_BEADS), dtype=np.uint64)
    counter[0], counter[3] = np.arange(N_BEADS), REPLICAS[:, None]
    counter[1], counter[2] = step & 0xFFFFFFFF, step >> 32
    key = np.stack([SEED & np.uint64(0xFFFFFFFF), SEED >> np.uint64(32)])
    return np.moveaxis(philox4x32(counter, key), 0, -1)


@pytest.fixture
def cupy(monkeypatch):
    """Stands in for CuPy, its device the processor, its compiler that of C."""
    stand_in = cupy_on_c()
    monkeypatch.setitem(sys.modules, "cupy", stand_in)
    return stand_in


def _integrator(scheme="langevin", **changed):
    settings = {"friction_per_ps": FRICTION, "temperature": TEMPERATURE, "seed": SEED, "replicas": REPLICAS}
    return Integrator(scheme, MASS, 0.002, **(settings | {"backend": "cuda"} | changed))


@pytest.mark.parametrize("grid", [(1, 1), (3, 128), (1, 32), (2, 7)])
def test_raw_words_are_those_of_the_law(grid):
    library = compiled(SOURCE.read_text(), compile_options("double"))
    words = np.zeros((N_REPLICAS, N_BEADS, 4), dtype=np.uint32)
    step = np.array([STEP], dtype=np.uint64)
    sizes = np.uint64(N_REPLICAS), np.uint64(N_BEADS)
    library.call("raw_words", grid[:1], grid[1:], (*sizes, SEED, REPLICAS, step, words))
    np.testing.assert_array_equal(words, _words_of_the_law(STEP))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_step_is_the_law(cupy, scheme):
    before = POSITIONS.copy(), VELOCITIES.copy(), FORCES.copy()
    stepped = _integrator(scheme).step(POSITIONS, VELOCITIES, FORCES, STEP)
    np.testing.assert_allclose(np.stack(stepped), _law(scheme), rtol=0, atol=1e-13)
    np.testing.assert_array_equal((POSITIONS, VELOCITIES, FORCES), before)
    assert cupy.launches == [("advance", (3,), (128,))]


def test_forces_in_single_precision_are_read_as_they_are(cupy):
    single = FORCES.astype(np.float32)
    stepped = _integrator().step(POSITIONS, VELOCITIES, single, STEP)
    np.testing.assert_allclose(np.stack(stepped), _law(forces=single.astype(float)), rtol=0, atol=1e-13)
    assert [options[-1] for options in cupy.kernels] == ["-DFORCE=float"]


def test_steps_in_place_count_themselves(cupy):
    integrator = _integrator()
    positions, velocities = torch.from_numpy(POSITIONS.copy()), torch.from_numpy(VELOCITIES.copy())
    integrator.backend.set_step(STEP)
    expected = POSITIONS, VELOCITIES
    for step in range(STEP, STEP + 3):
        integrator.backend.advance(positions, velocities, torch.from_numpy(FORCES))
        expected = _law("langevin", step, *expected)
    np.testing.assert_allclose(positions.numpy(), expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(velocities.numpy(), expected[1], rtol=0, atol=1e-12)


def test_temperature_reaches_the_launches_to_come(cupy):
    integrator = _integrator(temperature=100.0)
    integrator.temperature = TEMPERATURE
    stepped = integrator.step(POSITIONS, VELOCITIES, FORCES, STEP)
    np.testing.assert_allclose(np.stack(stepped), _law(), rtol=0, atol=1e-13)


MISTAKES = {
    "one round less": ("turn < 10", "turn < 9"),
    "clock stands still": ("*step = now + 1", "*step = now"),
    "clock advanced before all have read": ("const wide now = *step", "const wide now = (*step)++"),
    "half drift at the end only": (
        "+ half * kicked + half * refreshed",
        "+ half * refreshed + half * refreshed",
    ),
    "noise of the neighbour": ("(word)bead, (word)step", "(word)bead + 1, (word)step"),
    "two equal normals": ("noise[1] = near * sin", "noise[1] = near * cos"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_planted_mistakes_are_caught(monkeypatch, mistake):
    source, (right, wrong) = SOURCE.read_text(), MISTAKES[mistake]
    assert source.count(right) == 1
    monkeypatch.setitem(sys.modules, "cupy", cupy_on_c(source.replace(right, wrong)))
    step, scheme = CudaStep(MASS, SEED, REPLICAS), coefficients("langevin", 0.002, FRICTION, TEMPERATURE)
    step.load(scheme)
    step.set_step(STEP)
    positions, velocities = POSITIONS.copy(), VELOCITIES.copy()
    for _ in range(2):
        step.advance(positions, velocities, FORCES)
    expected = _law("langevin", STEP + 1, *_law())
    assert np.abs(np.stack([positions, velocities]) - expected).max() > 1e-6


def test_arrays_that_a_kernel_would_misread_are_refused(cupy):
    integrator = _integrator()
    with pytest.raises(InputError, match="positions and velocities are float32"):
        integrator.step(POSITIONS.astype(np.float32), VELOCITIES, FORCES, STEP)
    with pytest.raises(InputError, match="forces are float16: give float32 or float64"):
        integrator.step(POSITIONS, VELOCITIES, FORCES.astype(np.float16), STEP)
    transposed = torch.from_numpy(POSITIONS).permute(2, 0, 1).contiguous().permute(1, 2, 0)
    with pytest.raises(InputError, match="not contiguous"):
        integrator.step(transposed, *map(torch.from_numpy, (VELOCITIES, FORCES)), STEP)


def test_without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(UsageError, match=r"needs CuPy: install cgprot\[cuda13\]"):
        _integrator()


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs the compiler of CUDA")
@pytest.mark.parametrize("force", ["float", "double"])
def test_cuda_compiler_takes_it(tmp_path, force):
    options = ["-arch=sm_80", "-ptx", "-Werror", "all-warnings", *compile_options(force)]
    subprocess.run(["nvcc", *options, str(SOURCE), "-o", str(tmp_path / "step.ptx")], check=True)
    assert (tmp_path / "step.ptx").read_text().count(".visible .entry") == 2


gpu = pytest.mark.gpu


@pytest.fixture
def device():
    if not torch.cuda.is_available():
        pytest.skip("torch sees no CUDA device")
    return pytest.importorskip("cupy")


@gpu
def test_gpu_gives_the_raw_words_of_the_law(device):
    module = device.RawModule(code=SOURCE.read_text(), options=compile_options("double"))
    words = device.zeros((N_REPLICAS, N_BEADS, 4), dtype=np.uint32)
    seed, replicas, step = (device.asarray(a) for a in (SEED, REPLICAS, np.array([STEP], dtype=np.uint64)))
    sizes = np.uint64(N_REPLICAS), np.uint64(N_BEADS)
    module.get_function("raw_words")((3,), (128,), (*sizes, seed, replicas, step, words))
    np.testing.assert_array_equal(device.asnumpy(words), _words_of_the_law(STEP))


@gpu
@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("library", ["cupy", "torch"])
def test_gpu_step_is_the_law(device, scheme, library):
    take = device.asarray if library == "cupy" else lambda array: torch.from_numpy(array).cuda()
    arrays = [take(array) for array in (POSITIONS, VELOCITIES, FORCES)]
    stepped = [device.asnumpy(array) for array in _integrator(scheme).step(*arrays, STEP)]
    np.testing.assert_allclose(np.stack(stepped), _law(scheme), rtol=0, atol=1e-12)
