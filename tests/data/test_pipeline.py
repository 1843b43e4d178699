"""Training data: every kind of picture, the order of batches, memory or not, several workers."""

import random
import tracemalloc

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data import pipeline, prepare
from data.drawn import drawn_faces
from data.pipeline import Data, available_bytes, open_dataset
from pictures import codecs

SIZE = 8


def write_faces(folder, count=12, size=SIZE):
    """Faces 000.png, 001.png, ... that differ from one another; returns them as bytes."""
    faces = drawn_faces(count, size)
    for number, face in enumerate(faces):
        codecs.write(folder / f"{number:03d}.png", face)
    return faces


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    write_faces(folder)
    return folder


@pytest.fixture(scope="module")
def shards(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("shards")
    prepare.prepare(folder, out, prepare.Settings(SIZE), images_per_shard=5)
    return out


def batches(data, epoch=0, **options):
    with data.reading():
        return [batch.numpy() for batch in data.epoch(epoch, **options)]


def only_line(error) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


def fake(count, batch_size, seed=0):
    """Data whose pictures are never loaded: for what concerns their order."""
    return Data(None, count, SIZE, 3, batch_size, seed, True, [], [])


# The pictures


def write_one_of_each_kind(folder):
    rgb = Image.fromarray(drawn_faces(1, 32)[0])
    saved = {
        "grey.png": rgb.convert("L"),
        "palette.png": rgb.quantize(16),
        "alpha.png": rgb.convert("RGBA"),
        "grey_alpha.png": rgb.convert("LA"),
        "bilevel.bmp": rgb.convert("1"),
        "deep.png": Image.fromarray(np.arange(1024, dtype=np.uint16).reshape(32, 32) * 64),
        "ink.jpg": rgb.convert("CMYK"),
        "UPPER.JPEG": rgb,
        "nested/deeper/still.webp": rgb,
        "wide.bmp": rgb.resize((48, 20)),
    }
    for name, image in saved.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: turn by 90 degrees
    rgb.resize((48, 20)).save(folder / "turned.jpg", exif=turned)
    return len(saved) + 1


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("memory_limit_bytes", [0, 10**9])
def test_every_kind_of_picture_is_read(tmp_path, channels, memory_limit_bytes):
    count = write_one_of_each_kind(tmp_path)
    data = open_dataset(
        tmp_path, 16, channels, batch_size=count, memory_limit_bytes=memory_limit_bytes
    )
    assert (data.count, data.skipped, data.steps_per_epoch) == (count, [], 1)
    (batch,) = batches(data)
    assert batch.shape == (count, 16, 16, channels)
    assert batch.dtype == np.float32
    assert -1 <= batch.min() < -0.5 and 0.5 < batch.max() <= 1
    assert all(picture.std() > 0.1 for picture in batch)


def test_a_batch_holds_the_pixels_of_the_files(folder):
    faces = drawn_faces(12, SIZE)
    data = open_dataset(folder, SIZE, batch_size=5)
    for batch, numbers in zip(batches(data, epoch=3), data.order(3), strict=True):
        np.testing.assert_array_equal(batch, codecs.to_float(faces[numbers]))
        np.testing.assert_array_equal(codecs.to_bytes(batch), faces[numbers])


def test_crop_cuts_the_centre_before_resizing(tmp_path):
    face = np.zeros((32, 32, 3), np.uint8)
    face[8:24, 8:24] = 255
    codecs.write(tmp_path / "square.png", face)
    assert batches(open_dataset(tmp_path, SIZE, crop=16))[0].min() == 1
    assert batches(open_dataset(tmp_path, SIZE))[0].min() == -1


def test_train_size_takes_the_first_by_name(folder):
    data = open_dataset(folder, SIZE, train_size=4, batch_size=4)
    faces = drawn_faces(12, SIZE)[:4]
    np.testing.assert_array_equal(batches(data)[0], codecs.to_float(faces[data.order(0)[0]]))


# The order


def test_order_is_this_one_for_ever():
    assert fake(6, 2).order(0).tolist() == [[3, 2], [5, 4], [0, 1]]
    assert fake(6, 2).order(1).tolist() == [[1, 4], [3, 0], [2, 5]]


@settings(max_examples=50, deadline=None)
@given(
    count=st.integers(1, 500),
    batch_size=st.integers(1, 64),
    seed=st.integers(0, 2**63),
    epoch=st.integers(0, 10**6),
)
def test_an_epoch_shows_pictures_once_in_full_batches(count, batch_size, seed, epoch):
    data = fake(count, min(batch_size, count), seed)
    order = data.order(epoch)
    assert order.shape == (data.steps_per_epoch, data.batch_size)
    assert count - order.size < data.batch_size
    assert len(set(order.ravel())) == order.size and set(order.ravel()) <= set(range(count))


def test_every_epoch_drops_others():
    data = fake(10, 7)
    assert len({tuple(data.order(epoch).ravel()) for epoch in range(20)}) == 20
    assert set(np.concatenate([data.order(epoch).ravel() for epoch in range(20)])) == set(range(10))


def test_epochs_differ_and_repeat_under_one_seed(folder):
    first, again, other = (open_dataset(folder, SIZE, batch_size=4, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(batches(first, 5), batches(again, 5))
    assert not np.array_equal(batches(first, 5), batches(first, 6))
    assert not np.array_equal(batches(first, 5), batches(other, 5))


@pytest.mark.parametrize("start_step", [0, 1, 3, 4])
def test_a_resumed_epoch_is_the_rest_of_it(folder, start_step):
    data = open_dataset(folder, SIZE, batch_size=3)
    whole, rest = batches(data, 2), batches(data, 2, start_step=start_step)
    assert len(rest) == 4 - start_step
    for expected, batch in zip(whole[start_step:], rest, strict=True):
        np.testing.assert_array_equal(batch, expected)


def test_some_are_the_same_every_time_and_come_some_at_a_time(folder, monkeypatch):
    monkeypatch.setattr(pipeline, "TOGETHER", 3)
    data = open_dataset(folder, SIZE, batch_size=4)
    parts = list(data.some(8))
    assert [len(part) for part in parts] == [3, 3, 2]
    np.testing.assert_array_equal(np.concatenate(parts), np.concatenate(list(data.some(8))))
    everything = np.concatenate(list(data.some(100)))
    np.testing.assert_array_equal(everything, data.load(np.arange(data.count)))


def test_the_dataset_knows_its_length_and_shape(folder):
    dataset = open_dataset(folder, SIZE, batch_size=5).epoch(0)
    assert dataset.cardinality() == 2
    assert dataset.element_spec == tf.TensorSpec((5, SIZE, SIZE, 3), tf.float32)


def test_fewer_pictures_than_a_batch_make_one_batch(folder):
    data = open_dataset(folder, SIZE, batch_size=64)
    assert (data.batch_size, data.steps_per_epoch) == (12, 1)
    assert data.notes == ["12 pictures, fewer than a batch of 64: batches of 12"]
    assert batches(data)[0].shape[0] == 12


def test_memory_does_not_grow_with_the_epochs():
    data = fake(100_000, 64)
    data.load = lambda indices: np.zeros((len(indices), SIZE, SIZE, 3), np.uint8)
    tracemalloc.start()
    sizes = []
    for epoch in range(6):
        batches(data, epoch, start_step=data.steps_per_epoch - 1)
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    assert sizes[-1] - sizes[1] < data.order(0).nbytes  # one of the four orders since would be more


# In memory, from files, from shards


def test_memory_files_and_shards_give_the_same_batches(folder, shards):
    memory = open_dataset(folder, SIZE, batch_size=5, seed=4)
    limit = 12 * SIZE**2 * 3 - 1
    files = open_dataset(folder, SIZE, batch_size=5, seed=4, memory_limit_bytes=limit)
    prepared = open_dataset(shards, SIZE, batch_size=5, seed=4)
    assert (memory.in_memory, files.in_memory, prepared.in_memory) == (True, False, False)
    for epoch in (0, 1):
        np.testing.assert_array_equal(batches(files, epoch), batches(memory, epoch))
        np.testing.assert_array_equal(batches(prepared, epoch), batches(memory, epoch))


def test_what_does_not_fit_into_memory_is_said(folder):
    assert open_dataset(folder, SIZE, memory_limit_bytes=12 * SIZE**2 * 3).notes[1:] == []
    (note, _) = open_dataset(folder, SIZE, memory_limit_bytes=100).notes
    assert note.startswith("12 pictures take 0 MB, above the limit of 0 MB")


def test_there_is_memory():
    assert 2**20 < available_bytes() < 2**50


@pytest.mark.parametrize("memory_limit_bytes", [0, 10**9])
def test_unreadable_files_are_skipped_and_named(tmp_path, folder, memory_limit_bytes):
    write_faces(tmp_path)
    (tmp_path / "000a.png").write_bytes(b"")
    (tmp_path / "005a.jpg").write_text("not a picture")
    whole = (folder / "003.png").read_bytes()
    (tmp_path / "zz.png").write_bytes(whole[: len(whole) // 2])
    data = open_dataset(tmp_path, SIZE, batch_size=4, memory_limit_bytes=memory_limit_bytes)
    assert [path.name for path, _ in data.skipped] == ["000a.png", "005a.jpg", "zz.png"]
    assert "empty file" in data.skipped[0][1]
    assert all("\n" not in reason and str(tmp_path) not in reason for _, reason in data.skipped)
    without = open_dataset(folder, SIZE, batch_size=4)
    np.testing.assert_array_equal(batches(data, 1), batches(without, 1))


# Faults


def test_a_missing_or_empty_folder_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="nowhere: no such") as error:
        open_dataset(tmp_path / "nowhere", SIZE)
    only_line(error)
    with pytest.raises(ValueError, match="no pictures") as error:
        open_dataset(tmp_path, SIZE)
    only_line(error)


@pytest.mark.parametrize("memory_limit_bytes", [0, 10**9])
def test_nothing_readable_is_one_line(tmp_path, memory_limit_bytes):
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_text("not a picture")
    with pytest.raises(ValueError, match="none of 2 pictures is readable; .*a.png: ") as error:
        open_dataset(tmp_path, SIZE, memory_limit_bytes=memory_limit_bytes)
    only_line(error)


def test_a_file_that_vanishes_during_training_is_named(tmp_path):
    write_faces(tmp_path, 4)
    data = open_dataset(tmp_path, SIZE, batch_size=2, memory_limit_bytes=0)
    (tmp_path / "002.png").unlink()
    with pytest.raises(ValueError, match="002.png: no such file") as error:
        batches(data)
    only_line(error)


def test_a_damaged_shard_is_named_during_training(shards, tmp_path):
    copy = tmp_path / "shards"
    copy.mkdir()
    for file in shards.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    victim = copy / "shard-00001-of-00003.tfrecord"
    content = bytearray(victim.read_bytes())
    content[random.Random(0).randrange(len(content))] ^= 1
    victim.write_bytes(content)
    data = open_dataset(copy, SIZE, batch_size=6)
    with pytest.raises(ValueError, match="shard-00001-of-00003.tfrecord: .*damaged") as error:
        batches(data)
    only_line(error)


def test_other_faults_than_the_data_pass_through(folder):
    data = open_dataset(folder, SIZE)
    with pytest.raises(tf.errors.InvalidArgumentError), data.reading():
        tf.reshape(tf.zeros(3), (2, 2))


# Several workers


def context(worker, workers, replicas):
    return tf.distribute.InputContext(workers, worker, replicas)


@pytest.mark.parametrize("source", ["folder", "shards"])
@pytest.mark.parametrize(("workers", "replicas"), [(1, 2), (2, 2), (2, 6), (3, 3)])
def test_workers_together_see_the_batches_of_one(source, workers, replicas, request):
    data = open_dataset(request.getfixturevalue(source), SIZE, batch_size=6)
    shares = [
        batches(data, 1, start_step=1, input_context=context(w, workers, replicas))
        for w in range(workers)
    ]
    local = replicas // workers
    (expected,) = batches(data, 1, start_step=1)
    assert [len(share) for share in shares] == [local] * workers  # one per replica and step
    together = np.concatenate([np.concatenate(share) for share in shares])
    np.testing.assert_array_equal(together, expected)


def test_pairs_hang_on_each_pictures_number_alone(folder):
    """Which no other picture of the run has, and which neither resuming nor sharing changes."""

    def pairs(pictures, numbers):
        return pictures[:, :4], numbers[:, None]

    data = open_dataset(folder, SIZE, batch_size=6, pairs=pairs)

    def both(epoch, **options):
        return [[part.numpy() for part in batch] for batch in data.epoch(epoch, **options)]

    (first, numbers), (second, later) = both(0)
    assert (first.shape, numbers.shape) == ((6, 4, SIZE, 3), (6, 1))
    np.testing.assert_array_equal(np.concatenate([numbers, later])[:, 0], range(12))
    assert both(1)[0][1].min() == 12
    ((resumed, again),) = both(0, start_step=1)
    shares = [part for w in (0, 1) for part in both(0, input_context=context(w, 2, 2))[1:]]
    for pictures, found in ((resumed, again), map(np.concatenate, zip(*shares, strict=True))):
        np.testing.assert_array_equal(pictures, second)
        np.testing.assert_array_equal(found, later)


def test_a_batch_that_cannot_be_divided_is_one_line(folder):
    data = open_dataset(folder, SIZE, batch_size=5)
    with pytest.raises(ValueError, match="a batch of 5 cannot be divided among 2 replicas"):
        data.epoch(0, input_context=context(0, 1, 2))
