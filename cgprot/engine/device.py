"""The GPU that CuPy sees, and what it needs before it can compute."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cgprot.errors import InputError, UsageError


def import_cupy() -> Any:
    """CuPy, if there is a GPU that it can use.

    Raises
    ------
    UsageError
        if there is not
    """
    try:
        import cupy
    except ImportError:
        raise UsageError("device cuda needs CuPy: install cgprot[cuda13] or cgprot[cuda12], or use the cpu")
    try:
        n_gpus = cupy.cuda.runtime.getDeviceCount()
    except RuntimeError as error:  # the driver's own words: none there, or too old
        raise UsageError(f"device cuda: CuPy sees no GPU ({error}): look at cgprot doctor, or use the cpu")
    if not n_gpus:
        raise UsageError("device cuda: CuPy sees no GPU: look at cgprot doctor, or use the cpu")
    return cupy


def use_own_gpu(local_rank: int) -> None:
    """Take the GPU of this process among those of its machine, one each.

    Raises
    ------
    UsageError
        if there are fewer
    """
    cupy = import_cupy()
    n_gpus = cupy.cuda.runtime.getDeviceCount()
    if local_rank >= n_gpus:
        raise UsageError(
            f"device cuda: {n_gpus} GPUs for process {local_rank}, counted from 0: start no more processes "
            f"than there are GPUs, or use the cpu"
        )
    cupy.cuda.Device(local_rank).use()


def gpu_record() -> dict[str, str]:
    """What the last bits of numbers from the GPU in use depend on, for run.json."""
    cupy = import_cupy()
    properties = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)
    return {
        "name": properties["name"].decode(),
        "compute_capability": f"{properties['major']}.{properties['minor']}",
        "cupy": cupy.__version__,
        "nvrtc": ".".join(map(str, cupy.cuda.nvrtc.getVersion())),
    }


def compiled(cupy: Any, source: str, options: tuple[str, ...]) -> Any:
    """A module of kernels, compiled for the GPU in use.

    Raises
    ------
    UsageError
        if there is no compiler
    """
    module = cupy.RawModule(code=source, options=options)
    try:
        module.compile()
    except RuntimeError as error:  # a mistake in the source is none
        told = str(error).splitlines()[0]
        raise UsageError(
            f"device cuda: NVRTC, CUDA's compiler, is missing ({told}): install cgprot[cuda13] or "
            f"cgprot[cuda12] anew, or use the cpu"
        )
    return module


@contextmanager
def memory_for(cupy: Any, what: str) -> Iterator[None]:
    """InputError, naming `what`, if the GPU has no memory for it."""
    try:
        yield
    except cupy.cuda.memory.OutOfMemoryError:
        raise InputError(f"{what}: too little free memory on the GPU: run fewer replicas, or use the cpu")
