"""align-dlib.py --engine ray: what one process makes, file for file, whoever dies on the way."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from align import run
from align.cluster import Ray
from data.drawn import drawn_faces
from pictures import codecs

NEEDS_RAY = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="pip install -r requirements-ray.txt"
)

COMMAND = Path(__file__).parents[2] / "align" / "align-dlib.py"
COUNT = 30


@pytest.fixture(scope="module")
def photographs(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("photographs")
    for number, face in enumerate(drawn_faces(COUNT, size=160)):
        canvas = np.full((400, 400, 3), 128, np.uint8)
        canvas[45:205, 45:205] = face
        codecs.write(folder / f"{number:02d}.png", cv2.GaussianBlur(canvas, (0, 0), 1.2))
    (folder / "text.jpg").write_text("not a photograph")
    return folder


@pytest.fixture(scope="module")
def expected(photographs, tmp_path_factory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("expected") / "out"
    assert len(list(run.align(photographs, out, run.Settings(), workers=1))) == COUNT + 1
    return contents(out)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def started(photographs: Path, out: Path, *flags: str) -> subprocess.Popen:
    command = [sys.executable, COMMAND, photographs, "align", run.Settings().landmarks, out]
    return subprocess.Popen([*command, "--engine", "ray", *flags], stderr=subprocess.PIPE)


def wait_for_records(out: Path, count: int, process: subprocess.Popen) -> None:
    manifest = out / "manifest.jsonl"
    while not manifest.exists() or manifest.read_bytes().count(b"\n") < count:
        assert process.poll() is None, process.stderr.read().decode()
        time.sleep(0.02)


@NEEDS_RAY
@pytest.mark.slow
def test_on_this_machine_alone(photographs, expected, tmp_path):
    process = started(photographs, tmp_path / "out", "--workers", "2")
    _, error = process.communicate()
    assert process.returncode == 1 and error.decode().count("passed over") == 1, error
    assert contents(tmp_path / "out") == expected
    again = [before for _, before in run.align(photographs, tmp_path / "out", run.Settings())]
    assert again.count(False) == 1  # the one that cannot be read is tried again


@NEEDS_RAY
@pytest.mark.slow
def test_a_driver_and_a_machine_of_two_are_killed(photographs, expected, tmp_path):
    from ray.cluster_utils import Cluster

    out = tmp_path / "out"
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        other = cluster.add_node(num_cpus=1)
        process = started(photographs, out, "--address", cluster.address)
        wait_for_records(out, 3, process)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        done = {p.name: p.stat().st_mtime_ns for p in out.glob("*.png")}
        recorded = (out / "manifest.jsonl").read_text()
        process = started(photographs, out, "--address", cluster.address)
        wait_for_records(out, recorded.count("\n") + 3, process)
        assert process.poll() is None, "it was to be killed on the way"
        cluster.remove_node(other, allow_graceful=False)
        _, error = process.communicate()
    finally:
        cluster.shutdown()
    assert process.returncode == 1, error
    assert contents(out) == expected
    kept = [name for name in done if f'"name": "{name[:-4]}"' in recorded]
    assert len(kept) >= 3
    assert all((out / name).stat().st_mtime_ns == done[name] for name in kept)


@NEEDS_RAY
@pytest.mark.slow
@pytest.mark.parametrize("address", ["127.0.0.1:9", "somewhere"])
def test_no_cluster_at_the_address(photographs, tmp_path, address):
    process = started(photographs, tmp_path / "out", "--address", address)
    _, error = process.communicate()
    assert process.returncode == 2
    (line,) = error.decode().splitlines()
    assert line.startswith(f"error: --address {address}: ")


def test_without_ray(tmp_path, monkeypatch):
    codecs.write(tmp_path / "in" / "a.png", np.zeros((20, 20, 3), np.uint8))
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ValueError, match="pip install -r requirements-ray.txt"):
        list(run.align(tmp_path / "in", tmp_path / "out", run.Settings(), engine=Ray()))


@pytest.mark.parametrize(
    ("flags", "idle"),
    [(["--address", "auto"], "--address"), (["--engine", "ray", "--address", "auto"], "--workers")],
)
def test_flags_that_would_change_nothing(flags, idle, tmp_path):
    command = [sys.executable, COMMAND, tmp_path, "align", run.Settings().landmarks, tmp_path / "o"]
    done = subprocess.run([*command, *flags, "--workers", "2"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"error: {idle} has no effect")
