"""Where the files of a simulation stood at its checkpoint, for those who only read them."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from cgprot.files.growing import Mark

CHECKPOINT = "checkpoint.safetensors"
PREVIOUS_CHECKPOINT = "checkpoint.previous.safetensors"
STATE_KEY = "cgprot_state"


def read_marks(folder: Path) -> dict[str, Mark] | None:
    """By file name, of the newest checkpoint that can be read; None if there is none.

    A run that goes on has but the previous one for a moment, between two renamings.
    """
    for name in (CHECKPOINT, PREVIOUS_CHECKPOINT):
        try:
            with safe_open(str(Path(folder) / name), framework="numpy") as file:
                entry = json.loads(file.metadata()[STATE_KEY])
            return {name: Mark(*mark) for name, mark in entry["files"].items()}
        except (OSError, SafetensorError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return None
