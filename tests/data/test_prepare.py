"""data.prepare: what it writes, what it keeps, and what interruptions leave."""

import fcntl
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import cli
from data import prepare, tfrecord
from data.drawn import drawn_faces
from pictures import codecs

ROOT = Path(__file__).parents[2]
SETTINGS = prepare.Settings(image_size=8)
PEOPLE = {"ann": 5, "bob": 3, "cy": 4}


@pytest.fixture
def source(tmp_path):
    """Twelve faces of three people, a folder each, and one file that cannot be read."""
    source = tmp_path / "source"
    faces = iter(drawn_faces(sum(PEOPLE.values()), 12))
    for person, count in PEOPLE.items():
        for number in range(count):
            codecs.write(source / person / f"{number}.png", next(faces))
    (source / "bob" / "1a.jpg").write_text("not a picture")
    return source


def run(source, out, **options):
    return prepare.prepare(source, out, SETTINGS, **{"images_per_shard": 4, **options})


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def indices(out):
    return [json.loads(path.read_text()) for path in sorted(out.glob("shard-*.json"))]


# What it writes


def test_shards_hold_the_pictures_in_the_order_of_their_names(source, tmp_path):
    run(source, tmp_path / "out")
    shards = tfrecord.Shards(tmp_path / "out")
    names = [name for index in indices(tmp_path / "out") for name in index["names"]]
    assert names == sorted(f"{p}/{i}.png" for p, count in PEOPLE.items() for i in range(count))
    expected = [codecs.fit(codecs.read(source / name), 8) for name in names]
    np.testing.assert_array_equal(shards.read(np.arange(12)), expected)


def test_manifest_counts_labels_checksums_and_skipped_files(source, tmp_path):
    manifest, kept = run(source, tmp_path / "out")
    assert json.loads((tmp_path / "out" / "manifest.json").read_text()) == manifest
    assert kept == 0
    assert manifest["count"] == 12
    assert manifest["labels"] == PEOPLE
    assert [shard["count"] for shard in manifest["shards"]] == [4, 3, 4, 1]
    for shard in manifest["shards"]:
        content = (tmp_path / "out" / shard["file"]).read_bytes()
        assert shard["bytes"] == len(content) == shard["count"] * (8 * 8 * 3 + 16)
        assert shard["sha256"] == hashlib.sha256(content).hexdigest()
    ((name, reason),) = manifest["skipped"]
    assert name == "bob/1a.jpg" and reason.startswith("not a readable picture")
    assert indices(tmp_path / "out")[2]["labels"] == ["bob", "cy", "cy", "cy"]


def test_the_files_do_not_depend_on_the_workers(source, tmp_path):
    for workers in (1, 3):
        run(source, tmp_path / str(workers), workers=workers)
    assert contents(tmp_path / "1") == contents(tmp_path / "3")


def test_crop_and_channels_are_those_of_images(source, tmp_path):
    settings = prepare.Settings(image_size=4, channels=1, crop=6)
    prepare.prepare(source, tmp_path / "out", settings)
    expected = codecs.fit(codecs.read(source / "ann/0.png", 1), 4, 6)
    (picture,) = tfrecord.Shards(tmp_path / "out").read(np.array([0]))
    np.testing.assert_array_equal(picture, expected)


# What it keeps


def test_running_again_changes_nothing(source, tmp_path):
    out = tmp_path / "out"
    run(source, out)
    times = {path: path.stat().st_mtime_ns for path in out.glob("shard*")}
    manifest, kept = run(source, out)
    assert kept == 4
    assert {path: path.stat().st_mtime_ns for path in out.glob("shard*")} == times


def leave_a_temporary_file(out):
    (out / ".shard-00001-of-00004.0a1b2c3d.tfrecord").write_bytes(b"half a sha")
    (out / ".manifest.0a1b2c3d.json").write_bytes(b"{")


def leave_no_manifest(out):
    (out / "manifest.json").unlink()


def leave_a_shard_without_index(out):
    leave_no_manifest(out)
    (out / "shard-00001-of-00004.json").unlink()


def leave_an_index_without_shard(out):
    (out / "shard-00001-of-00004.tfrecord").unlink()


def leave_a_damaged_index(out):
    (out / "shard-00001-of-00004.json").write_text('{"inputs":')


def leave_a_flipped_byte(out):
    file = out / "shard-00001-of-00004.tfrecord"
    file.write_bytes(file.read_bytes()[:-1] + b"!")


def leave_shards_of_another_division(out):
    leave_no_manifest(out)
    shutil.copy(out / "shard-00000-of-00004.tfrecord", out / "shard-00000-of-00002.tfrecord")
    shutil.copy(out / "shard-00000-of-00004.json", out / "shard-00000-of-00002.json")


@pytest.mark.parametrize(
    ("damage", "kept"),
    [
        (leave_a_temporary_file, 4),
        (leave_no_manifest, 4),
        (leave_a_shard_without_index, 3),
        (leave_an_index_without_shard, 3),
        (leave_a_damaged_index, 3),
        (leave_a_flipped_byte, 3),
        (leave_shards_of_another_division, 4),
    ],
)
def test_running_again_repairs(source, tmp_path, damage, kept):
    out = tmp_path / "out"
    run(source, out)
    whole = contents(out)
    damage(out)
    assert run(source, out)[1] == kept
    assert contents(out) == whole


def test_a_changed_picture_remakes_its_shard_alone(source, tmp_path):
    out = tmp_path / "out"
    run(source, out)
    codecs.write(source / "ann" / "0.png", drawn_faces(1, 12, seed=1)[0])
    assert run(source, out)[1] == 3
    expected = codecs.fit(drawn_faces(1, 12, seed=1)[0], 8)
    np.testing.assert_array_equal(tfrecord.Shards(out).read(np.array([0]))[0], expected)


def test_a_kill_leaves_whole_shards_and_the_next_run_finishes(source, tmp_path):
    slowly = (
        "import sys, time; from data import prepare; from pictures import codecs\n"
        "read = codecs.read\n"
        "codecs.read = lambda *a: (time.sleep(.02), read(*a))[1]\n"
        "s, o = sys.argv[1:]\n"
        "prepare.prepare(s, o, prepare.Settings(8), images_per_shard=4, workers=1)"
    )
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", slowly, source, out], cwd=ROOT)
    while not list(out.glob("shard-00000-*.json")) and process.poll() is None:
        time.sleep(0.005)
    time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with pytest.raises(ValueError, match="unfinished"):
        tfrecord.is_prepared(out)
    kept = run(source, out)[1]
    assert 1 <= kept < 4
    run(source, tmp_path / "uninterrupted")
    assert contents(out) == contents(tmp_path / "uninterrupted")


def test_ctrl_c_leaves_no_temporary_files(source, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(prepare, "tqdm", lambda **_: Bar(interrupted))
    with pytest.raises(KeyboardInterrupt):
        run(source, tmp_path / "out", workers=2)
    assert not list((tmp_path / "out").glob(".*"))
    monkeypatch.undo()
    run(source, tmp_path / "out")
    assert tfrecord.Shards(tmp_path / "out").count == 12


class Bar:
    """Stands in for tqdm: calls a function where progress would show."""

    def __init__(self, update):
        self.update = update

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


# Faults


@pytest.mark.parametrize("name", ["empty", "missing", "unreadable"])
def test_no_pictures_is_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    (tmp_path / "unreadable").mkdir()
    (tmp_path / "unreadable" / "a.png").write_text("not a picture")
    with pytest.raises(ValueError, match=f"{name}: no") as error:
        run(tmp_path / name, tmp_path / "out")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_a_folder_with_other_things_is_left_alone(source, tmp_path):
    with pytest.raises(ValueError, match="ann: not a shard; choose an empty folder"):
        run(source, source)


def test_shards_of_other_settings_are_left_alone(source, tmp_path):
    run(source, tmp_path / "out")
    whole = contents(tmp_path / "out")
    with pytest.raises(ValueError, match="holds shards with image_size 8, not 16; choose another"):
        prepare.prepare(source, tmp_path / "out", prepare.Settings(16))
    assert contents(tmp_path / "out") == whole


def test_a_second_process_is_refused(source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    descriptor = os.open(out, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    with pytest.raises(ValueError, match="out: another process is writing into this folder"):
        run(source, out)
    os.close(descriptor)
    run(source, out)


def test_a_full_disk_is_one_line_and_leaves_no_rest(source, tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150, hard))  # less than a shard of one
    try:
        with pytest.raises(OSError, match="cannot be written") as error:
            run(source, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in cli.one_line(error.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_names_that_are_no_text_are_prepared(source, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")
    os.rename(source / "ann" / "0.png", source / "ann" / name)
    manifest, _ = run(source, tmp_path / "out")
    indices = [tfrecord.read_json(path) for path in (tmp_path / "out").glob("shard-*.json")]
    assert f"ann/{name}" in sum((index["names"] for index in indices), [])
    assert manifest["count"] == 12
    assert run(source, tmp_path / "out")[1] == 4  # all were there already


def test_a_link_that_leads_nowhere_is_named(source, tmp_path):
    (source / "gone.png").symlink_to("nothing.png")
    manifest, _ = run(source, tmp_path / "out")
    assert ["gone.png", "a link that leads nowhere"] in manifest["skipped"]


# The command


def test_the_command_says_what_it_did(source, tmp_path, capsys):
    out = str(tmp_path / "out")
    status = prepare.main(
        [str(source), out, "--size", "8", "--images-per-shard", "4", "--workers", "2"]
    )
    assert status == 1  # one was passed over
    captured = capsys.readouterr()
    assert captured.out.startswith(
        f"{out}: 12 pictures, 0.0 MB, 4 shards (0 were there already); 1 passed over"
    )
    assert f"passed over {source / 'bob/1a.jpg'}: not a readable picture" in captured.err


def test_the_command_answers_faults_with_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        cli.run(lambda: prepare.main([str(tmp_path / "nowhere"), str(tmp_path / "out")]))
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"error: {tmp_path / 'nowhere'}: no such file or folder\n"
