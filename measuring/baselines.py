"""What a completion has to beat: inpainting that learns nothing, the mean picture, linear PCA.

Each fills pictures, float (N, S, S, C) in [-1, 1], given masks (N, S, S, 1), 1 = known: it returns
float (N, S, S, C), of which the hole counts. Hidden pixels are set to zero before all else, so none
of them reaches a result.
"""

from collections.abc import Callable, Iterator
from functools import partial

import cv2
import numpy as np
import scipy.linalg

from pictures import codecs
from search.linear import rows_by_mask
from search.pca import PPCA

Fill = Callable[[np.ndarray, np.ndarray], np.ndarray]

RADIUS = 3  # pixels around each that OpenCV's inpainting looks at; that of its documentation
CHUNK = 512  # training pictures held as floats at a time


def _one_by_one(fill: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Fill:
    """A Fill from one for a single known picture (S, S, C) and its hole, bool (S, S)."""

    def fill_all(pictures: np.ndarray, masks: np.ndarray) -> np.ndarray:
        known = np.where(masks > 0, pictures, 0).astype(np.float32)
        pairs = zip(known, masks[..., 0] == 0, strict=True)
        return np.stack([fill(*pair) for pair in pairs]).astype(np.float32)

    return fill_all


def _opencv(known: np.ndarray, hole: np.ndarray, flag: int) -> np.ndarray:
    filled = cv2.inpaint(codecs.to_bytes(known), hole.astype(np.uint8), RADIUS, flag)
    return codecs.to_float(filled.reshape(known.shape))


def _biharmonic(known: np.ndarray, hole: np.ndarray) -> np.ndarray:
    try:
        from skimage.restoration import inpaint_biharmonic
    except ImportError:
        raise ValueError("method biharmonic needs scikit-image: pip install scikit-image") from None
    return inpaint_biharmonic(known, hole, channel_axis=-1)


INPAINTING: dict[str, Fill] = {
    # Telea 2004, "An image inpainting technique based on the fast marching method".
    "telea": _one_by_one(partial(_opencv, flag=cv2.INPAINT_TELEA)),
    # Bertalmio, Bertozzi & Sapiro 2001, "Navier-Stokes, fluid dynamics, and image inpainting".
    "ns": _one_by_one(partial(_opencv, flag=cv2.INPAINT_NS)),
    # Damelin & Hoang 2018, "On surface completion and image inpainting by biharmonic functions".
    "biharmonic": _one_by_one(_biharmonic),
}


def fit(pictures: np.ndarray, components: int) -> PPCA:
    """Probabilistic PCA of uint8 (N, S, S, C), N above `components`; ValueError otherwise. Without
    components it is the mean picture."""
    if len(pictures) <= components:
        raise ValueError(
            f"ppca-{components} needs more than {components} training pictures, not {len(pictures)}"
        )
    return PPCA.fit(lambda: _chunks(pictures), components)


def fill(fitted: PPCA, pictures: np.ndarray, masks: np.ndarray, caution: float = 1.0) -> np.ndarray:
    """The expected picture given the known pixels; with the first argument bound, a Fill.

    With W_k the rows of W at known numbers: mean + W (W_k' W_k + noise)^-1 W_k' (x_k - mean_k).
    The noise is taken `caution` times: what the axes leave is alike from pixel to pixel, where
    the model has it independent, and so trusts thousands of known pixels too much.
    """
    noise = fitted.noise * caution
    scales = np.sqrt(np.maximum(fitted.variances - fitted.noise, 0))
    weights = fitted.axes * scales[:, None]  # (K, D)
    filled = np.empty((len(pictures), fitted.mean.size))
    for rows in rows_by_mask(masks):
        known = np.broadcast_to(masks[rows[0]], pictures.shape[1:]).ravel() > 0
        inside = weights[:, known].astype(np.float64)
        precision = inside @ inside.T + noise * np.eye(len(inside))
        differences = pictures[rows].reshape(len(rows), -1)[:, known] - fitted.mean[known]
        factors = scipy.linalg.solve(precision, inside @ differences.T, assume_a="pos")
        filled[rows] = fitted.mean + factors.T @ weights
    return filled.reshape(pictures.shape).astype(np.float32)


def _chunks(pictures: np.ndarray) -> Iterator[np.ndarray]:
    """uint8 (N, S, S, C) as float32 (up to CHUNK, D) in [-1, 1], one after the other."""
    for first in range(0, len(pictures), CHUNK):
        part = codecs.to_float(pictures[first : first + CHUNK])
        yield part.reshape(len(part), -1)
