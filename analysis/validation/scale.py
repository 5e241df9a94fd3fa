"""How large a validation is: a TOML file of scale/, or one's own, with unknown keys refused."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cgprot.errors import StorageError, UsageError

SCALES = Path(__file__).parent / "scale"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Dynamics(_Table):
    """One run a protein, all its replicas side by side."""

    temperatures: list[float] = Field(min_length=1)  # K
    replicas: int = Field(ge=1)  # at each temperature
    timestep_fs: float = 2.0
    output_every_ps: float = 0.2
    minimise: bool = False  # the starts are warm frames
    engine: Literal["compressed", "network"] = "compressed"
    seed: int = 7
    time_ps: dict[str, float]  # by protein, in the order in which they run


class Structure(_Table):
    """Comparison with all-atom trajectories at the first temperature of the dynamics."""

    proteins: list[str]
    leave_out_ps: float  # at the beginning of every replica and of the reference
    block_ps: float  # longer than motions last, and a fifth of the trajectories at most


class FreeEnergy(_Table):
    """Surfaces of a peptide in φ and ψ, and of a hairpin in two of its hydrogen bonds."""

    peptide: str = "alanine_dipeptide"
    time_ps: float
    replicas: int = Field(ge=1)
    leave_out_ps: float
    block_ps: float
    hairpin: str = "chignolin"
    # Donor and acceptor, "bead residue", counted from 1.
    hydrogen_bonds: list[tuple[str, str]] = [("N 3", "O 7"), ("N 3", "O 8")]


class Scale(_Table):
    """A whole validation."""

    name: str = ""
    errors: list[str]  # proteins with labelled frames
    dynamics: Dynamics
    structure: Structure
    free_energy: FreeEnergy


def read_scale(name: str) -> Scale:
    """A scale by its name in scale/ or by its path.

    Raises
    ------
    StorageError
        if there is no such file
    UsageError
        if it is no TOML or asks for something that does not exist
    """
    shipped = SCALES / f"{name}.toml"
    path = shipped if shipped.is_file() else Path(name)
    try:
        table = tomllib.loads(path.read_text())
        return Scale(**{"name": path.stem} | table)
    except OSError as error:
        raise StorageError(f"{name}: no such scale ({error}): choose {', '.join(scales())} or a .toml file")
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}")
    except (TypeError, ValueError) as error:
        raise UsageError(f"{path}: not a TOML file ({error}): mend that line")


def scales() -> list[str]:
    """Names of the scales that are here."""
    return sorted(path.stem for path in SCALES.glob("*.toml"))
