"""The log of a training run for TensorBoard, if it is installed."""

from pathlib import Path

from cgprot.errors import UsageError
from cgprot.train.metrics import Metrics

FOLDER = "tensorboard"


def check_tensorboard() -> None:
    """Raise UsageError if TensorBoard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter  # noqa: F401
    except ImportError:
        raise UsageError("train.tensorboard: not installed: pip install tensorboard, or leave it out")


class TensorboardLog:
    """Writes what metrics.csv has; lines after `step`, which a stopped run left, are taken back."""

    def __init__(self, folder: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder / FOLDER), purge_step=step + 1)

    def write(self, metrics: Metrics) -> None:
        """Add a line, and see it onto the disk."""
        for name, value in metrics.row().items():
            if name != "step":
                self._writer.add_scalar(name, value, metrics.step)
        self._writer.flush()

    def close(self) -> None:
        """End the file."""
        self._writer.close()
