"""Shards: readable by TensorFlow, random access, and no damaged byte passes."""

import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from data import prepare, tfrecord
from data.drawn import drawn_faces
from pictures import codecs

SIZE = 4
COUNT = 7


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    source, out = tmp_path_factory.mktemp("faces"), tmp_path_factory.mktemp("shards")
    for number, face in enumerate(drawn_faces(COUNT, SIZE, channels=1)):
        codecs.write(source / f"{number}.png", face)
    prepare.prepare(source, out, prepare.Settings(SIZE, 1, crop=4), images_per_shard=3)
    return out


@pytest.fixture
def shards(prepared, tmp_path):
    """A copy that a test may damage."""
    return shutil.copytree(prepared, tmp_path / "shards")


def refusal(folder, indices=range(COUNT)) -> str:
    """The line with which opening the folder and reading from it fails."""
    with pytest.raises(ValueError) as error:
        tfrecord.Shards(folder).read(np.array(indices))
    assert "\n" not in str(error.value)
    return str(error.value).removeprefix(f"{folder}/")


def test_tensorflow_reads_the_shards(prepared):
    files = sorted(str(file) for file in prepared.glob("*.tfrecord"))
    records = [record.numpy() for record in tf.data.TFRecordDataset(files)]
    pictures = np.frombuffer(b"".join(records), np.uint8).reshape(COUNT, SIZE, SIZE, 1)
    np.testing.assert_array_equal(pictures, drawn_faces(COUNT, SIZE, channels=1))


def test_pictures_are_read_in_any_order_and_number(prepared):
    shards, faces = tfrecord.Shards(prepared), drawn_faces(COUNT, SIZE, channels=1)
    assert shards.count == COUNT
    for indices in ([6, 0, 3, 2, 5, 1, 4], [2, 2], [], [6]):
        indices = np.array(indices, np.int64)
        np.testing.assert_array_equal(shards.read(indices), faces[indices])


def test_every_flipped_byte_is_found(shards):
    file = shards / "shard-00001-of-00003.tfrecord"
    whole = file.read_bytes()
    reader = tfrecord.Shards(shards)
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        file.write_bytes(damaged)
        record = position // reader.length
        with pytest.raises(ValueError, match=f"{file.name}: record {record} is damaged"):
            reader.read(np.arange(COUNT))
    file.write_bytes(whole)
    reader.read(np.arange(COUNT))


def test_undamaged_records_of_a_damaged_shard_are_read(shards):
    file = shards / "shard-00001-of-00003.tfrecord"
    content = bytearray(file.read_bytes())
    content[0] ^= 1
    file.write_bytes(content)
    assert tfrecord.Shards(shards).read(np.array([0, 4, 5, 6])).shape == (4, SIZE, SIZE, 1)


def test_a_missing_shard_is_named(shards):
    (shards / "shard-00002-of-00003.tfrecord").unlink()
    assert refusal(shards).startswith("shard-00002-of-00003.tfrecord: missing shard; run data.prep")


def test_a_truncated_shard_is_named_before_it_is_read(shards):
    file = shards / "shard-00000-of-00003.tfrecord"
    file.write_bytes(file.read_bytes()[:-1])
    assert refusal(shards, []).startswith(f"{file.name}: 95 bytes instead of 96; run data.prepare")


def test_a_shard_that_goes_while_in_use_is_named(shards):
    reader = tfrecord.Shards(shards)
    (shards / "shard-00002-of-00003.tfrecord").unlink()
    with pytest.raises(OSError, match="shard-00002-of-00003.tfrecord"):
        reader.read(np.array([6]))


@pytest.mark.parametrize(
    ("file", "content", "line"),
    [
        ("shard-00000-of-00003.json", None, "shard-00000-of-00003.json: missing"),
        ("shard-00000-of-00003.json", b'{"sha256": ', "shard-00000-of-00003.json: damaged"),
        ("shard-00000-of-00003.json", b"{}", "shard-00000-of-00003.json: belongs to another"),
        ("manifest.json", b"", "manifest.json: damaged"),
        ("manifest.json", b"\xff\xfe", "manifest.json: damaged"),
        ("manifest.json", b"[]", "manifest.json: not written by data.prepare"),
        ("manifest.json", b'{"format": 9}', "manifest.json: format 9, expected 1"),
    ],
)
def test_damaged_descriptions_are_named(shards, file, content, line):
    (shards / file).unlink()
    if content is not None:
        (shards / file).write_bytes(content)
    assert refusal(shards).startswith(line)


def test_unfinished_folders_are_not_taken_for_pictures(shards, tmp_path):
    assert tfrecord.is_prepared(shards)
    assert not tfrecord.is_prepared(tmp_path)
    assert not tfrecord.is_prepared(tmp_path / "nowhere")
    (shards / "manifest.json").unlink()
    with pytest.raises(ValueError, match="unfinished, no manifest.json; run data.prepare again"):
        tfrecord.is_prepared(shards)


@pytest.mark.parametrize(
    ("wanted", "line"),
    [
        ((8, 1, None), "prepared with 4, not with --image-size 8"),
        ((4, 3, None), "prepared with 1, not with --channels 3"),
        ((4, 1, 108), "prepared with 4, not with --crop 108"),
    ],
)
def test_pictures_prepared_otherwise_are_refused(prepared, wanted, line):
    with pytest.raises(ValueError, match=line):
        tfrecord.Shards(prepared).must_hold(*wanted)


def test_pictures_prepared_so_are_taken(prepared):
    for crop in (None, 4):
        tfrecord.Shards(prepared).must_hold(4, 1, crop)


def test_the_manifest_is_plain_json(prepared):
    manifest = json.loads((prepared / "manifest.json").read_text())
    assert {k: manifest[k] for k in ("format", "image_size", "channels", "crop", "count")} == {
        "format": 1,
        "image_size": 4,
        "channels": 1,
        "crop": 4,
        "count": 7,
    }
