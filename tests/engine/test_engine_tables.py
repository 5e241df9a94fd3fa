"""Where distances lie in the tables, and the sums that read their rows."""

import numpy as np
import pytest
from engines import TYPES, potential_of

from cgprot.engine.edges import Edges, find_edges
from cgprot.engine.grid import SOFT, distance_of, horizon_of, nodes, place_of, rate_of
from cgprot.engine.kernels import sum_messages
from cgprot.engine.network import new_edges
from cgprot.engine.tables import load_compressed, save_compressed, tabulate
from cgprot.errors import InputError
from cgprot.simulate.forces import recorded_forces

CUTOFF, INTERVALS = 5.3, 100
HORIZON = horizon_of(CUTOFF, INTERVALS)


def test_places_run_from_contact_to_the_cutoff():
    r, width = nodes(CUTOFF, INTERVALS)
    assert (r[0], r[-1]) == (0, pytest.approx(CUTOFF, rel=1e-14))
    np.testing.assert_allclose(place_of(r, HORIZON), np.arange(INTERVALS + 1), rtol=0, atol=1e-11)
    np.testing.assert_allclose(distance_of(place_of(r, HORIZON), HORIZON), r, rtol=0, atol=1e-13)
    np.testing.assert_allclose(1 / width[1:], rate_of(1 / r[1:], HORIZON), rtol=1e-12)
    step = 1e-5
    slope = (place_of(r[1:] + step, HORIZON) - place_of(r[1:] - step, HORIZON)) / (2 * step)
    np.testing.assert_allclose(slope, rate_of(1 / r[1:], HORIZON), rtol=1e-8)


def test_the_last_distance_before_the_cutoff_has_a_row():
    """The place of such a distance may be rounded up to the number of intervals."""
    for cutoff in np.random.default_rng(0).uniform(3, 9, 200):
        r = np.nextafter(cutoff, 0)
        edges = new_edges(2, 2, np.float64)
        pairs, no_shifts = np.array([[0, 1]]), np.empty((0, 3))
        assert find_edges(np.array([[0, 0, 0], [r, 0, 0.0]]), pairs, no_shifts, cutoff, 100, edges) == 0
        assert (edges.interval[:2] == 99).all()
        np.testing.assert_allclose(edges.fraction[:2], 1, atol=1e-11)


@pytest.mark.parametrize("channels", [16, 32, 48, 64])
def test_a_sum_over_neighbours_is_that_of_numpy(channels):
    """For an odd number of sixteens the last ones are summed twice, and stored once."""
    rng, n, degree = np.random.default_rng(1), 4, 3
    table = rng.normal(size=(INTERVALS, 4, 3, channels))
    features, out = rng.normal(size=(2, n, 9, channels))
    sender, row = rng.integers(n, size=n * degree), rng.integers(INTERVALS, size=n * degree)
    t = rng.random(n * degree)
    edges = Edges(*[np.zeros(0)] * 10)._replace(
        start=np.arange(0, n * degree + 1, degree), sender=sender, interval=row, fraction=t
    )
    cubics = np.einsum("ek,ekpc->epc", t[:, None] ** np.arange(4), table[row])
    terms = np.repeat(cubics, (1, 3, 5), axis=1) * features[sender]
    expected = out + terms.reshape(n, degree, 9, channels).sum(1)
    rows = out.reshape(n, -1).copy()
    for i in range(n):
        lanes = (0,) * (channels // 16)
        sum_messages(i, edges, table.reshape(INTERVALS, -1), features.reshape(n, -1), rows[i], lanes)
    np.testing.assert_allclose(rows.reshape(out.shape), expected, rtol=0, atol=1e-12)


def test_a_file_of_another_grid_is_refused(tmp_path, monkeypatch):
    import cgprot.engine.tables as tables

    path = tmp_path / "fast.safetensors"
    with monkeypatch.context() as patched:
        patched.setattr(tables, "SOFT", 1.0)
        save_compressed(path, tabulate(potential_of(), 64), {})
    with pytest.raises(InputError, match="tables of another version: make it anew"):
        load_compressed(path)


@pytest.mark.parametrize(("recorded", "lines"), [({"soft": SOFT}, 0), ({"soft": 1.0}, 1), ({}, 1)])
def test_a_run_resumed_with_other_tables_says_so(capsys, recorded, lines):
    record = {"name": "compressed", "intervals": 64} | recorded
    recorded_forces(record, potential_of(), TYPES, np.zeros(len(TYPES)), 1)
    told = capsys.readouterr().err
    assert told.count("\n") == told.count("tables are of another version") == lines
