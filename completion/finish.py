"""From what a completer made to a finished picture: pasted back and blended."""

from collections.abc import Sequence

import numpy as np

from align import geometry
from align.fill import from_around
from align.paste import filling
from completion.case import Case, seen_of
from measuring import metrics
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


def compared(result: np.ndarray, true: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """PSNR and SSIM of the hole of a picture: uint8 (H, W, C) and the truth, mask (H, W, 1)."""
    hole = mask[..., 0] == 0
    if not hole.any():
        return {}
    inside = [codecs.to_float(pixels[hole])[None, :, None] for pixels in (result, true)]
    measured = {"psnr": float(metrics.psnr(*inside)[0])}
    if min(result.shape[:2]) >= metrics.SSIM_WINDOW:
        measured["ssim"] = _ssim_of_hole(result, true, hole)
    return {name: value for name, value in measured.items() if np.isfinite(value)}


def _ssim_of_hole(result: np.ndarray, true: np.ndarray, hole: np.ndarray) -> float:
    """metrics.ssim over the hole, bool (H, W), piece by piece: no array of floats is as large as
    the picture."""
    total = 0.0
    for box in geometry.pieces(hole):
        wide = geometry.wider(box, metrics.SSIM_WINDOW // 2, hole.shape)
        parts = [codecs.to_float(geometry.cut(pixels, wide))[None] for pixels in (result, true)]
        mask = np.ones((*parts[0].shape[:3], 1), np.float32)
        left, top = box[0] - wide[0], box[1] - wide[1]
        inner = (left, top, left + box[2] - box[0], top + box[3] - box[1])
        geometry.cut(mask[0], inner)[geometry.cut(hole, box)] = 0
        total += np.count_nonzero(mask == 0) * float(metrics.ssim(*parts, mask)[0])
    return total / np.count_nonzero(hole)
