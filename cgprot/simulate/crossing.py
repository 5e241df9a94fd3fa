"""From one array library to another without a copy."""

from collections.abc import Callable
from typing import Any

from cgprot.errors import InputError


def shared(array: Any, from_dlpack: Callable) -> Any:
    """The same memory as an array of another library, by DLPack.

    Parameters
    ----------
    array : of numpy, torch or cupy
    from_dlpack : of the other library, such as `torch.from_dlpack` or `cupy.from_dlpack`

    Raises
    ------
    InputError
        if the array is not contiguous in C order, lies where the other library cannot reach it, or a copy was
        made after all
    """
    if not _is_contiguous(array):
        raise InputError(
            f"array of shape {tuple(array.shape)} is not contiguous: kernels read it in C order, make it so"
        )
    try:
        same = from_dlpack(array)
    except (BufferError, RuntimeError, TypeError) as error:
        told = str(error).splitlines()[0]
        raise InputError(
            f"array of shape {tuple(array.shape)} cannot cross ({told}): put it on the device of both"
        )
    if address(same) != address(array):
        raise InputError(
            f"array of shape {tuple(array.shape)} was copied from {type(array).__module__} to "
            f"{type(same).__module__}: put it on the device of both"
        )
    return same


def _is_contiguous(array: Any) -> bool:
    return array.is_contiguous() if hasattr(array, "is_contiguous") else bool(array.flags.c_contiguous)


def address(array: Any) -> int:
    """Of the first element, of an array of numpy, torch or cupy."""
    if hasattr(array, "data_ptr"):
        return array.data_ptr()
    return array.ctypes.data if hasattr(array, "ctypes") else array.data.ptr
