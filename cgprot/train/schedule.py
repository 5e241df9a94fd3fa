"""How the learning rate goes, and when enough is enough."""

import math
from dataclasses import dataclass

from cgprot.train.config import OptimiserConfig


@dataclass
class Progress:
    """What the validations so far say.

    Attributes
    ----------
    best : lowest score so far, see `cgprot.train.loss.Objective.score` [kcal/mol/Å]
    stale : validations since then
    plateau : validations without a new best since the learning rate last fell, or since the best
    fall : the factor by which plateaus have lowered the learning rate
    """

    best: float = math.inf
    stale: int = 0
    plateau: int = 0
    fall: float = 1.0

    def update(self, score: float, settings: OptimiserConfig) -> bool:
        """Take note of a validation; whether it is the best so far."""
        if score < self.best:
            self.best, self.stale, self.plateau = score, 0, 0
            return True
        self.stale += 1
        self.plateau += 1
        if settings.schedule == "plateau" and self.plateau >= settings.plateau_patience:
            self.fall, self.plateau = self.fall * settings.plateau_factor, 0
        return False

    def stopped(self, settings: OptimiserConfig) -> bool:
        """Whether the patience is at its end."""
        return settings.patience is not None and self.stale >= settings.patience


def learning_rate(step: int, settings: OptimiserConfig, fall: float = 1.0) -> float:
    """Linear rise over the first steps, then half a cosine, or falls at plateaus, to a fraction of the peak.

    Parameters
    ----------
    fall : `Progress.fall`
    """
    if step < settings.warmup_steps:
        return settings.learning_rate * (step + 1) / settings.warmup_steps
    low = settings.final_learning_rate
    if settings.schedule == "plateau":
        return settings.learning_rate * max(fall, low)
    progress = (step - settings.warmup_steps) / max(1, settings.steps - settings.warmup_steps)
    return settings.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * progress)))
