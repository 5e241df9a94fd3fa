"""Runs whose baths change: replica exchange and annealing, whole and resumed."""

import csv

import numpy as np
import pytest
from chain import chain_forces, chain_start
from pydantic import ValidationError

from cgprot.files.folder import read_run
from cgprot.simulate.config import SimulateConfig
from cgprot.simulate.exchange import EXCHANGE_LOG
from cgprot.simulate.run import resume, simulate
from cgprot.simulate.state import CHECKPOINT
from cgprot.units import BOLTZMANN

LADDER = (300.0, 330.0, 363.0, 400.0)
STIFFNESS = 80.0  # kcal/mol/Å²


def config_of(**changed) -> SimulateConfig:
    settings = {"temperature": LADDER, "time_ps": 0.4, "output_every_ps": 0.02, "checkpoint_every_ps": 0.1}
    return SimulateConfig(**(settings | {"seed": 5, "exchange_every_ps": 0.02} | changed))


def run(folder, forces=chain_forces, **changed) -> None:
    simulate(chain_start(), forces, config_of(**changed), folder, {"model": {"name": "chain"}}, [])


def wells(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every bead in a harmonic well of its own, where the chain starts."""
    away = positions - chain_start().positions
    return 0.5 * STIFFNESS * (away**2).sum(axis=(1, 2)), -STIFFNESS * away


def rows_of(path) -> list[dict[str, float]]:
    with open(path) as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def test_every_bath_keeps_its_own_potential_and_kinetic_energy(tmp_path):
    run(tmp_path / "run", wells, time_ps=20, output_every_ps=0.1, checkpoint_every_ps=20)
    accepted = [row["accepted"] for row in rows_of(tmp_path / "run" / EXCHANGE_LOG)]
    assert 0.2 < np.mean(accepted) < 1
    rows = [row for row in rows_of(tmp_path / "run" / "log.csv") if row["time_ps"] > 3]
    for bath in LADDER:
        for energy in ("potential_energy_kcal_mol", "kinetic_energy_kcal_mol"):
            values = np.array([row[energy] for row in rows if row["bath_temperature_K"] == bath])
            expected = 9 * BOLTZMANN * bath  # 18 degrees of freedom
            blocks = values[: len(values) // 25 * 25].reshape(25, -1).mean(axis=1)
            assert abs(values.mean() - expected) < 4 * blocks.std(ddof=1) / 5, (bath, energy)


def test_baths_wander_and_every_one_has_a_replica_at_all_times(tmp_path):
    run(tmp_path / "run")
    rows = rows_of(tmp_path / "run" / "log.csv")
    by_step = {row["step"]: [] for row in rows}
    for row in rows:
        by_step[row["step"]].append(row["bath_temperature_K"])
    assert all(sorted(baths) == list(LADDER) for baths in by_step.values())
    assert len({tuple(baths) for baths in by_step.values()}) > 2


@pytest.mark.parametrize(
    "changed",
    [{}, {"exchange_every_ps": None, "anneal": ((0.1, 500.0), (0.3, 300.0))}],
    ids=["exchange", "anneal"],
)
def test_resumed_they_go_on_to_the_same_bytes(tmp_path, changed):
    run(tmp_path / "whole", **changed)
    calls = []

    def killed(positions):
        calls.append(1)
        if len(calls) == 130:
            raise RuntimeError
        return chain_forces(positions)

    with pytest.raises(RuntimeError):
        run(tmp_path / "cut", killed, **changed)
    resume(tmp_path / "cut", chain_forces)
    names = [path.name for path in (tmp_path / "whole").iterdir() if path.suffix in (".dcd", ".csv")]
    assert (EXCHANGE_LOG in names) == (not changed)
    for name in [*names, CHECKPOINT]:
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_annealing_goes_linearly_from_point_to_point_and_stays(tmp_path):
    config = config_of(
        exchange_every_ps=None, temperature=(300.0, 350.0), anneal=((0.1, 500.0), (0.3, 200.0))
    )
    np.testing.assert_allclose(config.bath(0), [300, 350])
    np.testing.assert_allclose(config.bath(25), [400, 425])
    np.testing.assert_allclose(config.bath(50), [500, 500])
    np.testing.assert_allclose(config.bath(100), [350, 350])
    np.testing.assert_allclose(config.bath(1000), [200, 200])
    run(tmp_path / "run", exchange_every_ps=None, temperature=300.0, anneal=((0.1, 500.0), (0.3, 200.0)))
    rows = rows_of(tmp_path / "run" / "log.csv")
    assert max(row["bath_temperature_K"] for row in rows) > 490
    assert read_run(tmp_path / "run")["config"]["anneal"] == [[0.1, 500.0], [0.3, 200.0]]


@pytest.mark.parametrize(
    "changed", [{"anneal": ((1.1, 300.0), (1.2, 1.0))}, {"heat_ps": 1.1, "heat_from": 500.0}]
)
def test_the_heat_of_a_bath_that_has_cooled_is_no_fault(tmp_path, changed):
    """Replicas follow within a relaxation time; 10 sigma of 1 K are 4 K."""
    cold = {"temperature": 1.0, "time_ps": 3.0} | changed
    run(tmp_path / "run", exchange_every_ps=None, **cold)
    assert rows_of(tmp_path / "run" / "log.csv")[-1]["bath_temperature_K"] == 1.0


def test_the_warmest_bath_is_that_of_the_last_relaxation_times():
    config = config_of(
        exchange_every_ps=None, temperature=(300.0, 700.0), anneal=((10.0, 500.0), (12.0, 100.0))
    )
    np.testing.assert_allclose(config.warmest_bath(0), [300, 700])
    np.testing.assert_allclose(config.warmest_bath(5500), [500, 700])
    np.testing.assert_allclose(config.warmest_bath(15500), [300, 300])  # from 11 ps on
    np.testing.assert_allclose(config.warmest_bath(16001), [100, 100], rtol=1e-2)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"temperature": 300.0}, "needs several temperatures"),
        ({"temperature": (300.0, 300.0)}, "needs several temperatures"),
        ({"temperature": (0.0, 300.0)}, "needs several temperatures"),
        ({"scheme": "verlet"}, "verlet has none"),
        ({"exchange_every_ps": 0.003}, "whole number of steps"),
        ({"anneal": ((1.0, 300.0),)}, "choose one"),
        ({"exchange_every_ps": None, "anneal": ((2.0, 300.0), (1.0, 400.0))}, "later than"),
    ],
)
def test_what_cannot_be_exchanged_or_annealed_is_refused(changed, message):
    with pytest.raises(ValidationError, match=message):
        config_of(**changed)
