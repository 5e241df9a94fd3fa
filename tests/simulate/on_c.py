"""step.cu without a GPU: compiled by the C compiler, and a CuPy whose device is the processor."""

import ctypes
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cgprot.simulate.cuda import SOURCE

_PRELUDE = Path(__file__).with_name("cuda_on_c.c")
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


def compile_step(folder: Path, options: tuple[str, ...], source: str) -> ctypes.CDLL:
    """The kernels of `source` as functions that take the grid first; a warning is an error."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    folder.mkdir(exist_ok=True)
    (folder / "step.cu").write_text(source)
    (folder / _PRELUDE.name).write_text(_PRELUDE.read_text())
    library = folder / "step.so"
    strict = ["-std=c99", "-O2", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    command = [COMPILER, *strict, *options, str(folder / _PRELUDE.name), "-o", str(library), "-lm"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return ctypes.CDLL(str(library))


def call(library: ctypes.CDLL, name: str, grid: tuple[int, int], arguments: tuple) -> None:
    """Launch a kernel; whole numbers go as 64 bits, arrays as their addresses."""
    grid = [ctypes.c_uint(size) for size in grid]
    rest = [
        ctypes.c_void_p(a.ctypes.data) if isinstance(a, np.ndarray) else ctypes.c_ulonglong(int(a))
        for a in arguments
    ]
    getattr(library, "launch_" + name)(*grid, *rest)


def cupy_on_c(folder: Path, source: str | None = None) -> SimpleNamespace:
    """What CudaStep needs of cupy; `kernels` lists what was compiled, `launches` what was launched."""
    kernels, launches = [], []

    class RawModule:
        def __init__(self, code, options):
            kernels.append(options)
            self._library = compile_step(folder / str(len(kernels)), options, source or code)

        def get_function(self, name):
            def launch(blocks, threads, arguments):
                launches.append((name, blocks, threads))
                call(self._library, name, (*blocks, *threads), arguments)

            return launch

    return SimpleNamespace(
        asarray=np.array,
        zeros=np.zeros,
        empty_like=np.empty_like,
        from_dlpack=np.from_dlpack,
        RawModule=RawModule,
        kernels=kernels,
        launches=launches,
        source=SOURCE,
    )
