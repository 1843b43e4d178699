"""From what a completer made to a finished picture: pasted back and blended."""

from collections.abc import Sequence

import numpy as np

from align import geometry
from align.fill import from_around
from align.paste import filling
from completion.case import Case, seen_of
from pictures import blend, codecs, tone


def finish(case: Case, generated: np.ndarray, method: str) -> np.ndarray:
    """finish_all for a picture of one case: generated is float32 (S, S, C) in [-1, 1]."""
    return finish_all([case], [generated], method)


def finish_all(cases: Sequence[Case], generated: Sequence[np.ndarray], method: str) -> np.ndarray:
    """The picture, uint8 (H, W, C), with its hole filled from the generated squares of its cases,
    float32 (S, S, C) in [-1, 1], and blended, one after the other.

    Known pixels are bit for bit what they were. What the hole has beyond the model's squares, the
    ends of a scratch, is filled smoothly from what is around it.
    """
    picture = cases[0].picture
    result, known = picture.pixels.copy(), cases[0].mask > 0
    for case, square in zip(cases, generated, strict=True):
        box, hole, filled = filling(
            result,
            square,
            case.matrix,
            photograph_mask=known,
            blend=method,
            seen=seen_of(picture),
        )
        geometry.cut(result, box)[hole] = codecs.to_bytes(_toned(filled, case.tone))
        geometry.cut(known, box)[hole] = True
    if not known.all():
        left = ~known[..., 0]
        result[left] = codecs.to_bytes(from_around(result, left))
    return result


def square_result(case: Case, generated: np.ndarray, method: str) -> np.ndarray:
    """The model's square, uint8 (S, S, C), with its hole filled from a generated one and blended.
    Of a picture of the model's size it is what `finish` makes, bit for bit."""
    filled = blend.blend(case.square, generated, mask=case.square_mask, method=method)
    toned = _toned(filled, case.tone)
    return codecs.to_bytes(np.where(case.square_mask > 0, filled, toned))


def _toned(values: np.ndarray, own: np.ndarray | None) -> np.ndarray:
    """float32 (..., 3) in [-1, 1] in the picture's own tone, where it has one."""
    if own is None:
        return values
    return np.float32(tone.apply(own, (values + 1) * 127.5) / 127.5 - 1)
