"""mdCATH files in, mdCATH-noh out: what torchmd-net loads, what a rerun skips, what memory it takes."""

import multiprocessing
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import MDAnalysis
import numpy as np
import pytest
from synthetic_mdcath import write_mdcath

from cgprot.cli import main
from cgprot.errors import InputError, UsageError
from cgprot.files.dataset import read_dataset
from cgprot.mapping.build import build_system
from cgprot.mapping.project import Projection
from cgprot.mapping.rules import load_rules
from cgprot.reference.campaign import MapTask, is_done, map_campaign, map_files_to
from cgprot.reference.check import check_forces, disagreement
from cgprot.reference.streams import map_trajectories_to
from cgprot.shipped import shipped


@pytest.fixture(scope="module")
def shaken(chignolin_atoms):
    """Forty frames: chignolin's four, shaken."""
    four = list(chignolin_atoms)
    noise = np.random.default_rng(1).normal(scale=0.05, size=(40, 166, 3))
    positions = np.array([four[i % 4].positions for i in range(40)]) + noise
    return positions, np.array([four[i % 4].forces for i in range(40)]) + 10 * noise


@pytest.fixture
def inputs(tmp_path, chignolin_atoms, shaken):
    replicas = {f"{temperature}/{replica}": shaken for temperature in (320, 348) for replica in (0, 1)}
    return [
        write_mdcath(tmp_path / f"mdcath_dataset_{name}.h5", name, chignolin_atoms.topology, replicas)
        for name in ("1abcA00", "2xyzB01")
    ]


@pytest.fixture
def projected(chignolin_atoms, shaken):
    rules = load_rules("heavy")
    projection = Projection(chignolin_atoms.topology, build_system(chignolin_atoms.topology, rules), rules)
    return projection.positions(shaken[0]), projection.forces(shaken[1])


def test_files_are_mapped_as_arrays_are(inputs, tmp_path, projected):
    report, n_done = map_campaign(inputs, load_rules("heavy"), tmp_path / "out")
    assert (report.n_frames, report.n_trajectories, report.n_beads, n_done) == (320, 8, 93, 0)
    entries = read_dataset(tmp_path / "out" / "mdcath_noh_dataset_1abcA00.h5")
    assert sorted(entries) == [f"1abcA00/{t}/{r}" for t in (320, 348) for r in (0, 1)]
    for frames in entries.values():
        np.testing.assert_allclose(frames.positions, projected[0], atol=1e-5)
        np.testing.assert_allclose(frames.forces, projected[1], atol=1e-3)
    assert entries["1abcA00/348/1"].temperature == 348.0


def test_torchmdnet_loads_the_folder(inputs, tmp_path, projected):
    mdcath = pytest.importorskip("torchmdnet.datasets.mdcath")
    map_campaign(inputs, load_rules("heavy"), tmp_path / "out")
    dataset = mdcath.MDCATH(
        root=str(tmp_path / "out"),
        source_file="mdcath_noh_source.h5",
        file_basename="mdcath_noh_dataset",
        temperatures=["320", "348"],
        numNoHAtoms=100,
        solid_ss=40,
        min_gyration_radius=0.1,
        max_gyration_radius=10.0,
        numFrames=10,
    )
    assert len(dataset) == 320
    sample = dataset[41]  # the second replica's second frame
    np.testing.assert_allclose(sample.pos, projected[0][1], atol=1e-5)
    np.testing.assert_allclose(sample.neg_dy, projected[1][1], atol=1e-3)
    assert sample.z.tolist()[:4] == [8, 2, 1, 9]
    options = {"root": str(tmp_path / "out"), "file_basename": "mdcath_noh_dataset"}
    # Two residues in helices and three in strands of ten are 50 %.
    none = mdcath.MDCATH(**options, source_file="mdcath_noh_source.h5", temperatures=["320"], solid_ss=60)
    assert none.num_conformers == 0
    # A dataset is its own source file.
    one = mdcath.MDCATH(**options, source_file="mdcath_noh_dataset_2xyzB01.h5", temperatures=["320"])
    assert len(one) == 80


def test_faulty_frames_are_left_out_of_the_file_and_counted(inputs, tmp_path, projected):
    with h5py.File(inputs[0], "r+") as file:
        file["1abcA00/320/0/coords"][5, 3] = 2.1e7
        file["1abcA00/320/0/coords"][9] = 0.0
    report, _ = map_campaign(inputs, load_rules("heavy"), tmp_path / "out")
    assert report.refused == {"beyond 1e5 Å": 1, "all zeros": 1}
    assert "1 faulty frames refused: all zeros" in str(report)
    frames = read_dataset(tmp_path / "out" / "mdcath_noh_dataset_1abcA00.h5")["1abcA00/320/0"]
    np.testing.assert_allclose(frames.positions, np.delete(projected[0], [5, 9], axis=0), atol=1e-5)
    assert 5000.0 not in frames.time
    with h5py.File(tmp_path / "out" / "mdcath_noh_source.h5") as source:
        assert source["1abcA00/320/0"].attrs["numFrames"] == 38


def test_a_rerun_skips_what_is_done(inputs, tmp_path):
    folder, rules = tmp_path / "out", load_rules("heavy")
    map_campaign(inputs, rules, folder)
    first = folder / "mdcath_noh_dataset_1abcA00.h5"
    before = first.stat().st_mtime_ns
    assert map_campaign(inputs, rules, folder)[1] == 2
    assert first.stat().st_mtime_ns == before
    assert not is_done(MapTask(inputs[0], load_rules("ca"), first))
    with h5py.File(inputs[0], "r+") as file:
        file["1abcA00/320/0/coords"][0, 0, 0] += 1.0
    report, n_done = map_campaign(inputs, rules, folder)
    assert (report.n_trajectories, n_done) == (4, 1)
    first.write_bytes(first.read_bytes()[:1000])
    assert map_campaign(inputs, rules, folder)[1] == 1


def test_the_source_file_lists_what_came_before(inputs, tmp_path):
    folder, rules = tmp_path / "out", load_rules("heavy")
    for path in inputs[::-1]:
        map_campaign([path], rules, folder)
    map_campaign(inputs, rules, tmp_path / "at once")
    source, expected = (part / "mdcath_noh_source.h5" for part in (folder, tmp_path / "at once"))
    with h5py.File(source) as file:
        assert list(file) == ["1abcA00", "2xyzB01"]
    assert source.read_bytes() == expected.read_bytes()
    kept = folder / "mdcath_noh_dataset_2xyzB01.h5"
    shutil.copy(kept, kept.with_stem(f"{kept.stem}_copy"))
    map_campaign(inputs[:1], rules, folder)
    with h5py.File(source) as file:
        assert list(file) == ["1abcA00", "2xyzB01"]
        assert file["2xyzB01/348/1"].attrs["numFrames"] == 40


def test_processes_give_the_same_files(inputs, tmp_path):
    map_campaign(inputs, load_rules("heavy"), tmp_path / "one", workers=1)
    map_campaign(inputs, load_rules("heavy"), tmp_path / "two", workers=2)
    for path in (tmp_path / "one").glob("*.h5"):
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_a_cluster_gives_the_same_files(inputs, tmp_path):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        report, _ = map_campaign(
            inputs, load_rules("heavy"), tmp_path / "two", scheduler=cluster.scheduler_address
        )
    assert report.n_frames == 320
    map_campaign(inputs, load_rules("heavy"), tmp_path / "one")
    name = "mdcath_noh_dataset_2xyzB01.h5"
    assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def _peak_kilobytes(path, folder, queue) -> None:
    map_campaign([path], load_rules("heavy"), folder)
    # The kernel's ru_maxrss would include what the parent held when it forked.
    status = Path("/proc/self/status").read_text()
    queue.put(int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads the peak memory from Linux's /proc")
def test_memory_does_not_depend_on_the_length(tmp_path, chignolin_atoms, shaken):
    """Three times the frames, 110 MB more of input: the peak grows by a tenth of that at most."""
    context = multiprocessing.get_context("spawn")
    peaks = []
    for repeats in (300, 1000):
        long = tuple(np.tile(array.astype(np.float32), (repeats, 1, 1)) for array in shaken)
        path = tmp_path / f"mdcath_dataset_long{repeats}.h5"
        write_mdcath(path, f"long{repeats}", chignolin_atoms.topology, {"320/0": long})
        queue = context.SimpleQueue()
        process = context.Process(target=_peak_kilobytes, args=(path, tmp_path / f"out{repeats}", queue))
        process.start()
        peaks.append(queue.get())
        process.join()
    assert peaks[1] - peaks[0] < 12_000


def test_all_residue_maps_and_the_optimal_one_run_from_files(inputs, tmp_path, capsys):
    text = (
        'name = "least"\nposition = "heavy"\nforce = "optimal"\nunmapped = "drop"\n'
        'bead = [{ type = "CA", number = 1, name = ["CA"], carries = "residue" }]\n'
    )
    (tmp_path / "least.toml").write_text(text)
    for mapping in ("ca", "backbone_sidechain", tmp_path / "least.toml"):
        output = tmp_path / f"{getattr(mapping, 'stem', mapping)}.h5"
        assert main(["map", str(inputs[0]), "-o", str(output), "--mapping", str(mapping)]) == 0
        assert all(len(frames) == 40 for frames in read_dataset(output).values())
    summed = read_dataset(tmp_path / "ca.h5")["1abcA00/320/0"].forces
    least = read_dataset(tmp_path / "least.h5")["1abcA00/320/0"].forces
    assert (least**2).mean() < (summed**2).mean()


def test_atoms_that_no_rule_fits_are_counted_or_refused(tmp_path, examples, capsys):
    pdb, trr = examples / "alanine_dipeptide.pdb", examples / "alanine_dipeptide.trr"
    call = ["map", str(pdb), str(trr), "--temperature", "300", "-o"]
    assert main([*call, str(tmp_path / "ca.h5"), "--mapping", "ca"]) == 0
    assert "12 unmapped atoms left out" in capsys.readouterr().out  # the caps
    (tmp_path / "mine.toml").write_text(
        (shipped("mappings") / "ca.toml").read_text().replace('"drop"', '"refuse"')
    )
    assert main([*call, str(tmp_path / "x.h5"), "--mapping", str(tmp_path / "mine.toml")]) == 3
    assert f"{pdb}: mapping ca: no rule for C" in capsys.readouterr().err


def test_a_failed_map_leaves_nothing(tmp_path, examples, monkeypatch):
    from cgprot.files.universe import AtomSource

    frames = AtomSource.__iter__

    def broken(self):
        for index, frame in enumerate(frames(self)):
            if index == 2:
                frame.forces[7, 1] = np.nan
            yield frame

    monkeypatch.setattr(AtomSource, "__iter__", broken)
    arguments = (examples / "chignolin.pdb", [examples / "chignolin.trr"], load_rules("heavy"), "cln", 300.0)
    with pytest.raises(InputError, match=r"chignolin\.trr: forces are not finite"):
        map_trajectories_to(tmp_path / "cln.h5", *arguments)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shift", [0.0, 40.0, -1500.0])
def test_positions_that_no_pdb_holds_are_centred_there_alone(tmp_path, examples, capsys, chignolin, shift):
    universe = MDAnalysis.Universe(examples / "chignolin.pdb", examples / "chignolin.trr")
    with MDAnalysis.Writer(str(tmp_path / "far.trr"), 166) as writer:
        for step in universe.trajectory:
            step.positions += shift
            writer.write(universe.atoms)
    call = ["map", examples / "chignolin.pdb", tmp_path / "far.trr", "--temperature", "300", "-o"]
    assert main([*map(str, call), str(tmp_path / "cln.h5")]) == 0
    expected = chignolin.positions[0] + shift
    np.testing.assert_allclose(
        read_dataset(tmp_path / "cln.h5")["cln/300/0"].positions[0], expected, atol=1e-3
    )
    assert ("cln.pdb: centred" in capsys.readouterr().err) == (shift < -1000)
    if shift < -1000:
        expected = expected - expected.mean(axis=0)
    written = MDAnalysis.Universe(tmp_path / "cln.psf", tmp_path / "cln.pdb").atoms.positions
    np.testing.assert_allclose(written, expected, atol=2e-3)
    assert not list(tmp_path.glob("*.partial"))


def test_molecules_that_no_pdb_holds_are_refused_and_nothing_stays(tmp_path, inputs):
    with h5py.File(inputs[0], "r+") as file:
        for temperature in ("320", "348"):
            for replica in file[f"1abcA00/{temperature}"].values():
                del replica["box"]
                replica["coords"][:, 100:] += 20_000.0
    with pytest.raises(InputError, match=r"too far apart for a PDB"):
        map_files_to(tmp_path / "far.h5", inputs[:1], load_rules("heavy"))
    assert not list(tmp_path.glob("far*"))


def test_secondary_structure_is_counted_where_mdcath_did_not(tmp_path, examples):
    map_trajectories_to(
        tmp_path / "cln.h5",
        examples / "chignolin.pdb",
        [examples / "chignolin.trr"],
        load_rules("heavy"),
        "cln",
        300.0,
    )
    with h5py.File(tmp_path / "cln.h5") as file:
        attributes = dict(file["cln/300/0"].attrs)
    assert attributes["alpha"] + attributes["beta"] + attributes["coil"] == pytest.approx(10)
    assert attributes["beta"] > 0  # a hairpin
    assert 0.4 < attributes["min_gyration_radius"] <= attributes["max_gyration_radius"] < 0.8


@pytest.mark.slow
def test_torchmd_train_runs_an_epoch_on_our_files(inputs, tmp_path, examples):
    pytest.importorskip("torchmdnet")
    map_campaign(inputs, load_rules("heavy"), tmp_path / "out")
    command = [
        str(Path(sys.executable).with_name("torchmd-train")),
        "--conf",
        str(examples / "torchmd_train.yaml"),
    ]
    command += ["--dataset-root", str(tmp_path / "out"), "--log-dir", str(tmp_path / "log")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr[-2000:]
    rows = (tmp_path / "log" / "metrics.csv").read_text().splitlines()
    first_epoch = dict(zip(rows[0].split(","), rows[1].split(","), strict=True))
    assert 1 < float(first_epoch["train_neg_dy_mse_loss"]) < 1e4
    assert list((tmp_path / "log").glob("*.ckpt"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--workers", "2"], "need a folder"),
        (["--workers", "0"], "1 or more"),
        (["--name", "x"], "leave them out"),
        (["--check"], "must end in .png"),
    ],
)
def test_wrong_calls(inputs, tmp_path, capsys, options, words):
    assert main(["map", str(inputs[0]), "-o", str(tmp_path / "x.h5"), *options]) == UsageError.exit_code
    assert words in capsys.readouterr().err


def test_a_file_that_would_be_left_out_is_refused(inputs, tmp_path, capsys):
    """Two of one domain would be written to one file by two processes; a check reads the first file alone."""
    again = tmp_path / "again" / inputs[0].name
    with pytest.raises(UsageError, match="1abcA00 is given twice"):
        map_campaign([inputs[0], again], load_rules("heavy"), tmp_path / "out")
    assert not (tmp_path / "out").exists()
    call = ["map", "--check", *map(str, inputs), "-o", str(tmp_path / "x.png")]
    assert main(call) == UsageError.exit_code
    assert "one mdCATH file" in capsys.readouterr().err


def test_a_domain_without_a_trajectory_is_passed_over(inputs, tmp_path):
    with h5py.File(inputs[0], "a") as file, h5py.File(inputs[1]) as other:
        other.copy("2xyzB01", file, "9none00")
        for temperature in ("320", "348"):
            del file["9none00"][temperature]
    report, _ = map_campaign(inputs[:1], load_rules("heavy"), tmp_path / "out")
    assert report.n_trajectories == 4


def test_check_sees_another_mean(tmp_path, examples, chignolin_atoms):
    """Means that depend on the positions differ; noise alone does not."""
    generator = np.random.default_rng(3)
    beads = generator.normal(size=(400, 3, 3)) + np.arange(3)[None, :, None] * 3.0
    pairs = np.array([[0, 1], [1, 0], [1, 2], [2, 1]])
    noise = generator.normal(size=(400, 3, 3))
    assert disagreement(noise, beads, pairs) < 1.5
    pull = 0.3 * (beads[:, [1, 0, 1]] - beads) / 3.0
    assert disagreement(noise + pull, beads, pairs) > 1.5
    assert disagreement(0 * noise, beads, pairs) == 0.0


def test_check_prints_and_plots(inputs, tmp_path, capsys):
    assert main(["map", "--check", str(inputs[0]), "--mapping", "ca", "-o", str(tmp_path / "x.png")]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()[3:]] == ["sum", "slice", "optimal"]
    assert (tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")
    check = check_forces([inputs[0]], load_rules("ca"))
    assert min(one.excess_noise for one in check.maps) == 0.0
    assert check.n_rigid == 0  # shaken by 0.05 Å


def test_a_check_on_few_frames_says_how_many_it_wants(examples):
    with pytest.raises(InputError, match=r"^4 frames: .* give 40 or more"):
        check_forces([examples / "chignolin.pdb", examples / "chignolin.trr"], load_rules("heavy"))
