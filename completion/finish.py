"""From what a completer made to a finished picture: pasted back, blended, its kind kept."""

import dataclasses

import numpy as np

from align import geometry
from align.fill import from_around
from align.paste import filling
from completion.case import Case
from pictures import blend, codecs, tone


def finish(case: Case, generated: np.ndarray, method: str) -> np.ndarray:
    """The picture, uint8 (H, W, C), with its hole filled from a generated square, float32 (S, S, C)
    in [-1, 1], and blended.

    Known pixels are bit for bit what they were. What the hole has beyond the model's square, the
    ends of a scratch, is filled smoothly from what is around it.
    """
    pixels = case.picture.pixels
    box, hole, filled = filling(
        pixels, generated, case.matrix, photograph_mask=case.mask, blend=method
    )
    filled = _toned(filled, case.tone)
    result = pixels.copy()
    geometry.cut(result, box)[hole] = codecs.to_bytes(filled)
    rest = case.beyond()[..., 0]
    if rest.any():
        result[rest] = codecs.to_bytes(from_around(result, rest))
    return result


def square_result(case: Case, generated: np.ndarray, method: str) -> np.ndarray:
    """The model's square, uint8 (S, S, C), with its hole filled from a generated one and blended.
    Of a picture of the model's size it is what `finish` makes, bit for bit."""
    filled = blend.blend(case.square, generated, case.square_mask, method)
    toned = _toned(filled, case.tone)
    return codecs.to_bytes(np.where(case.square_mask > 0, filled, toned))


def _toned(values: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """float32 (..., 3) in [-1, 1] in the picture's own tone, where it has one."""
    if own is None:
        return values
    return np.float32(tone.apply(own, (values + 1) * 127.5) / 127.5 - 1)


def like_input(case: Case) -> codecs.Picture:
    """The input's kind of picture, for codecs.write; what is filled is opaque from now on."""
    if case.picture.alpha is None:
        return case.picture
    alpha = np.where(case.mask[..., 0] > 0, case.picture.alpha, 255).astype(np.uint8)
    return dataclasses.replace(case.picture, alpha=alpha)
