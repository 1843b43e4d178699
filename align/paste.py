"""Completed faces back into their photographs: what `align-dlib.py ALIGNED unalign` calls."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

import cli
from align import geometry, manifest
from pictures import blend as blending
from pictures import codecs, files, masks

BLENDED_PIXELS = 250_000  # a larger hole is blended by way of a smaller one


def unalign(
    aligned: Path | str,
    completed: Path | str,
    out: Path | str,
    mask: Path | str | None = None,
    blend: str = "poisson",
    paint: str | None = None,
    pass_over: Callable[[ValueError], None] = cli.pass_over,
) -> Iterator[Path]:
    """Paste completed faces into the photographs they were aligned from; yield each file written.

    aligned: a folder with a manifest; completed: a folder of faces named like the aligned ones, or
    one face; mask: one picture for all faces, or a folder of pictures named like them, read as by
    masks.from_file, with paint (default: the whole face). Writes OUT/name.png at the photograph's
    full size, with its EXIF, colours, bits and alpha; PNG, so that nothing changes outside the
    hole. What cannot be read goes to pass_over, and its photograph is not written. Raises
    ValueError if a name is missing or no completed face belongs to an aligned one.
    """
    aligned, out = Path(aligned), Path(out)
    records = manifest.read(aligned)
    if not records:
        raise ValueError(f"{aligned}: no {manifest.FILE} of align-dlib.py in this folder")
    faces = files.Namesakes(completed)
    masks_of = mask and files.Namesakes(mask)
    pasted = [
        (record, [_Pasted.of(face, aligned, faces, masks_of) for face in entries])
        for record in records
        if (
            entries := [
                f for f in manifest.faces(record) if faces.of(aligned / f["output"], aligned)
            ]
        )
    ]
    if not pasted:
        raise ValueError(f"{completed}: no face is named like one of {aligned / manifest.FILE}")
    with files.locked(out):
        for record, places in pasted:
            path = out / f"{record['name']}.png"
            try:
                _paste(record, places, aligned=aligned, path=path, blend=blend, paint=paint)
            except ValueError as error:
                pass_over(error)
            else:
                yield path


@dataclass(frozen=True)
class _Pasted:
    """An aligned face of the manifest, its completed one, and the file of its mask."""

    entry: dict
    face: Path
    mask: Path | None

    @classmethod
    def of(
        cls, entry: dict, aligned: Path, faces: files.Namesakes, masks_of: files.Namesakes | None
    ) -> Self:
        def one(place: files.Namesakes) -> Path:
            found = place.of(aligned / entry["output"], aligned)
            if len(found) != 1:
                raise ValueError(
                    f"{place.place}: {len(found) or 'no'} pictures are named like the aligned "
                    f"face {entry['output']}; it takes one"
                )
            return found[0]

        return cls(entry, one(faces), masks_of and one(masks_of))


def _paste(
    record: dict,
    places: Sequence[_Pasted],
    aligned: Path,
    path: Path,
    blend: str,
    paint: str | None,
) -> None:
    """Paste the faces of one photograph and write it."""
    photograph = codecs.read_picture(aligned / record["source"])
    pixels, known = photograph.pixels, np.ones((*photograph.pixels.shape[:2], 1), np.float32)
    for place in places:
        face = codecs.read(place.face)
        scale = len(face) / record["settings"]["size"]
        matrix = geometry.for_face(np.array(place.entry["matrix"]), scale)
        mask = place.mask and masks.from_file(place.mask, face.shape[:2], paint)
        pixels = paste_back(pixels, face, matrix, mask, blend=blend)
        covered = np.zeros((*face.shape[:2], 1), np.float32) if mask is None else mask
        known = np.minimum(known, geometry.unwarp_mask(covered, matrix, pixels.shape))
    codecs.write(path, pixels, like=photograph, mask=known)


def paste_back(
    photograph: np.ndarray,
    face: np.ndarray,
    matrix: np.ndarray,
    face_mask: np.ndarray | None = None,
    photograph_mask: np.ndarray | None = None,
    blend: str = "poisson",
) -> np.ndarray:
    """A copy of the photograph with the hole filled from its completed face.

    photograph: uint8 (H, W, C); face: (S, S, 1 or 3), uint8 or float32 in [-1, 1]; matrix: from
    photograph to face. The hole is the face square, or face_mask (S, S, 1) in the face, or
    photograph_mask (H, W, 1) in the photograph (1 = known), or what lies in both. Only the pixels
    it covers change, and what photograph_mask hides, inside the square or beyond, is never read.
    blend: one of blend.METHODS.

    A generated face serves better than the completed one, into which the known pixels are already
    pasted: those hide from the blending how far the generated ones are off.
    """
    box, hole, filled = filling(photograph, face, matrix, face_mask, photograph_mask, blend)
    result = photograph.copy()
    geometry.cut(result, box)[hole] = codecs.to_bytes(filled)
    return result


def filling(
    photograph: np.ndarray,
    face: np.ndarray,
    matrix: np.ndarray,
    face_mask: np.ndarray | None = None,
    photograph_mask: np.ndarray | None = None,
    blend: str = "poisson",
) -> tuple[geometry.Box, np.ndarray, np.ndarray]:
    """What paste_back fills: a box of the photograph, bool (h, w) of it, and float32 (pixels, C) in
    [-1, 1], one row for each True."""
    box = geometry.region(matrix, len(face), photograph.shape)
    face = codecs.to_float(face) if face.dtype == np.uint8 else face
    layer, mask = geometry.unwarp(_like(face, photograph), face_mask, matrix, box)
    part = codecs.to_float(geometry.cut(photograph, box))
    visible = mask > 0
    if photograph_mask is not None:
        visible = geometry.cut(photograph_mask, box) > 0
        mask = np.maximum(mask, visible)
    # Hidden pixels that stay as they are count as equal to the face: no seam is drawn from them.
    filled = bounded_blend(np.where(visible, part, layer), layer, mask, blend)
    hole = mask[..., 0] == 0
    return box, hole, filled[hole]


def bounded_blend(
    original: np.ndarray, generated: np.ndarray, mask: np.ndarray, method: str
) -> np.ndarray:
    """blend.blend, with time and memory that a large hole does not run away with.

    Above BLENDED_PIXELS the correction, which is smooth inside the hole, is found on block means
    and enlarged. What it then misses at the hole's edge comes from the nearest known pixel and
    fades out over two blocks, about as deep as such fine detail reaches. Measured on a hole of
    a megapixel: 0.2 of 255 from the exact result on average, in a third of the time.
    """
    hole = mask[..., 0] == 0
    block = int(np.ceil((np.count_nonzero(hole) / BLENDED_PIXELS) ** 0.5))
    if method == "none" or block <= 1 or hole.all():
        return blending.blend(original, generated, mask, method)
    mismatch = np.where(hole[..., None], 0, original - generated).astype(np.float32)
    correction = _coarse_correction(mismatch, mask, block, method)
    residual = np.where(hole[..., None], 0, mismatch - correction)
    distance, (rows, columns) = distance_transform_edt(hole, return_indices=True)
    weight = np.clip(1 - (distance[hole] - 1) / (2 * block), 0, 1)[:, None]
    filled = original.copy()
    filled[hole] = generated[hole] + correction[hole] + weight * residual[rows[hole], columns[hole]]
    return filled


def _coarse_correction(
    mismatch: np.ndarray, mask: np.ndarray, block: int, method: str
) -> np.ndarray:
    """What blending adds to the generated picture, from means over blocks of pixels: (H, W, C)."""
    known = geometry.block_means(mask, block)  # share of each block
    means = geometry.block_means(mismatch, block) / np.maximum(known, 1 / block**2)
    # Blended onto black, a picture of half the mismatch (-1 to 1) shows the correction alone.
    field = 2 * blending.blend(means / 2, np.zeros_like(means), np.sign(known), method)
    size = (field.shape[1] * block, field.shape[0] * block)
    field = cv2.resize(field, size, interpolation=cv2.INTER_LINEAR).reshape(*size[::-1], -1)
    return field[: mask.shape[0], : mask.shape[1]]


def _like(face: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """The face in the photograph's channels, grey (1) or colour (3)."""
    if face.shape[2] == photograph.shape[2]:
        return face
    conversion = cv2.COLOR_RGB2GRAY if photograph.shape[2] == 1 else cv2.COLOR_GRAY2RGB
    return cv2.cvtColor(face, conversion).reshape(*face.shape[:2], -1)
