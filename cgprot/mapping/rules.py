"""Mapping rules: a TOML file that says which atoms become which beads."""

import hashlib
import json
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cgprot.errors import InputError, UsageError
from cgprot.shipped import shipped


class BeadRule(BaseModel):
    """One bead type: a heavy atom of `element` with that many bonded `hydrogens`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(min_length=1, max_length=8)
    number: int = Field(ge=1)
    element: str
    hydrogens: int = Field(ge=0)


class MappingRules(BaseModel):
    """A mapping: its name, where a bead sits, which forces it feels, and the bead types.

    Attributes
    ----------
    position : "heavy": the bead sits on its heavy atom
    force : "sum": the heavy atom's force and those of its bonded hydrogens, added
    bead : one rule per bead type
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    position: Literal["heavy"]
    force: Literal["sum"]
    bead: tuple[BeadRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_unique(self) -> "MappingRules":
        for what in ("type", "number"):
            values = [getattr(rule, what) for rule in self.bead]
            if len(set(values)) != len(values):
                raise ValueError(f"two bead rules share a {what}")
        keys = [(rule.element, rule.hydrogens) for rule in self.bead]
        if len(set(keys)) != len(keys):
            raise ValueError("two bead rules match the same element and hydrogens")
        return self

    @property
    def type_numbers(self) -> dict[str, int]:
        """Bead type name -> the number that the network embeds."""
        return {rule.type: rule.number for rule in self.bead}

    @property
    def hash(self) -> str:
        """SHA-256 of the rules' content; comments, layout and keys left at their defaults do not count."""
        content = json.dumps(self.model_dump(exclude_defaults=True), sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()


def load_rules(name_or_path: str | Path) -> MappingRules:
    """Read the rules shipped under a name ("heavy") or those in a TOML file.

    Raises
    ------
    UsageError
        if there is no such mapping
    InputError
        if the file does not hold valid rules
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = shipped("mappings") / f"{name_or_path}.toml"
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in shipped("mappings").glob("*.toml")))
        raise UsageError(f"{name_or_path}: no such mapping: use one of {names} or the path of a .toml file")
    try:
        return MappingRules.model_validate(tomllib.loads(path.read_text()))
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML ({error}): mend that line")
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "rules"
        raise InputError(f"{path}: {where}: {first['msg']}: mend that key")
