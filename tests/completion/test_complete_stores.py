"""Pictures from and results to URLs: what a folder gives, file for file, whoever is killed."""

import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from calling import FEW, assert_refused, painted, write
from one_pass import pix2pix, shaken
from processes import ROOT

import export
import translate
from data.drawn import drawn_faces
from pictures import codecs, files
from training import checkpoint

pytest.importorskip("fsspec", reason="pip install -r requirements-remote.txt")
COUNT = 12
NEEDS_STORE = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("s3fs", "moto", "flask_cors"))),
    reason="pip install -r requirements-dev.txt",
)
ENGINES = [
    (),
    pytest.param(
        ("--engine", "ray", "--workers", 2),
        marks=pytest.mark.skipif(
            importlib.util.find_spec("ray") is None, reason="pip install -r requirements-ray.txt"
        ),
    ),
]


def contents(out: Path) -> dict[str, object]:
    """What a folder holds; of reports what does not tell where and when."""
    found = {name: (out / name).read_bytes() for name in files.names_below(out)}
    if "report.json" in found:
        entries = json.loads(found["report.json"])
        found["report.json"] = [_told(entry) for entry in entries]
    if "manifest.jsonl" in found:
        records = [json.loads(line) for line in found["manifest.jsonl"].splitlines()]
        found["manifest.jsonl"] = [r | {"source": Path(r["source"]).name} for r in records]
    return found


def _told(entry: dict) -> dict:
    hole = entry["settings"].get("hole", {})
    if hole.get("file"):
        hole |= {"file": Path(hole["file"]).name, "modified": 0}
    for name in ("input", "source"):
        entry[name] = Path(entry[name]).name
    return {key: value for key, value in entry.items() if key not in ("modified", "seconds")}


def uploaded(folder: Path, url: str):
    to = files.path_of(url)
    for name in files.names_below(folder):
        (to / name).write_bytes((folder / name).read_bytes())
    return to


@pytest.fixture
def memory():
    from fsspec.implementations.memory import MemoryFileSystem

    yield "memory://store"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def test_completing_in_a_store(call, memory, tmp_path):
    write(tmp_path / "in", 3, size=24)
    (tmp_path / "in" / "face001.png").write_text("no picture")
    painted(tmp_path / "mask.png", 24, slice(4, 14), slice(6, 20))
    uploaded(tmp_path / "in", f"{memory}/in")
    mask = files.path_of(f"{memory}/mask.png")
    mask.write_bytes((tmp_path / "mask.png").read_bytes())
    flags = (*FEW, "--batch-size", 2, "--alternatives", 2)
    status, _, error = call("in", "--mask", "mask.png", "--outDir", "out", *flags)
    for done in (0, 2):
        remote = call(f"{memory}/in", "--mask", mask, "--outDir", f"{memory}/out", *flags)
        assert remote[0] == status
        assert remote[1].splitlines()[-1].startswith(f"{2 - done} completed, {done} done before, 1")
        assert f"passed over {memory}/in/face001.png: not a readable picture" in remote[2]
    assert status == 1 and "passed over in/face001.png: not a readable picture" in error
    assert contents(files.path_of(f"{memory}/out")) == contents(tmp_path / "out")
    (files.path_of(f"{memory}/out") / "results" / "face002.png").unlink()
    again = call(f"{memory}/in", "--mask", mask, "--outDir", f"{memory}/out", *flags)
    assert "1 completed, 1 done before" in again[1]


def test_mending_in_a_store(memory, tmp_path, monkeypatch, capsys):
    write(tmp_path / "in", 2, size=24)
    uploaded(tmp_path / "in", f"{memory}/in")
    shaken(pix2pix(damage="noise", guide="none")).state.save(tmp_path / "mender")
    monkeypatch.chdir(tmp_path)
    for done, (given, out) in enumerate(
        [("in", "out"), (f"{memory}/in", f"{memory}/out"), (f"{memory}/in", f"{memory}/out")]
    ):
        words = ["translate.py", given, "--outDir", out, "--checkpointDir", "mender"]
        monkeypatch.setattr(sys, "argv", words)
        assert translate.main() == 0
        assert f"{2 * (done == 2)} done before" in capsys.readouterr().out
    assert contents(files.path_of(f"{memory}/out")) == contents(tmp_path / "out")


def test_places_where_nothing_can_be_read_or_written(call, memory, tmp_path):
    write(tmp_path / "in", 1)
    assert_refused(call(f"{memory}/in", *FEW), f"{memory}/in: no such file or folder")
    assert_refused(call("in", *FEW, "--mask", f"{memory}/m.png"), f"{memory}/m.png: no such file")
    assert_refused(call("in", *FEW, "--outDir", "nope://out/x"), "nope://out/x: Protocol not known")
    assert_refused(call("in", *FEW, "--outDir", "http://out/x"), "http://out/x: files can be read")


# An object store that answers on this machine


@pytest.fixture(scope="module")
def store():
    """The URL of a bucket, and the environment in which commands reach it."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    own = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own.items():
            patch.setenv(name, value)
        import s3fs

        s3fs.S3FileSystem().mkdir("bucket")
        yield "s3://bucket"
    server.stop()


@pytest.fixture(scope="module")
def place(store, tmp_path_factory) -> Path:
    """A folder with pictures, of which one is none, an exported network, and what it gives."""
    folder = tmp_path_factory.mktemp("place")
    for number, face in enumerate(drawn_faces(COUNT, size=160)):
        canvas = np.full((250, 250, 3), 128, np.uint8)
        canvas[45:205, 45:205] = face
        codecs.write(folder / "in" / f"face{number:03d}.png", cv2.GaussianBlur(canvas, (0, 0), 1.2))
    (folder / "in" / "face007.png").write_text("no picture")
    shaken(pix2pix()).state.save(folder / "network")
    saved = checkpoint.load(folder / "network")
    export.export(folder / "network", saved, folder / "exported", "onnx")
    uploaded(folder / "in", f"{store}/in")
    for name in COMMANDS:
        process = started(place=folder, name=name, given="in", out=f"one-{name}")
        assert process.communicate() and process.returncode == 1
    return folder


COMMANDS = {
    "complete": ("complete.py", "IN", "--outDir", "OUT", "--checkpointDir", "exported"),
    "align": ("align/align-dlib.py", "IN", "align", "innerEyesAndBottomLip", "OUT"),
}
IN_BATCHES = {"complete": ("--batch-size", "1"), "align": ()}


def started(place: Path, name: str, given: str, out: str, *flags) -> subprocess.Popen:
    words = [{"IN": given, "OUT": out}.get(word, word) for word in COMMANDS[name]]
    words[0] = str(ROOT / words[0])
    command = [sys.executable, *words, *IN_BATCHES[name], *map(str, flags)]
    return subprocess.Popen(
        command, cwd=place, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )


@NEEDS_STORE
@pytest.mark.slow
@pytest.mark.parametrize("flags", ENGINES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_killed_and_run_again(name, flags, store, place):
    url = f"{store}/{name}-{len(flags)}"
    out = files.path_of(url)
    process = started(place, name, f"{store}/in", url, *flags)
    while len([n for n in files.names_below(out) if n.startswith(("results/face", "face"))]) < 3:
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    process = started(place, name, f"{store}/in", url, *flags)
    said, error = process.communicate()
    assert process.returncode == 1, error
    assert f"passed over {store}/in/face007.png: " in error
    found, expected = contents(out), contents(place / f"one-{name}")
    same = [n for n in expected if n.startswith(("results/", "masks/", "face"))]
    assert len(same) > COUNT // 2 and all(found[n] == expected[n] for n in same)
    assert not [n for n in found if "-parts/" in n or Path(n).name.startswith(".")]
    process = started(place, name, f"{store}/in", url, *flags)
    said, _ = process.communicate()
    before = f"{COUNT - 1} done before" if name == "complete" else f"({COUNT - 1} of them before)"
    assert before in said and contents(out) == found


@NEEDS_STORE
@pytest.mark.slow
@pytest.mark.parametrize("flags", ENGINES)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_store_holds_what_a_folder_does(name, flags, store, place):
    out = f"{store}/whole-{name}-{len(flags)}"
    _, error = (process := started(place, name, f"{store}/in", out, *flags)).communicate()
    assert process.returncode == 1 and "face007.png: not a readable picture" in error
    assert contents(files.path_of(out)) == contents(place / f"one-{name}")


@NEEDS_STORE
@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "environment", "why"),
    [
        ("s3://none/in", {}, "s3://none/in: no such file or folder"),
        ("s3://bucket/in", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "Could not connect"),
        ("s3://bucket/in", {"AWS_ACCESS_KEY_ID": ""}, "Unable to locate credentials"),
    ],
)
def test_a_store_that_does_not_answer(given, environment, why, store, place, monkeypatch):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    process = started(place, "complete", given, "out")
    _, error = process.communicate()
    (line,) = error.splitlines()
    assert process.returncode == 2 and line.startswith(f"error: {given}: ") and why in line
