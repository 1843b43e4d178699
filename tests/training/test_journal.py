"""TensorBoard events and metrics.jsonl: written, and cut back to where a run resumes."""

import json

import numpy as np
import pytest
import tensorflow as tf

from training import journal
from training.journal import Journal


@pytest.fixture
def places(tmp_path):
    return tmp_path / "logs", tmp_path / "checkpoint" / "metrics.jsonl"


def write(places, first, last, opened_at=None):
    """A run from step `first` to `last`, opened where it resumes: one line a step."""
    book = Journal(*places, first - 1 if opened_at is None else opened_at)
    for step in range(first, last + 1):
        book.scalars(step, {"d_loss": step / 10, "g_loss": 1.0}, epoch=step // 5)
    book.close()


def events(log_dir) -> list:
    """(step, tag) of what TensorBoard would show, files in order."""
    found = []
    for path in sorted(log_dir.glob("*tfevents*"), key=lambda p: (p.stat().st_mtime_ns, p.name)):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = tf.compat.v1.Event.FromString(record)
            found += [(event.step, value.tag) for value in event.summary.value]
    return found


def lines(metrics) -> list[dict]:
    return [json.loads(line) for line in metrics.read_text().splitlines()]


def test_scalars_reach_tensorboard_and_the_file(places):
    write(places, 1, 2)
    assert lines(places[1]) == [
        {"step": 1, "epoch": 0, "d_loss": 0.1, "g_loss": 1.0},
        {"step": 2, "epoch": 0, "d_loss": 0.2, "g_loss": 1.0},
    ]
    tags = ("loss/d_loss", "loss/g_loss")
    assert events(places[0]) == [(step, tag) for step in (1, 2) for tag in tags]


def test_scalars_are_grouped(places):
    book = Journal(*places, 0)
    book.scalars(1, {"l1": 0.5, "images_per_second": 3.0}, epoch=0)
    book.scalars(1, {"frechet_distance": 2.0}, group="quality", epoch=0)
    book.close()
    assert [tag for _, tag in events(places[0])] == [
        "loss/l1",
        "speed/images_per_second",
        "quality/frechet_distance",
    ]
    assert [set(line) - {"step", "epoch"} for line in lines(places[1])] == [
        {"l1", "images_per_second"},
        {"frechet_distance"},
    ]


def test_pictures_histograms_and_the_graph_reach_tensorboard(places):
    book = Journal(*places, 0)
    book.images(3, {"G": np.zeros((1, 8, 8, 3), np.uint8), "real": np.zeros((1, 8, 8, 1))})
    book.histograms(3, {"z": np.arange(10.0)})
    graph = tf.Graph()
    with graph.as_default():
        tf.constant(1.0, name="here")
    book.graph(graph)
    book.close()
    assert {(3, "G"), (3, "real"), (3, "z")} == set(events(places[0]))
    (path,) = places[0].iterdir()
    kinds = [
        tf.compat.v1.Event.FromString(r).WhichOneof("what")
        for r in tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    ]
    assert "graph_def" in kinds


def test_lines_beyond_the_checkpoint_are_dropped(places):
    write(places, 1, 9)
    write(places, 6, 7)  # resumed from the checkpoint of step 5
    assert [line["step"] for line in lines(places[1])] == [1, 2, 3, 4, 5, 6, 7]
    assert [step for step, tag in events(places[0]) if tag == "loss/d_loss"] == [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
    ]
    write(places, 4, 4)
    assert [line["step"] for line in lines(places[1])] == [1, 2, 3, 4]
    assert [step for step, tag in events(places[0]) if tag == "loss/d_loss"] == [1, 2, 3, 4]


def test_torn_ends_of_a_killed_run_are_dropped(places):
    write(places, 1, 4)
    with places[1].open("a") as file:
        file.write('{"step": 5, "d_lo')
    (path,) = places[0].iterdir()
    whole = path.read_bytes()
    for cut in (1, 7, 20):
        path.write_bytes(whole[:-cut])
        write(places, 5, 5)
        assert [line["step"] for line in lines(places[1])] == [1, 2, 3, 4, 5]
        steps = [step for step, tag in events(places[0]) if tag == "loss/d_loss"]
        assert steps == [1, 2, 3, 4, 5]  # what was torn is g_loss of step 4
        for other in set(places[0].iterdir()) - {path}:
            other.unlink()


def test_a_run_that_starts_anew_moves_earlier_events_aside(places):
    for number in (1, 2):
        write(places, 1, 3)
        assert [line["step"] for line in lines(places[1])] == [1, 2, 3]
        assert [step for step, tag in events(places[0]) if tag == "loss/d_loss"] == [1, 2, 3]
        folders = sorted(path.name for path in places[0].iterdir() if path.is_dir())
        assert folders == [f"earlier-{n}" for n in range(1, number)]


def test_what_a_kill_left_of_cutting_is_removed(places):
    write(places, 1, 3)
    (path,) = places[0].iterdir()
    stem = path.name.removesuffix(".v2")
    (places[0] / f".{stem}.0123abcd.v2").write_bytes(path.read_bytes())  # TensorBoard would show it
    write(places, 3, 3)
    assert [step for step, tag in events(places[0]) if tag == "loss/d_loss"] == [1, 2, 3]


@pytest.mark.parametrize("where", ["logs", "checkpoint"])
def test_a_folder_that_cannot_be_is_an_os_error(places, where):
    (places[0].parent / where).write_text("a file")
    with pytest.raises(OSError, match="File exists"):
        Journal(*places, 0)


def test_faults_of_tensorflow_are_one_line():
    with pytest.raises(OSError) as error, journal._tensorflow_faults():
        tf.summary.create_file_writer("/proc/nowhere")
    assert str(error.value) == "/proc/nowhere; No such file or directory"
