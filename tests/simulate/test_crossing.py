"""Arrays cross between libraries without a copy, or not at all."""

import numpy as np
import pytest
import torch

from cgprot.errors import InputError
from cgprot.simulate.crossing import address, shared


def test_numpy_and_torch_write_into_the_same_memory():
    array = np.zeros((2, 3, 3))
    tensor = shared(array, torch.from_dlpack)
    tensor[1, 2, 0] = 7.0
    back = shared(tensor, np.from_dlpack)
    back[0, 0, 0] = 5.0
    assert (array[1, 2, 0], array[0, 0, 0]) == (7.0, 5.0)
    assert address(array) == address(tensor) == address(back)


@pytest.mark.parametrize(
    "array", [np.zeros((4, 6))[:, ::2], torch.zeros(4, 6).T, np.zeros((3, 4), order="F")]
)
def test_strided_arrays_are_refused(array):
    with pytest.raises(InputError, match="is not contiguous: kernels read it in C order"):
        shared(array, torch.from_dlpack)


def test_a_copy_is_refused():
    with pytest.raises(InputError, match="was copied from torch to numpy"):
        shared(torch.zeros(4, 3), lambda tensor: np.from_dlpack(tensor).copy())
