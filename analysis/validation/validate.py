#!/usr/bin/env python
"""Every table and figure of a card's validation.md, made again from the model's weights.

    analysis/validation/validate.py MODEL FOLDER --references REFERENCES [--scale small] [--only PART ...]

MODEL is the name of a shipped model, a file or a training run; REFERENCES what `reference.sh` made. FOLDER
gets results.json, card.md, figures/, errors/ and the simulations in runs/; what is done there is kept, and
a run that was interrupted goes on. `--scale` is the name of a file in scale/, or one's own: the card says
what was run.
"""

import argparse
import json
import math
import sys
from pathlib import Path

import force_errors
import free_energy
import numpy as np
import stability
import structure
from card import card
from runs import STRUCTURES, Task
from scale import read_scale, scales

from cgprot.errors import CgprotError, StorageError
from cgprot.files.folder import sha256_of, versions, write_text
from cgprot.model.checkpoint import load_model, model_path

PARTS = {
    "errors": force_errors.measure,
    "stability": stability.measure,
    "structure": structure.measure,
    "free_energy": free_energy.measure,
}
RESULTS, CARD = "results.json", "card.md"


def options() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model", help="name of a shipped model, a file or a training run")
    parser.add_argument("folder", type=Path, help="of the results; those that are there are kept")
    parser.add_argument("--references", type=Path, required=True, help="folder of reference.sh")
    parser.add_argument("--structures", type=Path, default=STRUCTURES, help="folder of <protein>.pdb")
    parser.add_argument("--scale", default="small", help=f"{', '.join(scales())}, or a .toml file")
    parser.add_argument("--only", nargs="+", choices=list(PARTS), default=list(PARTS), metavar="PART")
    return parser.parse_args()


def validate(task: Task, parts: list[str]) -> dict:
    """Measure the parts; write results.json and card.md after each of them."""
    results = _begin(task)
    for part in parts:
        print(f"{part} ...", flush=True)
        results["parts"][part] = {"scale": task.scale.name} | PARTS[part](task)
        text = json.dumps(plain(results), indent=1, ensure_ascii=False, allow_nan=False)
        write_text(task.path(RESULTS), text + "\n")
        write_text(task.path(CARD), card(json.loads(text)))
    return results


def _begin(task: Task) -> dict:
    """What is known of the model; results of other parts that are there already, of the same weights."""
    file = model_path(task.model)
    potential, metadata = load_model(task.model)
    about = {
        "name": str(task.model),
        "sha256": sha256_of(file),
        "config": metadata["config"],
        "mapping": metadata["mapping"],
        "parameters": sum(each.numel() for each in potential.parameters()),
    }
    found = {"model": about, "versions": versions(), "parts": {}}
    if (task.folder / RESULTS).is_file():
        earlier = json.loads((task.folder / RESULTS).read_text())
        if earlier["model"]["sha256"] != about["sha256"]:
            raise StorageError(f"{task.folder}: holds results of other weights: choose another FOLDER")
        found["parts"] = earlier["parts"]
    return found


def plain(value):
    """JSON has no nan, no infinity and no numpy."""
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main() -> int:
    """Run, with errors in one line."""
    chosen = options()
    try:
        task = Task(
            chosen.model, chosen.folder, chosen.references, chosen.structures, read_scale(chosen.scale)
        )
        validate(task, chosen.only)
    except CgprotError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{chosen.folder / CARD}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
