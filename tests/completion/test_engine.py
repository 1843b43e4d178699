"""complete.py and translate.py --engine ray: what one process makes, file for file, whoever dies on
the way."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from calling import FEW, painted, write
from lively import lively, saved
from one_pass import pix2pix, shaken
from processes import ROOT, without_tensorflow

import export
from data.drawn import drawn_faces
from pictures import codecs
from training import checkpoint

NEEDS_RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="pip install -r requirements-ray.txt"
)
COUNT, BATCH = 26, 3


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with pictures, of which one is none, and models."""
    folder = tmp_path_factory.mktemp("place")
    write(folder / "in", COUNT, size=24)
    (folder / "in" / "face007.png").write_text("no picture")
    saved(folder / "prior", lively())
    shaken(pix2pix(damage="noise", guide="none")).state.save(folder / "mender")
    shaken(pix2pix()).state.save(folder / "network")
    export.export(
        folder / "network", checkpoint.load(folder / "network"), folder / "exported", "onnx"
    )
    return folder


IN_BATCHES = ("--batch-size", BATCH, "--alternatives", 2)
COMMANDS = {
    "search": ("complete.py", "--checkpointDir", "prior", *FEW, *IN_BATCHES),
    "network": ("complete.py", "--checkpointDir", "exported", *IN_BATCHES),
    "mending": ("translate.py", "--checkpointDir", "mender"),
}


def started(place: Path, name: str, out: str, *flags) -> subprocess.Popen:
    script, *own = COMMANDS[name]
    words = ["in", "--outDir", out, *own, *flags]
    command = [sys.executable, str(ROOT / script), *map(str, words)]
    return subprocess.Popen(command, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def ended(process: subprocess.Popen) -> tuple[str, list[str]]:
    """The last line of standard output, and what of standard error the program says."""
    output, error = (text.decode() for text in process.communicate())
    assert process.returncode == 1, error
    told = [line for line in error.splitlines() if line.startswith("passed over")]
    return output.splitlines()[-1], told


def contents(out: Path) -> dict[str, object]:
    found = {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    return found | {"report.json": entries(out)}


def entries(out: Path) -> list[dict]:
    return [
        {key: value for key, value in entry.items() if key != "seconds"}
        for entry in json.loads((out / "report.json").read_text())
    ]


@pytest.fixture(scope="module")
def expected(place):
    """What one process writes and says by each command."""
    found = {}
    for name in COMMANDS:
        said = ended(started(place, name, f"one-{name}"))
        found[name] = contents(place / f"one-{name}"), said[1]
    return found


@contextmanager
def two_machines():
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        yield cluster, cluster.add_node(num_cpus=1)
    finally:
        cluster.shutdown()


def wait_for(found, process: subprocess.Popen):
    while not (value := found()):
        assert process.poll() is None, "it was to be killed on the way"
        time.sleep(0.01)
    return value


def workers(place: Path) -> list[int]:
    """The processes of Ray's that work in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            name = (process / "cmdline").read_bytes()
            if name.startswith(b"ray::") and os.readlink(process / "cwd") == str(place):
                found.append(int(process.name))
        except OSError:  # it has ended
            continue
    return found


def done(out: Path) -> int:
    journal = out / "report.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


@NEEDS_RAY
@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_a_worker_and_a_machine_of_two_are_killed(name, place, expected):
    out = place / f"machine-{name}"
    with two_machines() as (cluster, other):
        process = started(place, name, out.name, "--engine", "ray", "--address", cluster.address)
        os.kill(wait_for(lambda: workers(place), process)[0], signal.SIGKILL)
        wait_for(lambda: done(out) >= BATCH, process)
        cluster.remove_node(other, allow_graceful=False)
        _, told = ended(process)
    assert contents(out) == expected[name][0]
    assert told == expected[name][1] and len(told) == 1


@NEEDS_RAY
@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_is_killed_and_run_again(name, place, expected):
    out = place / f"command-{name}"
    flags = ("--engine", "ray", "--workers", 2)
    process = started(place, name, out.name, *flags)
    wait_for(lambda: done(out) >= BATCH, process)
    process.kill()
    process.communicate()
    kept = [p for e in journal(out) if (p := out / e["result"]).exists()]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert before
    said, _ = ended(started(place, name, out.name, *flags))
    assert f"{len(before)} done before, 1 passed over" in said
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())
    found, whole = contents(out), expected[name][0]
    parts = ("results/", "masks/", "alternatives/")
    assert all(found[name] == whole[name] for name in whole if name.startswith(parts))
    assert not [name for name in found if Path(name).name.startswith(".")]
    said, _ = ended(started(place, name, out.name, *flags))
    assert f"{COUNT - 1} done before" in said and contents(out) == found


def journal(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "report.jsonl").read_bytes().splitlines()]


def by_ray(folder: Path, *words) -> subprocess.CompletedProcess:
    command = [sys.executable, ROOT / "complete.py", *words, "--engine", "ray", "--workers", 2]
    return subprocess.run([*map(str, command)], cwd=folder, capture_output=True, text=True)


@NEEDS_RAY
@pytest.mark.slow
@pytest.mark.parametrize("model", [("prior", *FEW), ("exported",)])
def test_what_lies_under_the_hole_reaches_no_result(model, place, tmp_path):
    painted(tmp_path / "mask.png", 24, slice(5, 17), slice(4, 19))
    hidden = codecs.read(tmp_path / "mask.png", 1) > 0
    noise = np.random.default_rng(0)
    for number, pixels in enumerate(drawn_faces(4, 24)):
        codecs.write(tmp_path / "in" / "as-it-is" / f"{number}.png", pixels)
        other = np.where(hidden, noise.integers(0, 256, pixels.shape, np.uint8), pixels)
        codecs.write(tmp_path / "in" / "other" / f"{number}.png", other)
    out, (folder, *few) = tmp_path / "out", model
    words = ("in", "--mask", "mask.png", "--batch-size", 3, "--alternatives", 2, "--outDir", out)
    ended = by_ray(tmp_path, *words, "--checkpointDir", place / folder, *few)
    assert ended.returncode == 0, ended.stderr
    made = sorted(file for file in out.rglob("*as-it-is*") if file.is_dir() or file.suffix)
    assert len(made) == 4 * (len(("result", "mask", "sheet")) + 1)
    for file in filter(Path.is_file, [*made, *out.glob("alternatives/as-it-is*/*")]):
        other = str(file).replace("as-it-is", "other")
        assert file.read_bytes() == Path(other).read_bytes(), file
    told = [
        {key: entry.get(key) for key in ("steps", "first_loss", "last_loss", "losses")}
        for entry in sorted(entries(out), key=lambda entry: entry["name"])
    ]
    assert told[:4] == told[4:] and len(told) == 8


@NEEDS_RAY
@pytest.mark.slow
def test_what_is_bad_is_named_in_one_line(place, tmp_path):
    write(tmp_path / "in", 3, size=24)
    whole = (tmp_path / "in" / "face000.png").read_bytes()
    (tmp_path / "in" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "in" / "empty.png").write_bytes(b"")
    (tmp_path / "in" / "folder.png").mkdir()
    (tmp_path / "in" / "folder.png" / "within.png").write_bytes(whole)
    (tmp_path / "in" / "link.png").symlink_to("nowhere")
    bad = ("cut.png", "empty.png", "link.png")
    ended = by_ray(tmp_path, "in", "--checkpointDir", place / "exported")
    told = ended.stderr.splitlines()
    assert ended.returncode == 1 and len(told) == len(bad)
    for name, line in zip(bad, told, strict=True):
        assert line.startswith(f"passed over in/{name}: ")
    assert "4 completed, 0 done before, 3 passed over" in ended.stdout
    codecs.write(tmp_path / "mask.png", np.full((24, 40, 1), 255, np.uint8))
    ended = by_ray(
        tmp_path, "in/face000.png", "--mask", "mask.png", "--checkpointDir", place / "exported"
    )
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and line.startswith("passed over ") and "mask.png" in line


@NEEDS_RAY
@pytest.mark.slow
def test_a_network_that_no_worker_can_read(place, tmp_path):
    shutil.copytree(place / "exported", tmp_path / "exported")
    (tmp_path / "exported" / "model.onnx").write_bytes(b"no network")
    write(tmp_path / "in", 3, size=24)
    ended = by_ray(tmp_path, "in", "--checkpointDir", "exported")
    (line,) = ended.stderr.splitlines()
    assert ended.returncode == 2 and line.startswith("error: exported/model.onnx: cannot be read")


@pytest.mark.parametrize(
    ("flags", "idle"),
    [
        (("--address", "auto"), "--address"),
        (("--engine", "ray", "--address", "auto", "--workers", "2"), "--workers"),
        (("--engine", "ray", "--preview"), "--engine ray"),
    ],
)
def test_flags_that_would_change_nothing(flags, idle, tmp_path):
    done = without_tensorflow(ROOT / "complete.py", "in", *flags, cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {idle} has no effect")
