"""CUDA sources without a GPU: compiled by the C compiler, and a CuPy whose device is the processor."""

import atexit
import ctypes
import functools
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple, NoReturn

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


def _on_device(argument):
    """What the kernel gets; an array that is none of the device would be read at an address of the host."""
    assert isinstance(argument, DeviceArray | np.generic), f"{type(argument)} is none of the device"
    return argument.host if isinstance(argument, DeviceArray) else argument


class DeviceArray:
    """One of a device: as CuPy's, it becomes one of NumPy by `get` alone."""

    def __init__(self, host: np.ndarray) -> None:
        self.host = host
        self.dtype, self.shape, self.ndim, self.flags = host.dtype, host.shape, host.ndim, host.flags
        self.data = SimpleNamespace(ptr=host.ctypes.data)

    def __len__(self) -> int:
        return len(self.host)

    def __getitem__(self, key) -> "DeviceArray":
        return DeviceArray(self.host[key])

    def __setitem__(self, key, value) -> None:
        self.host[key] = value.host if isinstance(value, DeviceArray) else value

    def __array__(self, *_arguments, **_settings) -> NoReturn:
        raise TypeError("Implicit conversion to a NumPy array is not allowed")

    def __dlpack__(self, **settings):
        return self.host.__dlpack__(**settings)

    def __dlpack_device__(self):
        return self.host.__dlpack_device__()

    def fill(self, value) -> None:
        self.host.fill(value)

    def get(self) -> np.ndarray:
        return self.host.copy()


class Device:
    """Arrays with a pattern on either side, and full of it at first: neither may be taken for a result."""

    def __init__(self) -> None:
        self._buffers: list[np.ndarray] = []

    def empty(self, shape, dtype=np.float64) -> DeviceArray:
        n_bytes = int(np.prod(shape, dtype=int)) * np.dtype(dtype).itemsize
        buffer = np.full(n_bytes + 2 * _GUARD, 0xFF, dtype=np.uint8)  # a NaN, or -1
        self._buffers.append(buffer)
        return DeviceArray(buffer[_GUARD : _GUARD + n_bytes].view(dtype).reshape(shape))

    def zeros(self, shape, dtype=np.float64) -> DeviceArray:
        array = self.empty(shape, dtype)
        array.fill(0)
        return array

    def asarray(self, array) -> DeviceArray:
        if isinstance(array, DeviceArray):
            return array
        array = np.asarray(array)
        copy = self.empty(array.shape, array.dtype)
        copy.host[...] = array
        return copy

    def check(self) -> None:
        """No kernel wrote beside an array."""
        for buffer in self._buffers:
            assert (buffer[:_GUARD] == 0xFF).all()
            assert (buffer[-_GUARD:] == 0xFF).all()


class Stream:
    """The one there is; what is launched while it captures runs at the replays of the graph alone."""

    def __init__(self) -> None:
        self._captured: list[Callable[[], object]] | None = None

    def __enter__(self) -> "Stream":
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def synchronize(self) -> None:
        pass

    def do(self, action: Callable[[], object]) -> None:
        if self._captured is None:
            action()
        else:
            self._captured.append(action)

    def begin_capture(self) -> None:
        self._captured = []

    def end_capture(self) -> SimpleNamespace:
        actions, self._captured = self._captured, None
        return SimpleNamespace(launch=lambda stream: [action() for action in actions])


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
    device, kernels, launches, stream = Device(), [], [], Stream()

    class RawModule:
        def __init__(self, code, options):
            kernels.append(options)
            self._library = compiled(source or code, options, strict=source is None)

        def compile(self):
            pass

        def get_function(self, name):
            def launch(blocks, threads, arguments):
                launches.append((name, blocks, threads))
                stream.do(lambda: run(blocks, threads, tuple(map(_on_device, arguments))))

            def run(blocks, threads, arguments):
                self._library.order_threads(order)
                self._library.call(name, blocks, threads, arguments)

            launch.max_threads_per_block = 1024
            return launch

    return SimpleNamespace(
        ndarray=DeviceArray,
        asarray=device.asarray,
        asnumpy=DeviceArray.get,
        empty=device.empty,
        zeros=device.zeros,
        empty_like=lambda array: device.empty(array.shape, array.dtype),
        from_dlpack=lambda array: DeviceArray(np.from_dlpack(array)),
        __version__="of C",
        cuda=SimpleNamespace(
            runtime=SimpleNamespace(
                getDeviceCount=lambda: 1,
                getDeviceProperties=lambda number: {"name": b"processor", "major": 0, "minor": number},
            ),
            nvrtc=SimpleNamespace(getVersion=lambda: (0, 0)),
            memory=SimpleNamespace(OutOfMemoryError=MemoryError),
            Device=lambda number=0: SimpleNamespace(id=number, use=lambda: None, synchronize=lambda: None),
            Stream=lambda non_blocking: stream,
        ),
        RawModule=RawModule,
        kernels=kernels,
        launches=launches,
        device=device,
    )
