"""Completed faces back into their photographs: what `align-dlib.py ALIGNED unalign` calls."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np

import cli
from align import geometry, manifest
from align.fill import fill
from pictures import codecs, files, masks


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
    aligned, out = files.path_of(aligned), files.path_of(out)
    records = manifest.read(aligned)
    if not records:
        raise ValueError(f"{aligned}: no {manifest.FILE} of align-dlib.py in this folder")
    faces = files.Namesakes(completed)
    masks_of = mask and files.Namesakes(mask)
    pasted = [
        (record, [_Pasted.of(face, aligned, faces=faces, masks_of=masks_of) for face in entries])
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
    photograph = codecs.read_picture(manifest.photograph(record["source"], aligned))
    pixels, known = photograph.pixels.copy(), np.ones((*photograph.pixels.shape[:2], 1), np.float32)
    for place in places:
        face = codecs.read(place.face)
        scale = len(face) / record["settings"]["size"]
        matrix = geometry.for_face(np.array(place.entry["matrix"]), scale)
        mask = place.mask and masks.from_file(place.mask, face.shape[:2], paint)
        box, hole, filled = filling(pixels, face, matrix, face_mask=mask, blend=blend)
        geometry.cut(pixels, box)[hole] = codecs.to_bytes(filled)
        geometry.cut(known, box)[hole] = 0
    codecs.write(path, pixels, like=photograph, mask=known)


def filling(
    photograph: np.ndarray,
    face: np.ndarray,
    matrix: np.ndarray,
    face_mask: np.ndarray | None = None,
    photograph_mask: np.ndarray | None = None,
    blend: str = "poisson",
    seen: np.ndarray | None = None,
) -> tuple[geometry.Box, np.ndarray, np.ndarray]:
    """What fills a hole of a photograph from its completed face: the box of the photograph with it,
    the hole there, bool (h, w), and float32 (pixels, C) in [-1, 1], one row for each True.

    photograph: uint8 (H, W, C); face: (S, S, 1 or 3), uint8 or float32 in [-1, 1]; matrix: from
    photograph to face. The hole is the face square, or face_mask (S, S, 1) in the face, or
    photograph_mask (H, W, 1) in the photograph (1 = known), or what lies in both. What
    photograph_mask hides, inside the square or beyond, is never read; nor is what is not `seen`,
    bool (H, W), as it is transparent. blend: one of blend.METHODS.

    A generated face serves better than the completed one, into which the known pixels are already
    pasted: those hide from the blending how far the generated ones are off.
    """
    box = geometry.region(matrix, len(face), photograph.shape)
    hole = geometry.unwarp_hole(face_mask, len(face), matrix=matrix, box=box)
    if photograph_mask is None:
        visible = ~hole
    else:
        visible = geometry.cut(photograph_mask, box)[..., 0].astype(bool, copy=False)
        np.greater(hole, visible, out=hole)  # hole and not visible
    if seen is not None:
        visible = visible & geometry.cut(seen, box)
    face = codecs.to_float(face) if face.dtype == np.uint8 else face
    unwarped = geometry.Unwarped(_like(face, photograph), matrix, box)
    part = geometry.cut(photograph, box)

    def mismatch(piece: geometry.Box) -> np.ndarray:
        # Hidden pixels that stay as they are count as equal to the face: they draw no seam.
        difference = codecs.to_float(geometry.cut(part, piece)) - unwarped.piece(piece)
        return np.where(geometry.cut(visible, piece)[..., None], difference, 0)

    return box, hole, fill(unwarped.piece, mismatch, hole=hole, method=blend)


def _like(face: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """The face in the photograph's channels, grey (1) or colour (3)."""
    if face.shape[2] == photograph.shape[2]:
        return face
    conversion = cv2.COLOR_RGB2GRAY if photograph.shape[2] == 1 else cv2.COLOR_GRAY2RGB
    return cv2.cvtColor(face, conversion).reshape(*face.shape[:2], -1)
