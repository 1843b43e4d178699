"""From what a completer made to a finished picture: pasted back, blended, its kind kept."""

import dataclasses

import numpy as np

from align.paste import bounded_blend, paste_back
from completion.case import Case, beyond
from pictures import blend, codecs


def finish(case: Case, generated: np.ndarray, method: str) -> np.ndarray:
    """The picture, uint8 (H, W, C), with its hole filled from G(z), float (S, S, C), and blended.

    Known pixels are bit for bit what they were. What the hole has beyond the model's square, the
    ends of a scratch, is filled smoothly from what is around it.
    """
    face = codecs.to_bytes(generated)
    result = paste_back(case.picture.pixels, face, case.matrix, None, case.mask, method)
    rest = beyond(case.mask, case.matrix, len(face))
    if rest.any():
        filled = codecs.to_float(result)
        mask = 1 - rest.astype(np.float32)
        filled = bounded_blend(filled, np.zeros_like(filled), mask, "poisson")
        result = np.where(rest, codecs.to_bytes(filled), result)
    return result


def square_result(case: Case, generated: np.ndarray, method: str) -> np.ndarray:
    """The model's square, uint8 (S, S, C), with its hole filled from G(z) and blended."""
    known = codecs.to_float(case.pixels)
    filled = codecs.to_bytes(blend.blend(known, generated, case.square_mask, method))
    return np.where(case.square_mask > 0, case.pixels, filled)


def like_input(case: Case) -> codecs.Picture:
    """The input's kind of picture, for codecs.write; what is filled is opaque from now on."""
    if case.picture.alpha is None:
        return case.picture
    alpha = np.where(case.mask[..., 0] > 0, case.picture.alpha, 255).astype(np.uint8)
    return dataclasses.replace(case.picture, alpha=alpha)
