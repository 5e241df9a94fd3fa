"""CUDA sources without a GPU: compiled by the C compiler, and a CuPy whose device is the processor."""

import atexit
import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

_PRELUDE = Path(__file__).with_name("cuda_on_c.h")
COMPILER = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
_TYPES = {
    "double": np.float64,
    "float": np.float32,
    "int": np.int32,
    "unsigned int": np.uint32,
    "long long": np.int64,
    "unsigned long long": np.uint64,
}
_GUARD = 64  # bytes of a pattern on either side of an array


class Parameter(NamedTuple):
    declaration: str
    name: str
    dtype: type
    is_array: bool
    is_const: bool


def parameters_of(source: str, options: tuple[str, ...]) -> dict[str, list[Parameter]]:
    """The kernels of a source and what they take."""
    defined = dict(option.removeprefix("-D").split("=", 1) for option in options if option.startswith("-D"))
    words = dict(re.findall(r"^typedef ([\w ]+) (\w+);", source, re.MULTILINE))
    kernels = {}
    for name, text in re.findall(r"^KERNEL (\w+)\(([^)]*)\)", source, re.MULTILINE):
        kernels[name] = [
            _parameter(" ".join(part.split()), {**{v: k for k, v in words.items()}, **defined})
            for part in text.split(",")
        ]
    return kernels


def _parameter(declaration: str, meaning: dict[str, str]) -> Parameter:
    kind, name = re.fullmatch(r"(.*?)(\w+)", declaration).groups()
    plain = re.sub(r"\bconst\b|\*|\b__restrict__\b", "", kind).strip()
    while plain in meaning:
        plain = meaning[plain]
    return Parameter(declaration, name, _TYPES[plain], "*" in kind, "const" in kind)


def _launchers(kernels: dict[str, list[Parameter]]) -> str:
    """A C function for each kernel that takes the grid first."""
    lines = []
    for name, parameters in kernels.items():
        declared = ", ".join(p.declaration for p in parameters)
        fields = " ".join(p.declaration.replace("__restrict__", "") + ";" for p in parameters)
        taken = ", ".join(f"a->{p.name}" for p in parameters)
        given = ", ".join(p.name for p in parameters)
        lines += [
            f"struct of_{name} {{ {fields} }};",
            f"static void enter_{name}(void *with) {{ struct of_{name} *a = with; {name}({taken}); }}",
            f"void launch_{name}(const unsigned int *grid, const unsigned int *block, {declared})",
            f"{{ struct of_{name} a = {{{given}}}; run_grid(enter_{name}, &a, grid, block); }}",
        ]
    return "\n".join(lines)


class Library:
    """Compiled kernels; arguments are checked against their declarations, as a GPU would not."""

    def __init__(self, folder: Path, source: str, options: tuple[str, ...], strict: bool) -> None:
        self._kernels = parameters_of(source, options)
        (folder / "kernels.c").write_text(f'#include "{_PRELUDE}"\n{source}\n{_launchers(self._kernels)}\n')
        warnings = ["-Wall", "-Wextra", "-Werror", "-Wno-clobbered"] if strict else ["-w"]
        command = [
            COMPILER,
            "-std=gnu11",
            "-O1",
            *warnings,
            "-shared",
            "-fPIC",
            "-U_FORTIFY_SOURCE",
            *options,
        ]
        result = subprocess.run(
            [*command, str(folder / "kernels.c"), "-o", str(folder / "kernels.so"), "-lm"],
            capture_output=True,
            text=True,
        )
        assert result.returncode == 0, result.stderr
        self._library = ctypes.CDLL(str(folder / "kernels.so"))

    def order_threads(self, order: int) -> None:
        """0: ascending, 1: descending, else shuffled by this seed."""
        ctypes.c_uint.in_dll(self._library, "fibre_order").value = order

    def call(self, name: str, blocks: tuple[int, ...], threads: tuple[int, ...], arguments: tuple) -> None:
        """Launch a kernel on numpy arrays and numbers."""
        grid, block = (np.array((*size, 1, 1)[:3], dtype=np.uint32) for size in (blocks, threads))
        assert grid.min() > 0
        assert block.min() > 0
        assert block.prod() <= 1024, f"{name}: {block.prod()} threads are more than a block may have"
        parameters = self._kernels[name]
        assert len(arguments) == len(parameters), f"{name} takes {len(parameters)} arguments"
        given = [_converted(name, *pair) for pair in zip(parameters, arguments, strict=True)]
        getattr(self._library, "launch_" + name)(
            *(ctypes.c_void_p(a.ctypes.data) for a in (grid, block)), *given
        )


@functools.cache
def compiled(source: str, options: tuple[str, ...], strict: bool = True) -> Library:
    """The kernels of a source, compiled once for all tests; a warning is an error where it is `strict`."""
    if COMPILER is None:
        pytest.skip("no C compiler")
    folder = tempfile.mkdtemp(prefix="cuda_on_c_")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Library(Path(folder), source, options, strict)


def _converted(kernel: str, parameter: Parameter, argument):
    what = f"{kernel}: {parameter.name}"
    if not parameter.is_array:
        assert isinstance(argument, np.generic), f"{what} has no fixed size"
        assert argument.dtype == parameter.dtype, f"{what} is {argument.dtype}"
        return (
            ctypes.c_double(argument) if parameter.dtype is np.float64 else ctypes.c_longlong(int(argument))
        )
    if isinstance(argument, np.uint64):  # None would be no pointer at all to CuPy
        assert argument == 0, f"{what} is no array"
        return ctypes.c_void_p(0)
    assert argument.dtype == parameter.dtype, f"{what} is {argument.dtype}"
    assert argument.flags.c_contiguous, f"{what} is not contiguous"
    return ctypes.c_void_p(argument.ctypes.data)


class DeviceArray(np.ndarray):
    """One of a device."""


class Device:
    """Arrays with a pattern on either side, and full of it at first: neither may be taken for a result."""

    def __init__(self) -> None:
        self._buffers: list[np.ndarray] = []

    def empty(self, shape, dtype=np.float64) -> np.ndarray:
        n_bytes = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
        buffer = np.full(n_bytes + 2 * _GUARD, 0xFF, dtype=np.uint8)  # a NaN, or -1
        self._buffers.append(buffer)
        return buffer[_GUARD : _GUARD + n_bytes].view(dtype).reshape(shape).view(DeviceArray)

    def zeros(self, shape, dtype=np.float64) -> np.ndarray:
        array = self.empty(shape, dtype)
        array[...] = 0
        return array

    def asarray(self, array) -> np.ndarray:
        array = np.asarray(array)
        copy = self.empty(array.shape, array.dtype)
        copy[...] = array
        return copy

    def check(self) -> None:
        """No kernel wrote beside an array."""
        for buffer in self._buffers:
            assert (buffer[:_GUARD] == 0xFF).all()
            assert (buffer[-_GUARD:] == 0xFF).all()


def cupy_on_c(source: str | None = None, order: int = 0) -> SimpleNamespace:
    """What cgprot needs of cupy.

    Parameters
    ----------
    source : compiled in place of what is asked for, warnings or not
    order : of the threads between two barriers, as `Library.order_threads`

    Returns
    -------
    with `kernels`, the options of what was compiled, `launches`, what was launched, and `device`
    """
    device, kernels, launches = Device(), [], []

    class RawModule:
        def __init__(self, code, options):
            kernels.append(options)
            self._library = compiled(source or code, options, strict=source is None)

        def get_function(self, name):
            def launch(blocks, threads, arguments):
                launches.append((name, blocks, threads))
                self._library.order_threads(order)
                self._library.call(name, blocks, threads, arguments)

            return launch

    return SimpleNamespace(
        ndarray=DeviceArray,
        asarray=device.asarray,
        asnumpy=np.array,
        empty=device.empty,
        zeros=device.zeros,
        empty_like=lambda array: device.empty(array.shape, array.dtype),
        from_dlpack=np.from_dlpack,
        cuda=SimpleNamespace(is_available=lambda: True),
        RawModule=RawModule,
        kernels=kernels,
        launches=launches,
        device=device,
    )
