"""Classes of pictures: by folder or by a table, with the batches, and what is refused."""

import numpy as np
import pytest

from data import classes, prepare
from data.drawn import drawn_faces
from data.pipeline import open_dataset
from pictures import codecs

SIZE = 8
FACES = drawn_faces(6, SIZE)
PATHS = ("a/0.png", "b/1.png", "a/2.png", "a/3.png", "b/4.png", "b/in/5.png")
TABLE = "name,class\n0.png,old\na/2.png,new\n3.png,new\n1.png,old\n4.png,old\n5.png,new\n"


@pytest.fixture
def folder(tmp_path):
    for path, face in zip(PATHS, FACES, strict=True):
        codecs.write(tmp_path / "faces" / path, face)
    return tmp_path / "faces"


def test_by_folder_and_by_table(folder, tmp_path):
    found = classes.read(folder)
    assert found.names == ("a", "b", "in")
    np.testing.assert_array_equal(found.one_hot(["b/4.png", "a/0.png"]), [[0, 1, 0], [1, 0, 0]])
    (tmp_path / "table.csv").write_text(TABLE)
    found = classes.read(folder, tmp_path / "table.csv")
    assert found.names == ("new", "old")
    assert found.of == dict(
        zip(sorted(PATHS), ["old", "new", "new", "old", "old", "new"], strict=True)
    )


@pytest.mark.parametrize("sharded", [False, True])
def test_batches_say_the_class_of_each_picture(folder, tmp_path, sharded):
    (folder / "a" / "1.png").write_text("no picture")
    if sharded:
        prepare.prepare(folder, tmp_path / "shards", prepare.Settings(SIZE), images_per_shard=4)
    place = tmp_path / "shards" if sharded else folder
    found = classes.read(place)
    data = open_dataset(place, SIZE, batch_size=3, classes=found)
    assert data.count == 6
    shown = {face.tobytes(): path for path, face in zip(PATHS, FACES, strict=True)}
    with data.reading():
        for pictures, labels in data.epoch(0):
            assert labels.shape == (3, 3) and labels.dtype == np.float32
            paths = [shown[picture.tobytes()] for picture in codecs.to_bytes(pictures.numpy())]
            np.testing.assert_array_equal(labels, found.one_hot(paths))


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ("0.png,old\n", "a/2.png: not in .*table.csv"),
        (TABLE.replace("new", "old"), "table.csv: one class, old; there must be at least two"),
        ("0.png,old,1\n", "table.csv: line 1 has 3 columns; name,class has two"),
        ("\0\xff", "table.csv: not a CSV file|line 1 has 1 columns"),
    ],
)
def test_a_table_that_does_not_serve_is_refused(folder, tmp_path, table, words):
    (tmp_path / "table.csv").write_text(table, encoding="latin-1")
    with pytest.raises(ValueError, match=words):
        classes.read(folder, tmp_path / "table.csv")


def test_folders_that_do_not_serve_are_refused(tmp_path):
    codecs.write(tmp_path / "a" / "0.png", FACES[0])
    with pytest.raises(ValueError, match="one class, a; there must be at least two"):
        classes.read(tmp_path)
    codecs.write(tmp_path / "1.png", FACES[1])
    with pytest.raises(ValueError, match="1.png: in no sub-folder, which would be its class"):
        classes.read(tmp_path)
    with pytest.raises(OSError, match="table.csv"):
        classes.read(tmp_path, tmp_path / "table.csv")
