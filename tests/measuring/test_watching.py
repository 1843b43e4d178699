"""watching.py: the figures of a run, what is cached, and the warning of a collapse."""

from types import SimpleNamespace

import numpy as np
import pytest

from data.drawn import drawn_faces
from data.pipeline import open_dataset
from measuring import metrics, watching
from measuring.features import Extractor
from measuring.metrics import FeatureStatistics
from measuring.watching import Watcher
from model import DCGAN
from networks.config import Config
from pictures import codecs
from training.recipe import Recipe

SIZE = 16


class Counting:
    """Features that are quick, and a count of the pictures they were taken of."""

    def __init__(self):
        self.pictures = 0
        self.extractor = Extractor("count", 6, SIZE, self.batch)

    def batch(self, pictures):
        self.pictures += len(pictures)
        return np.concatenate([pictures.mean((1, 2)), pictures.std((1, 2))], axis=1)


def stand_in(samples, logits=lambda pictures: np.ones(len(pictures)), loss="gan"):
    """A model that makes these samples, uint8, whatever the seed."""
    return SimpleNamespace(
        sample=lambda count, seed: codecs.to_float(samples[:count]),
        logits=logits,
        recipe=SimpleNamespace(loss=loss),
    )


@pytest.fixture(scope="module")
def faces():
    return drawn_faces(60, SIZE)


def test_figures_are_those_of_metrics(faces):
    training, validation, samples = np.split(faces, 3)
    extractor = Counting().extractor
    figures = Watcher(training, validation, extractor)(stand_in(samples))
    found, real = extractor(codecs.to_float(samples)), extractor(codecs.to_float(validation))
    assert figures["frechet_distance"] == pytest.approx(
        metrics.frechet_distance(FeatureStatistics.of(found), FeatureStatistics.of(real))
    )
    assert figures["kernel_distance"] == pytest.approx(metrics.kernel_distance(found, real))
    assert figures["diversity_ratio"] == pytest.approx(
        metrics.diversity(found) / metrics.diversity(real)
    )


def test_real_pictures_are_measured_once(faces):
    counting = Counting()
    watcher = Watcher(faces[:20], faces[20:50], counting.extractor)
    for _ in range(3):
        watcher(stand_in(faces[30:]))
    assert counting.pictures == 30 + 3 * 30


def test_without_validation_pictures_training_ones_are_the_measure(faces):
    figures = Watcher(faces[:30], None, Counting().extractor)(stand_in(faces[:30]))
    assert figures["frechet_distance"] == pytest.approx(0, abs=1e-6)
    assert "d_accuracy_validation" not in figures


def brightness_over(border):
    return lambda pictures: pictures.mean((1, 2, 3)) - border


def test_accuracy_of_the_discriminator():
    training, validation = (np.full((4, SIZE, SIZE, 3), level, np.uint8) for level in (200, 90))
    validation[0], training[:, 0], validation[:, 0] = 210, 0, 0
    watcher = Watcher(training, validation, Counting().extractor)
    samples = np.full((4, SIZE, SIZE, 3), 60, np.uint8)
    samples[3] = 220
    figures = watcher._accuracies(stand_in(samples, brightness_over(0)), codecs.to_float(samples))
    assert figures == {
        "d_accuracy_training": 1.0,
        "d_accuracy_validation": 0.25,
        "d_accuracy_generated": 0.75,
    }


def test_each_loss_has_its_border_and_wgan_none():
    training = np.full((4, SIZE, SIZE, 3), 200, np.uint8)
    samples = np.full((4, SIZE, SIZE, 3), 100, np.uint8)
    watcher = Watcher(training, None, Counting().extractor)
    for loss, level, generated in (
        *(("wgan-gp", -5, 1.0), ("gan", -5, 0.0), ("hinge", -5, 0.0)),
        *(("lsgan", -0.5, 1.0), ("gan", -0.5, 0.0)),  # logits .3 of generated, 1.1 of real ones
    ):
        critic = stand_in(samples, brightness_over(level), loss)
        figures = watcher._accuracies(critic, codecs.to_float(samples))
        assert figures == {"d_accuracy_training": 1.0, "d_accuracy_generated": generated}


def test_a_collapse_is_warned_of_once_each_time(faces):
    said = []
    watcher = Watcher(faces[:20], faces[20:40], Counting().extractor, said.append)
    fine, collapsed = stand_in(faces[40:]), stand_in(np.repeat(faces[:2], 10, axis=0) // 4 * 4)
    alike = stand_in(np.repeat(faces[:1], 20, axis=0))
    assert watcher(fine)["diversity_ratio"] > 0.7 and not said
    assert watcher(alike)["diversity_ratio"] == pytest.approx(0, abs=1e-6)
    assert len(said) == 1 and said[0].startswith("warning: samples are 0.00 times as diverse")
    watcher(alike)
    assert len(said) == 1
    watcher(fine), watcher(alike)
    assert len(said) == 2
    assert watcher(collapsed)["diversity_ratio"] < 0.9


def test_a_model_is_measured_and_left_as_it_is(faces):
    model = DCGAN(Config(image_size=SIZE, z_dim=8, gf_dim=4, df_dim=4), Recipe(ema=100))
    before = model.weights()
    watcher = Watcher(faces[:20], faces[20:40], Counting().extractor, warn=lambda text: None)
    figures = watcher(model)
    assert figures == watcher(model)  # the same z's
    assert all(np.isfinite(value) for value in figures.values())
    for name, value in model.weights().items():
        np.testing.assert_array_equal(value, before[name])


def test_watching_a_run_with_its_data(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "MOST", 5)
    for number, face in enumerate(drawn_faces(12, SIZE)):
        codecs.write(tmp_path / ("train" if number < 8 else "held_out") / f"{number}.png", face)
    data = open_dataset(tmp_path / "train", SIZE, batch_size=4)
    config = Config(image_size=SIZE)
    watcher = watching.watch(config, data, tmp_path / "held_out")
    assert watcher.training.shape == (5, SIZE, SIZE, 3) and watcher.training.dtype == np.uint8
    np.testing.assert_array_equal(watcher.validation, drawn_faces(12, SIZE)[8:][[2, 3, 0, 1]])
    assert watching.watch(config, data).validation is None
    with pytest.raises(ValueError, match="nowhere"):
        watching.watch(config, data, tmp_path / "nowhere")
