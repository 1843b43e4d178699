"""What training scripts share, by the trainable that docs/extending.md builds."""

import argparse
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from processes import ROOT

from data.drawn import drawn_faces
from networks.config import Config
from pictures import codecs
from training import checkpoint, course
from training.recipe import Recipe

CONFIG = Config(image_size=16)


@pytest.fixture(scope="module")
def documented() -> dict:
    """The names that the document's code defines."""
    text = (ROOT / "docs" / "extending.md").read_text()
    section = text.split("## A trainable\n")[1].split("\n## ")[0]
    names: dict = {}
    for block in re.findall("```python\n(.*?)```", section, re.DOTALL):
        exec(block, names)
    return names


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("faces")
    for number, face in enumerate(drawn_faces(10, 16)):
        codecs.write(folder / f"{number}.png", face)
    return folder


@pytest.fixture
def follow(documented, faces, tmp_path):
    """Train in tmp_path/NAME by these flags, of a script that shares all of them."""

    def follow(name: str, *flags: str, batch_size: int = 4) -> None:
        parser = argparse.ArgumentParser()
        course.add_data_flags(parser, dataset=str(faces))
        course.add_course_flags(parser, checkpoint_dir="checkpoint", log_dir="logs/any", epochs=3)
        places = [
            text
            for place in ("checkpoint", "sample", "log")
            for text in (f"--{place}-dir", str(tmp_path / name / place))
        ]
        arguments = parser.parse_args([*places, *"--sample-every 4".split(), *flags])
        assert documented["train"](arguments, CONFIG, Recipe(batch_size=batch_size)) == 0

    return follow


def test_a_documented_trainable_learns_and_is_kept(follow, tmp_path, capsys):
    follow("run")
    saved = checkpoint.load(tmp_path / "run" / "checkpoint")
    assert (saved.kind, saved.state["step"], saved.state["epoch"]) == ("denoiser", 6, 3)
    assert set(saved.weights) == {"generator/h0/kernel", "generator/h0/bias"}
    assert saved.linear["size"] == 16
    assert [p.name for p in (tmp_path / "run" / "sample").iterdir()] == ["train_01_0004.png"]
    assert "10 images, 2 steps of 4 an epoch" in capsys.readouterr().out


def test_pairs_are_drawn_alike_after_a_resume(follow, documented, tmp_path, monkeypatch, capsys):
    """And every draw of a run is another one."""
    follow("alone")
    seen = []
    preview = documented["Denoiser"].step

    def stopping(self, batch, step):
        seen.append(np.array(batch[0]) - np.array(batch[1]))
        if len(seen) == 3:
            signal.raise_signal(signal.SIGINT)
        return preview(self, batch, step)

    monkeypatch.setattr(documented["Denoiser"], "step", stopping)
    with pytest.raises(KeyboardInterrupt):
        follow("run")
    follow("run")
    assert "epoch 1, step 3" in capsys.readouterr().out
    noise = np.concatenate(seen)
    assert len(noise) == 24 == len(np.unique(noise, axis=0))
    alone, run = (checkpoint.load(tmp_path / name / "checkpoint") for name in ("alone", "run"))
    for name, value in (alone.weights | alone.training).items():
        np.testing.assert_array_equal((run.weights | run.training)[name], value, err_msg=name)


def test_fewer_pictures_than_a_batch(documented, faces, tmp_path, monkeypatch, follow):
    built = []
    denoiser = documented["Denoiser"]

    def build(config, recipe, strategy):
        built.append(recipe.batch_size)
        return denoiser(config, recipe, strategy)

    monkeypatch.setitem(documented, "Denoiser", build)
    follow("run", "--train-size", "5", "--epoch", "1", batch_size=64)
    assert built == [5]


def test_another_kind_is_refused(follow, tmp_path):
    follow("run", "--epoch", "1")
    other = checkpoint.load(tmp_path / "run" / "checkpoint")
    checkpoint.save(tmp_path / "other", {"image_size": 16}, other.weights)  # as old folders are
    with pytest.raises(ValueError, match="other: another model: its kind is dcgan, here it is den"):
        follow("new", "--init-from", str(tmp_path / "other"))


def test_events_of_a_run_that_goes_on_stay_where_they_are(tmp_path, monkeypatch):
    """By default they are deeper than what TensorBoard warns of; once they were not."""
    monkeypatch.chdir(tmp_path)

    def log_dir() -> Path:
        parser = argparse.ArgumentParser()
        course.add_course_flags(parser, checkpoint_dir="checkpoint", log_dir="logs/any", epochs=3)
        return parser.parse_args([]).log_dir

    (tmp_path / "logs" / "earlier-1").mkdir(parents=True)
    (tmp_path / "logs" / "earlier-1" / "events.out.tfevents.1").touch()
    assert log_dir() == Path("logs/any")
    (tmp_path / "logs" / "events.out.tfevents.2").touch()
    assert log_dir() == Path("logs")
