"""How far a simulation is."""

import sys
import time

from tqdm import tqdm

from cgprot.simulate.config import SimulateConfig
from cgprot.units import PS_PER_NS, SECONDS_PER_DAY


class Progress:
    """A bar with time left, speed, temperature and energy, where there is a terminal."""

    def __init__(self, config: SimulateConfig, step: int) -> None:
        self._config = config
        self._bar = tqdm(
            desc="simulate",
            total=config.n_steps,
            initial=step,
            unit="step",
            mininterval=0.5,
            disable=not sys.stderr.isatty(),
        )
        self._began, self._steps = time.monotonic(), 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def advance(self, n_steps: int) -> None:
        """So many steps are done."""
        self._steps += n_steps
        self._bar.update(n_steps)

    def tell(self, line: str) -> None:
        """A line on stderr, above the bar."""
        self._bar.write(line, file=sys.stderr)

    def show(self, temperature: float, energy: float) -> None:
        """Put speed, mean temperature [K] and mean potential energy [kcal/mol] beside the bar."""
        done_ns = self._steps * self._config.timestep_ps / PS_PER_NS
        speed = done_ns / max(time.monotonic() - self._began, 1e-9) * SECONDS_PER_DAY
        text = f"{speed:.3g} ns/day x {self._config.replicas}, {temperature:.0f} K, {energy:.1f} kcal/mol"
        self._bar.set_postfix_str(text, refresh=False)
