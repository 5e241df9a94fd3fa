"""What holds of the kernels for a GPU beyond what holds of every engine, and mistakes in their source."""

import shutil
import subprocess
import sys
from unittest import mock
from unittest.mock import patch

import numpy as np
import pytest
from cuda_on_c import cupy_on_c, parameters_of
from engines import ON_GPU, TYPES, cluster, cuda_on_c, cuda_on_gpu, potential_of

from cgprot.engine import cuda, launches
from cgprot.engine.cpu import CpuEngine
from cgprot.engine.cuda import CudaEngine
from cgprot.engine.device import use_own_gpu
from cgprot.engine.tables import tabulate
from cgprot.errors import InputError, UsageError

BOX = np.array([[6.1, 0, 0], [1.2, 4.4, 0], [-0.8, 1.0, 9.0]])
CHARGE = np.array([1.0, 0, -1, 0, 0.5, 0, 2, -1, 0, -0.5])
either = pytest.mark.parametrize("engine", [cuda_on_c, ON_GPU])


def compressed_of(**config):
    potential = potential_of(scale=20.0, **config)
    for layer in potential.network.layers:  # so that every way through a product counts
        for part in layer.linear_out.parts:
            part.weight.data *= 100
    return tabulate(potential, 64)


DEEP = compressed_of(layers=2, charge="bead")
CHIRAL = compressed_of(layers=1, group="SO(3)", charge="bead", energy_shift=3.0)


def crystal(n_replicas: int) -> np.ndarray:
    """Beads in `BOX` and whole boxes away from it."""
    rng = np.random.default_rng(3)
    lattice = np.array([(i, j, k) for i in range(2) for j in range(2) for k in range(3)])[:10] / [2, 2, 3]
    wrapped = (lattice + rng.uniform(-0.06, 0.06, (n_replicas, 10, 3))) @ BOX
    return wrapped + rng.integers(-2, 3, (n_replicas, 10, 3)) @ BOX


def answers(engine, **settings) -> list[np.ndarray]:
    """Energies and forces that every part of the source has a hand in; not numbers where it refuses."""
    deep = engine(DEEP, TYPES, 2, np.float64, box=BOX, charge=CHARGE, **settings)
    chiral = engine(CHIRAL, TYPES, 2, np.float64, charge=CHARGE, **settings)
    return [
        np.concatenate([part.ravel() for part in tried(*call)])
        for call in ((deep, crystal(2)), (chiral, cluster(1, 2)))
    ]


def tried(made, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    try:
        return made(positions)
    except InputError:
        return np.full(len(positions), np.nan), np.full(positions.shape, np.nan)


@pytest.fixture(scope="module")
def right() -> list[np.ndarray]:
    return answers(CpuEngine)


@either
def test_equals_the_engine_of_the_processor(engine, right):
    for result, expected in zip(answers(engine), right, strict=True):
        np.testing.assert_allclose(result, expected, rtol=0, atol=1e-11 * np.abs(expected).max())


@pytest.mark.parametrize("order", [1, 7])
def test_no_order_of_the_threads_leaves_a_trace(order):
    """Where a barrier lacks, or beads are summed as they come, one order gives other bits than another."""
    ascending = answers(cuda_on_c)
    other = answers(cuda_on_c, order=order)
    for one, another in zip(ascending, other, strict=True):
        np.testing.assert_array_equal(one, another)


# What is wrong, the words of the source that are right, what stands in their place.
MISTAKES = [
    ("images of a bead that is whole boxes away", "(away[axis] - image[3 * (whole)j + axis])", "away[axis]"),
    ("no image of the bead itself", "if (j == b && !is_away)", "if (j == b)"),
    ("cells of the first replica for all", "whole first = b / n_beads", "whole first = 0 * b / n_beads"),
    ("neighbours as they are met", "+= comes_before(other, e, found_sender, found_vector)", "+= other < e"),
    ("direction from the receiver", "(real)(v[k] / r)", "(real)(-v[k] / r)"),
    ("no barrier before a tile is read", "__syncthreads();\n        for (int k = 0;", "for (int k = 0;"),
    ("no barrier before a tile is filled", "total[r][q]);\n        __syncthreads();", "total[r][q]);"),
    ("A and S by the matrix of I", "right += part * depth * columns;", ""),
    ("slope of the activation", "s * (y * (1 - s) + 1)", "s * (y * (1 - s))"),
    ("mean of the norm not differentiated", "upstream[k] - total - standard", "upstream[k] - standard"),
    ("norm over the padding too", "(real)(3 * C), &root)", "(real)(3 * P), &root)"),
    (
        "types of the receiver twice",
        "species[(2 * type[sender[e] % n_beads] + 1)",
        "species[(2 * own_type + 1)",
    ),
    ("nothing to oneself", "nine m = gated(y, own_message, c, P);", "nine m = {{0}};"),
    ("square without its factor", "scaled(coefficients(times(m, m)), factor)", "coefficients(times(m, m))"),
    ("factors in the other order", "yg = times(y, g);", "yg = times(g, y);"),
    (
        "no way back to oneself",
        "load(to_M, b, c, P), own_message",
        "scaled(load(to_M, b, c, P), 0), own_message",
    ),
    ("messages of one layer only", "layer < n_layers; ++layer", "layer < 1 && layer < n_layers; ++layer"),
    ("only one end of an edge", "(double)gradient[3 * back + k] - ", "-"),
    ("energies of the first replica for all", "of_bead[blockIdx.x * n_beads + i]", "of_bead[i]"),
    ("no shift", "total = shift;", "total = 0;"),
]


@pytest.mark.parametrize(("mistake", "words", "wrong"), MISTAKES)
def test_planted_mistakes_are_caught(mistake, words, wrong, right):
    source = cuda.source()
    assert source.count(words) == 1
    ascending = answers(cuda_on_c, source=source.replace(words, wrong))
    if any(
        not np.abs(result - expected).max() < 1e-6 * np.abs(expected).max()
        for result, expected in zip(ascending, right, strict=True)
    ):
        return
    descending = answers(cuda_on_c, source=source.replace(words, wrong), order=1)
    assert any((one != other).any() for one, other in zip(ascending, descending, strict=True))


@either
def test_a_replica_has_the_same_bits_alone_and_in_company(engine, monkeypatch):
    monkeypatch.setattr(launches, "WORTH_TALL_TILES", 20)  # so that company makes the tiles tall
    compressed = tabulate(potential_of(layers=1), 64)
    positions = cluster(n_replicas=8)
    company = engine(compressed, TYPES, 8)
    assert any(launch.kernel == "multiply_64" for launch in company.launches)
    energy, forces = company(positions)
    for replica in (0, 7):
        alone = engine(compressed, TYPES, 1)
        assert not any(launch.kernel == "multiply_64" for launch in alone.launches)
        alone_energy, alone_forces = alone(positions[replica : replica + 1])
        assert alone_energy[0] == energy[replica]
        assert (alone_forces[0] == forces[replica]).all()


@either
def test_room_is_made_in_the_same_step(engine):
    """40 beads within reach of each other: more neighbours than there is room for."""
    compressed, types = tabulate(potential_of(layers=1), 64), np.resize(TYPES, 40)
    positions = np.random.default_rng(0).uniform(0, 2.8, (1, 40, 3))
    small, large = engine(compressed, types, 1, room=16), engine(compressed, types, 1, room=48)
    small.launch(positions)
    assert not small.settle()
    assert small.room == 48
    small.launch(positions)
    assert small.settle()
    (energy, forces), (expected, large_forces) = small(positions), large(positions)
    assert energy == expected
    assert (forces == large_forces).all()


def test_a_look_that_was_put_off_still_finds_what_went_wrong():
    made, wrong = cuda_on_c(DEEP, TYPES, 1, charge=CHARGE), cluster()
    wrong[0, 7] = wrong[0, 2]
    made.launch(wrong)
    made.launch(cluster())
    with pytest.raises(InputError, match="beads 2 and 7 coincide"):
        made.settle()


def test_a_step_allocates_nothing_waits_for_nothing_and_writes_nowhere_else():
    stand_in = cupy_on_c()
    with patch.dict(sys.modules, cupy=stand_in):
        made = CudaEngine(DEEP, TYPES, 2, charge=CHARGE, box=BOX)
    positions = stand_in.asarray(crystal(2))
    for name in ("asnumpy", "asarray", "empty", "zeros"):
        setattr(stand_in, name, None)
    first, second = made.launch(positions), made.launch(positions)
    assert all(one is other for one, other in zip(first, second, strict=True))
    stand_in.device.check()


def test_arrays_of_the_device_stay_there():
    stand_in = cupy_on_c()
    with patch.dict(sys.modules, cupy=stand_in):
        made = CudaEngine(DEEP, TYPES, 1, charge=CHARGE)
    energy, forces = made(stand_in.asarray(cluster()))
    assert forces is made.array("forces")
    assert energy is made.array("energy")
    assert type(made(cluster())[1]) is np.ndarray


def test_every_kernel_is_used():
    used = {
        launch.kernel
        for layers, n_beads in ((0, 5), (2, 4000))
        for launch in cuda_on_c(
            tabulate(potential_of(layers=layers), 2), np.resize(TYPES, n_beads), 1
        ).launches
    }
    assert used == set(parameters_of(cuda.source(), cuda.compile_options(np.float32)))


def test_too_wide_a_network_is_refused():
    compressed = tabulate(potential_of(channels=1040, rbf=2, layers=0), 2)
    with pytest.raises(InputError, match="1040 channels: the kernels take 1024 at most, use the cpu"):
        cuda_on_c(compressed, TYPES, 1)


def test_without_cupy_or_a_gpu():
    with (
        patch.dict(sys.modules, cupy=None),
        pytest.raises(UsageError, match=r"needs CuPy: install cgprot\[cuda13\]"),
    ):
        CudaEngine(DEEP, TYPES, 1, charge=CHARGE)
    blind = cupy_on_c()
    blind.cuda.runtime.getDeviceCount = lambda: 0
    with patch.dict(sys.modules, cupy=blind), pytest.raises(UsageError, match="CuPy sees no GPU"):
        CudaEngine(DEEP, TYPES, 1, charge=CHARGE)


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="needs the compiler of CUDA")
def test_cuda_compiler_takes_it_without_a_spill(tmp_path):
    (tmp_path / "engine.cu").write_text(cuda.source())
    strict = ["-arch=sm_90", "-cubin", "-Werror", "all-warnings", *cuda.compile_options(np.float32)]
    command = ["nvcc", *strict, "-Xptxas", "-v", "engine.cu"]
    told = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stderr
    n_kernels = len(parameters_of(cuda.source(), cuda.compile_options(np.float32)))
    assert told.count("Compiling entry function") == n_kernels
    assert told.count(" 0 bytes spill stores, 0 bytes spill loads") == n_kernels


@pytest.mark.gpu
def test_gpu_graph_replays_a_step():
    cupy = pytest.importorskip("cupy")
    made = cuda_on_gpu(DEEP, TYPES, 2, charge=CHARGE)
    positions, stream = cupy.asarray(cluster(1, 2)), cupy.cuda.Stream(non_blocking=True)
    expected = [cupy.asnumpy(array) for array in made(cluster(2, 2))]
    with stream:
        made.launch(positions)
        stream.begin_capture()
        result = made.launch(positions)
        graph = stream.end_capture()
        positions[...] = cupy.asarray(cluster(2, 2))
        graph.launch(stream)
        stream.synchronize()
    assert made.settle()
    for array, right_one in zip(result, expected, strict=True):
        np.testing.assert_array_equal(cupy.asnumpy(array), right_one)


def crowded(stand_in, room: int):
    with patch.dict(sys.modules, cupy=stand_in):
        return CudaEngine(DEEP, TYPES, 1, np.float64, charge=CHARGE, room=room)


def test_without_memory_for_more_room_the_old_room_is_kept():
    stand_in, spread_out = cupy_on_c(), cluster() * 3.0
    made, plenty = crowded(stand_in, 16), stand_in.empty
    expected = made(spread_out)
    made._make_room(0)

    def scarce(shape, dtype=np.float64):
        if np.prod(shape) >= 10 * 16:
            raise MemoryError
        return plenty(shape, dtype)

    stand_in.empty = scarce
    made.launch(cluster())
    with pytest.raises(InputError, match="a bead with 9 neighbours: too little free memory on the GPU"):
        made.settle()
    assert made.room == 0
    stand_in.empty = plenty
    np.testing.assert_array_equal(made(spread_out)[1], expected[1])


def test_more_replicas_than_the_memory_holds_are_refused():
    stand_in = cupy_on_c()
    stand_in.empty = mock.Mock(side_effect=MemoryError)
    with pytest.raises(InputError, match="1 replicas of 10 beads: too little free memory on the GPU"):
        crowded(stand_in, 16)


def test_a_kernel_with_fewer_threads_than_channels_is_refused():
    stand_in = cupy_on_c()
    whole = stand_in.RawModule.get_function

    def short_of_registers(module, name):
        function = whole(module, name)
        function.max_threads_per_block = 64
        return function

    with (
        patch.object(stand_in.RawModule, "get_function", short_of_registers),
        pytest.raises(InputError, match="64 at most on this GPU, use the cpu"),
    ):
        crowded(stand_in, 16)


def test_a_compiler_that_is_missing_is_named():
    stand_in = cupy_on_c()
    missing = RuntimeError("Failure finding libnvrtc.so.13\nand more")
    with (
        patch.object(stand_in.RawModule, "compile", side_effect=missing),
        pytest.raises(UsageError, match=r"NVRTC.* is missing \(Failure finding libnvrtc.so.13\): install"),
    ):
        crowded(stand_in, 16)


def test_every_process_takes_a_gpu_of_its_own():
    stand_in, used = cupy_on_c(), []
    stand_in.cuda.runtime.getDeviceCount = lambda: 3
    stand_in.cuda.Device = lambda number: mock.Mock(use=lambda: used.append(number))
    with patch.dict(sys.modules, cupy=stand_in):
        use_own_gpu(2)
        with pytest.raises(UsageError, match="3 GPUs for process 3, counted from 0"):
            use_own_gpu(3)
    assert used == [2]
