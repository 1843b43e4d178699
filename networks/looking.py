"""Where a classifier looks: class activation maps of EfficientNet-lite0, trained on ImageNet."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np

from networks import extractors, imagenet
from pictures import codecs, masks

PIXELS = 224  # of the shorter side, as in training
SHARE = 0.5  # of the map's maximum, from which on it looks there


def mask(
    pixels: np.ndarray, name: str = "", tell: Callable[[str], None] = lambda sentence: None
) -> np.ndarray:
    """The mask, float32 (H, W, 1), that hides where the network looks in uint8 (H, W, C) for a
    class of ImageNet, default the most probable one; `tell` gets the class and its probability.
    Raises ValueError for an unknown class, with those of alike names."""
    seen, found, probability = activation(pixels, extractors.class_number(name) if name else None)
    tell(f"{extractors.class_names()[found]}: {probability:.0%}")
    return masks.from_hole(seen > SHARE * seen.max())


def activation(pixels: np.ndarray, wanted: int | None = None) -> tuple[np.ndarray, int, float]:
    """The class activation map, (H, W), of uint8 (H, W, C), the class and its probability.

    The last feature maps, weighted by what each of them, averaged, adds to the logit (Zhou et al.,
    arXiv 1512.04150, equation 2); enlarged bicubically. Its mean is the logit without its bias.
    """
    height, width = pixels.shape[:2]
    factor = PIXELS / min(height, width)
    sides = (max(PIXELS, round(side * factor / 32) * 32) for side in (height, width))
    small = codecs.resize(np.broadcast_to(pixels, (height, width, 3)), *sides)
    features = _network()(codecs.to_float(small)[None])[0].numpy()[0]  # (h, w, 1280)
    weights, biases = _classifier()
    logits = features.mean(axis=(0, 1)) @ weights.T + biases
    chances = np.exp(logits - logits.max())
    found = int(logits.argmax()) if wanted is None else wanted
    seen = cv2.resize(features @ weights[found], (width, height), interpolation=cv2.INTER_CUBIC)
    return seen, found, float(chances[found] / chances.sum())


@cache
def _network() -> imagenet.Features:
    return imagenet.features("efficientnet-lite0", blocks=("head",))


_classifier = cache(imagenet.classifier)
