"""Class activation maps, of neutral objects."""

import numpy as np
import pytest

from networks import extractors, imagenet, looking
from pictures import codecs, masks


@pytest.fixture(scope="module")
def cup():
    data = pytest.importorskip("skimage.data")
    return data.coffee()  # 400 x 600


def test_a_map_adds_up_to_the_logit(cup):
    """Zhou et al., equation 2: sums over positions are means of features times weights."""
    small = codecs.resize(cup, 224, 320)
    network = imagenet.features("efficientnet-lite0", blocks=("head",))
    features = network(codecs.to_float(small)[None])[0].numpy()[0].astype(np.float64)
    weights, biases = imagenet.classifier()
    assert weights.shape == (1000, 1280) and biases.shape == (1000,)
    logits = weights @ features.mean(axis=(0, 1)) + biases
    seen, found, probability = looking.activation(codecs.resize(cup, 224, 320))
    assert found == logits.argmax()
    share = np.exp(logits - logits.max())
    assert probability == pytest.approx(share[found] / share.sum(), rel=1e-3)
    # Enlarged bicubically, a map keeps its mean but for its border.
    assert seen.mean() == pytest.approx(logits[found] - biases[found], rel=0.15)


def test_it_looks_at_what_is_named(cup):
    said = []
    hole = looking.mask(cup, "Coffee Mug", tell=said.append)[..., 0] == 0
    assert said[0].startswith("coffee mug: ")
    rows, columns = np.nonzero(hole)
    assert hole.shape == (400, 600) and 0.05 < hole.mean() < 0.4
    assert 80 < rows.mean() < 220 and 200 < columns.mean() < 400  # the cup, in the middle


def test_names():
    assert extractors.class_number("espresso") == 967 and extractors.class_number("CUP") == 968
    with pytest.raises(ValueError, match="no class 'cofee mug' of ImageNet; .*coffee mug"):
        extractors.class_number("cofee mug")


def test_a_hole_is_put_where_it_looks(cup, tmp_path):
    from completion.case import Hole, place

    picture = codecs.Picture(cup, None, "PNG")
    hole = Hole("cam", looked_for="espresso", dilate=5)
    case = place(tmp_path, picture, size=64, channels=3, hole=hole)
    expected = masks.dilate(looking.mask(cup, "espresso"), 5)
    np.testing.assert_array_equal(case.mask, expected)
