"""Features of pictures, by which metrics compare them; loaded on first use.

    extract = features.load("auto")
    extract(pictures) -> (N, D) float64; pictures (N, H, W, C) in [-1, 1], of 1 or 3 channels

face: dlib's descriptor of a face, 128 numbers, where dlib and face_recognition_models are
    installed; Euclidean distance is unlikeness. For aligned crops, enlarged to dlib's 150 pixels.
imagenet: the 320 numbers, means over positions, of the last block of EfficientNet-lite0, where its
    weights are installed (requirements-features.txt). Of anything, not of faces alone. The 1280
    after it tell less of a few hundred pictures: the distance between two halves of them is too
    large, and takes seconds to compute.
inception: the 2048 numbers before the last layer of Inception-v3, where Keras has its weights or
    can download them. They are Keras's weights: figures do not compare with published FIDs.
random: 448 numbers from random convolutions, always the same ones. Needs nothing, and tells only
    coarsely how far apart two sets of pictures are.
"""

import functools
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

import cli

NAMES = ("auto", "face", "imagenet", "inception", "random")
BATCH = 32
FACE_PIXELS, IMAGENET_PIXELS, INCEPTION_PIXELS, RANDOM_PIXELS = 150, 224, 299, 64
FACE_MODEL = "dlib_face_recognition_resnet_model_v1.dat"


@dataclass(frozen=True)
class Extractor:
    """name says which features these are; dimensions is their number; called, it extracts them.

    batch: float32 pictures (B, pixels, pixels, 3) -> (B, dimensions).
    """

    name: str
    dimensions: int
    pixels: int
    batch: Callable[[np.ndarray], np.ndarray]

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures (N, H, W, C) in [-1, 1] -> (N, dimensions) float64; ValueError otherwise."""
        pictures = np.asarray(pictures, np.float32)
        if pictures.ndim != 4 or pictures.shape[3] not in (1, 3):
            raise ValueError(f"pictures have shape {pictures.shape}; it must be (N, H, W, 1 or 3)")
        result = np.empty((len(pictures), self.dimensions))
        for first in range(0, len(pictures), BATCH):
            part = pictures[first : first + BATCH]
            result[first : first + BATCH] = self.batch(
                np.stack([_resize(picture, self.pixels) for picture in part])
            )
        return result


@functools.cache
def load(name: str = "auto") -> Extractor:
    """The extractor of that name; auto is face where it is installed, else random.

    Raises ValueError for another name, or where an extractor lacks what it needs.
    """
    if name == "auto":
        return load("face" if not _missing_for_face() else "random")
    loaders = {
        "face": _face,
        "imagenet": _imagenet,
        "inception": _inception,
        "random": _random,
    }
    if name not in loaders:
        raise ValueError(f"features is {name!r}; choose from {', '.join(NAMES)}")
    return loaders[name]()


def _missing_for_face() -> list[str]:
    packages = ("dlib", "face_recognition_models")
    return [package for package in packages if importlib.util.find_spec(package) is None]


def _face() -> Extractor:
    """dlib's ResNet (King 2017, "High quality face recognition with deep metric learning").

    The package of its weights is located, not imported: importing it needs pkg_resources.
    """
    if missing := _missing_for_face():
        raise ValueError(
            f"features face needs {' and '.join(missing)}; install it, or choose "
            "imagenet, inception or random"
        )
    import dlib

    package = Path(importlib.util.find_spec("face_recognition_models").origin).parent
    model = dlib.face_recognition_model_v1(str(package / "models" / FACE_MODEL))

    def batch(pictures: np.ndarray) -> np.ndarray:
        chips = np.clip(np.rint((pictures + 1) * 127.5), 0, 255).astype(np.uint8)
        return np.array(model.compute_face_descriptor(list(chips)))

    return Extractor("face", 128, pixels=FACE_PIXELS, batch=batch)


def _imagenet() -> Extractor:
    """EfficientNet-lite0 by networks/imagenet.py; pictures resized to the 224 pixels it learned."""
    cli.import_tensorflow()
    from networks import imagenet

    network = imagenet.features("efficientnet-lite0", blocks=("block7",))

    def batch(pictures: np.ndarray) -> np.ndarray:
        (maps,) = network.predict_on_batch(pictures)  # (B, 7, 7, 320)
        return maps.mean(axis=(1, 2))

    return Extractor("imagenet", 320, pixels=IMAGENET_PIXELS, batch=batch)


def _inception() -> Extractor:
    """Szegedy et al., arXiv 1512.00567; pictures resized to its 299 pixels."""
    cli.import_tensorflow()
    import keras

    try:
        model = keras.applications.InceptionV3(include_top=False, pooling="avg")
    except Exception as error:  # Keras raises no narrower one where a download fails
        reason = str(error).splitlines()[0]
        raise ValueError(f"features inception needs Keras's weights: {reason}") from error
    return Extractor(
        "inception",
        2048,
        pixels=INCEPTION_PIXELS,
        batch=lambda pictures: np.asarray(model(pictures, training=False)),
    )


def _random() -> Extractor:
    """Four strided 4x4 convolutions with normally distributed filters, each with ReLU.

    Features are the mean of each filter's outputs and, of the last layer, their deviation too.
    Even random filters carry colour and texture (Ustyuzhaninov et al., arXiv 1606.00021).
    """
    random = np.random.default_rng(0)
    widths = (3, 32, 64, 96, 128)
    filters = [
        random.standard_normal((16 * inputs, outputs), np.float32) / (8 * inputs) ** 0.5
        for inputs, outputs in zip(widths, widths[1:], strict=False)
    ]  # keeps the scale

    def batch(pictures: np.ndarray) -> np.ndarray:
        features = []
        for weights in filters:
            patches = _patches(pictures)  # half the side
            outputs = np.maximum(patches.reshape(-1, len(weights)) @ weights, 0)
            pictures = outputs.reshape(*patches.shape[:3], -1)
            features.append(pictures.mean(axis=(1, 2)))
        return np.concatenate([*features, pictures.std(axis=(1, 2))], axis=1)

    return Extractor("random", sum(widths[1:]) + widths[-1], pixels=RANDOM_PIXELS, batch=batch)


def _patches(pictures: np.ndarray) -> np.ndarray:
    """(N, H, W, C) -> (N, H/2, W/2, 16 C): 4x4 patches at stride 2, edges repeated."""
    padded = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), "edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (4, 4), axis=(1, 2))[:, ::2, ::2]
    return windows.reshape(*windows.shape[:3], -1)


def _resize(picture: np.ndarray, pixels: int) -> np.ndarray:
    """(H, W, C) -> (pixels, pixels, 3): averaged where it shrinks, cubic where it grows."""
    if picture.shape[:2] != (pixels, pixels):
        shrinks = min(picture.shape[:2]) > pixels
        picture = cv2.resize(
            picture, (pixels, pixels), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        )
    return np.broadcast_to(picture.reshape(pixels, pixels, -1), (pixels, pixels, 3))
