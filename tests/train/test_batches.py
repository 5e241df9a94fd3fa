import dataclasses

import numpy as np
import pytest
import springs
import torch

from cgprot.errors import InputError
from cgprot.files.dataset import write_dataset
from cgprot.train.batches import join_frames, prepare_frames, read_datasets, spread_evenly


def test_labels_stay_with_their_beads():
    frames = springs.spring_frames(3, 0, noise=0.1)
    batch = join_frames(prepare_frames({"a": frames}, 5.0)[::-1])
    torch.testing.assert_close(batch.forces.view(3, 6, 3).numpy(), frames.forces[::-1].astype(np.float32))
    centred = frames.positions - frames.positions.mean(1, keepdims=True)
    np.testing.assert_allclose(batch.graph.positions.view(3, 6, 3), centred[::-1], atol=1e-6)
    assert torch.equal(batch.graph.system_index, torch.arange(3).repeat_interleave(6))
    assert batch.graph.edges.dtype == torch.int64


@pytest.mark.parametrize(("at_most", "expected"), [(1, 1), (4, 4), (99, 7)])
def test_spread_evenly(at_most, expected):
    chosen = spread_evenly(prepare_frames({"a": springs.spring_frames(7, 0)}, 5.0), at_most)
    assert len(chosen) == expected


def test_a_file_given_twice_is_refused(tmp_path):
    """Its frames would pass for independent ones and narrow every interval."""
    springs.write_springs(tmp_path)
    (tmp_path / "link.h5").symlink_to(tmp_path / "train.h5")
    read_datasets([tmp_path / "train.h5", tmp_path / "validation.h5"])
    for again in (tmp_path / "train.h5", tmp_path / "link.h5"):
        with pytest.raises(InputError, match="given twice"):
            read_datasets([tmp_path / "train.h5", again])


def test_a_standard_error_below_zero_is_refused(tmp_path):
    """Squares would hide it."""
    frames = springs.spring_frames(3, 0, noise=0.1)
    write_dataset(
        tmp_path / "a.h5", {"a/300/0": dataclasses.replace(frames, force_noise=-frames.force_noise)}
    )
    with pytest.raises(InputError, match="force_noise is negative"):
        read_datasets([tmp_path / "a.h5"])
