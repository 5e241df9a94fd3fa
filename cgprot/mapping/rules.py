"""Mapping rules: a TOML file that says which atoms become which beads (docs/mappings.md)."""

import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cgprot.errors import InputError, UsageError
from cgprot.shipped import shipped

Position = Literal["heavy", "mass", "geometry"]
ForceMap = Literal["sum", "slice", "optimal"]


class BeadRule(BaseModel):
    """One bead type and the atoms that become it.

    A heavy atom fits if it meets every condition that is stated. Without `atoms` each atom that
    fits is a bead of its own; with `atoms` those atoms of one residue are one bead together.

    Attributes
    ----------
    type, number : name of the bead type, and the number that the network embeds
    element : of the heavy atom
    hydrogens : how many are bonded to it, counted from the bonds
    charge : formal charge of the heavy atom [e]
    name, residue : names of the atom and of its residue
    atoms : names of the atoms of one residue that form one bead; "CD1|CD" is either
    carries : further atoms of the residue whose mass and forces the bead takes: their names, or
        "residue" for all that no other bead has
    position : where this bead sits, if not where the mapping says
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str = Field(min_length=1, max_length=8, pattern=r"^\S+$")
    number: int = Field(ge=1)
    element: str | None = None
    hydrogens: int | None = Field(default=None, ge=0)
    charge: float | None = None
    name: tuple[str, ...] = ()
    residue: tuple[str, ...] = ()
    atoms: tuple[str, ...] = ()
    carries: Literal["residue"] | tuple[str, ...] = ()
    position: Position | None = None

    @property
    def conditions(self) -> tuple:
        """What an atom must meet; two rules of equal conditions contradict each other."""
        return (self.element, self.hydrogens, self.charge, self.name, self.residue, self.atoms)

    @model_validator(mode="after")
    def _check_conditions(self) -> "BeadRule":
        single = (self.name or None, self.element, self.hydrogens, self.charge)
        if self.atoms and any(condition is not None for condition in single):
            raise ValueError("a bead of several atoms takes no name, element, hydrogens or charge")
        if not any(condition not in (None, ()) for condition in self.conditions):
            raise ValueError("no condition: say at least element, name, residue or atoms")
        return self


class MappingRules(BaseModel):
    """A mapping: its name, where a bead sits, which forces it feels, and the bead types.

    Attributes
    ----------
    position : "heavy": on its heavy atom; "mass": in the centre of mass of its atoms, hydrogens
        included; "geometry": in the mean position of its heavy atoms
    force : "sum": the forces on all its atoms, added; "slice": those on the atoms that define its
        position; "optimal": the linear combination of least noise, found on the data
    unmapped : what becomes of a heavy atom that no rule fits: "refuse" the input, or "drop" it
    bead : rules, the first that fits an atom counts
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1, pattern=r"^\S+$")
    position: Position
    force: ForceMap
    unmapped: Literal["refuse", "drop"] = "refuse"
    bead: tuple[BeadRule, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _check_beads(self) -> "MappingRules":
        for index, rule in enumerate(self.bead):
            before = self.bead[:index]
            for what in ("type", "number", "conditions"):
                if any(getattr(rule, what) == getattr(other, what) for other in before):
                    raise ValueError(f"bead {index}: another bead has the same {what}")
            if len(rule.atoms) > 1 and (rule.position or self.position) == "heavy":
                raise ValueError(f"bead {index}: several atoms: its position must be mass or geometry")
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
        if the file does not hold valid rules; the message has the file, the key and its line
    """
    path = Path(name_or_path)
    if path.suffix != ".toml":
        path = shipped("mappings") / f"{name_or_path}.toml"
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in shipped("mappings").glob("*.toml")))
        raise UsageError(f"{name_or_path}: no such mapping: use one of {names} or the path of a .toml file")
    try:
        text = path.read_text()
        return MappingRules.model_validate(tomllib.loads(text))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path}: not TOML ({error}): mend that line")
    except ValidationError as error:
        raise InputError(_describe(path, text, error))


def _describe(path: Path, text: str, error: ValidationError) -> str:
    first = error.errors()[0]
    # A union's branches are not keys of the file.
    where = [part for part in first["loc"] if isinstance(part, int) or part.isidentifier()]
    reason = first["msg"].removeprefix("Value error, ")
    if among := re.match(r"bead (\d+): ", reason):
        where, reason = ["bead", int(among[1])], reason[among.end() :]
    key = ".".join(str(part) for part in where) or "rules"
    if first["type"] == "extra_forbidden":
        reason = "no such key"
    return f"{path}: line {_line_of(text, where)}: {key}: {reason}: mend that key"


def _line_of(text: str, where: list) -> int:
    """Line, from 1, of a key such as ["bead", 2, "number"]; that of its table if it is missing."""
    lines = text.splitlines()
    start, end = 0, len(lines)
    if where and where[0] == "bead":
        beads = [i for i, line in enumerate(lines) if re.match(r"\s*(\[\[\s*bead\s*\]\]|\{)", line)]
        if not beads:
            return next((i + 1 for i, line in enumerate(lines) if line.strip().startswith("bead")), 1)
        if len(where) > 1:
            start = beads[where[1]] if where[1] < len(beads) else beads[-1]
            end = next((line for line in beads if line > start), len(lines))
    else:
        end = next((i for i, line in enumerate(lines) if line.lstrip().startswith("[")), len(lines))
    names = [part for part in where if isinstance(part, str) and part != "bead"]
    for i in range(start, end):
        if names and re.search(rf"(^|[{{,\s]){re.escape(names[0])}\s*=", lines[i]):
            return i + 1
    return start + 1
