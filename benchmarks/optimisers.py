"""Validation errors after equal numbers of steps with different optimisers and rates, from the same weights.

    python benchmarks/optimisers.py config.toml --steps 1500 adam:2e-3 adam:5e-3 soap:5e-3

All else is the configuration's. Prints a row for each: the last training and validation RMSE [kcal/mol/Å] and
milliseconds a step, validations included. The data must be yours: see docs/training.md.
"""

import argparse
import tempfile
from pathlib import Path

from cgprot.train.config import load_config
from cgprot.train.loop import train
from cgprot.train.metrics import Metrics, read_metrics


def last_metrics(config: Path, optimiser: str, rate: str, steps: int) -> Metrics:
    """The last line of the log of a training in a temporary folder."""
    own = {"optimiser": optimiser, "learning_rate": rate, "steps": steps, "checkpoint_every": steps}
    changed = load_config(config, [f"train.{key}={value}" for key, value in own.items()])
    with tempfile.TemporaryDirectory() as folder:
        return read_metrics(train(changed, Path(folder) / "run"))[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", type=Path)
    parser.add_argument("choices", nargs="+", metavar="OPTIMISER:RATE")
    parser.add_argument("--steps", type=int, default=1500)
    options = parser.parse_args()
    print(f"{'optimiser':<10} {'rate':>8} {'training':>9} {'validation':>10} {'ms a step':>9}", flush=True)
    for choice in options.choices:
        optimiser, _, rate = choice.partition(":")
        row = last_metrics(options.config, optimiser, rate, options.steps)
        errors = f"{row.train_force_rmse_kcal_mol_A:>9.3f} {row.validation_force_rmse_kcal_mol_A:>10.3f}"
        print(f"{optimiser:<10} {rate:>8} {errors} {1000 * row.seconds / row.step:>9.0f}", flush=True)


if __name__ == "__main__":
    main()
