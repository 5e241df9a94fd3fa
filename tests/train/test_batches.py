import numpy as np
import pytest
import springs
import torch

from cgprot.train.batches import join_frames, prepare_frames, spread_evenly


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
