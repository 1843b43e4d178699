"""Completed faces back into their photographs: what `align-dlib.py ALIGNED unalign` calls."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

import blend as blending
import images
from align import geometry, manifest

MASK_WHITE = 128  # grey of a mask file from which on it is hole


def unalign(aligned: Path | str, completed: Path | str, out: Path | str,
            mask: Path | str | None = None, blend: str = "poisson") -> Iterator[Path]:
    """Paste completed faces into the photographs they were aligned from; yield each file written.

    aligned: a folder with a manifest; completed: a folder of faces named like the aligned ones, or
    one face; mask: one picture for all faces, or a folder of pictures named like them, white = hole
    (default: the whole face). Writes OUT/name.png at the photograph's full size, with its EXIF,
    colour profile and alpha; PNG, so that nothing changes outside the hole. Raises ValueError if
    a file is missing or no completed face belongs to an aligned one.
    """
    aligned, out = Path(aligned), Path(out)
    records = manifest.read(aligned)
    if not records:
        raise ValueError(f"{aligned}: no {manifest.FILE} of align-dlib.py in this folder")
    faces = _by_name(Path(completed))
    found = [(record, [face for face in manifest.faces(record) if _named(faces, face["output"])])
             for record in records]
    found = [(record, entries) for record, entries in found if entries]
    if not found:
        raise ValueError(f"{completed}: no face is named like one of {aligned / manifest.FILE}")
    masks = _by_name(Path(mask)) if mask and Path(mask).is_dir() else mask and Path(mask)
    for record, entries in found:
        photograph = images.read_picture(aligned / record["source"])
        pixels = photograph.pixels
        for entry in entries:
            face = images.read(_one(faces, entry["output"], completed))
            hidden = masks and _one(masks, entry["output"], mask)
            matrix = geometry.for_face(np.array(entry["matrix"]),
                                       len(face) / record["settings"]["size"])
            pixels = paste_back(pixels, face, matrix, hidden and read_mask(hidden, len(face)),
                                blend=blend)
        path = out / f"{record['name']}.png"
        images.write(path, pixels, like=photograph)
        yield path


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """The pictures of a folder, or one picture, by stem and by "/path below the folder/stem"."""
    names: dict[str, list[Path]] = {}
    for path in images.find([folder]):
        inside = path.relative_to(folder) if path != folder else Path(path.name)
        for name in (path.stem, f"/{inside.with_suffix('').as_posix()}"):
            names.setdefault(name, []).append(path)
    return names


def _named(names: dict[str, list[Path]] | Path, output: str) -> list[Path]:
    """The pictures of the aligned face `output`: at the same place, else of the same name."""
    if isinstance(names, Path):
        return [names]
    output = Path(output).with_suffix("")
    return names.get(f"/{output.as_posix()}") or names.get(output.name, [])


def _one(names: dict[str, list[Path]] | Path, output: str, folder: Path | str) -> Path:
    found = _named(names, output)
    if len(found) != 1:
        raise ValueError(f"{folder}: {len(found) or 'no'} pictures are named like the aligned "
                         f"face {output}; it takes one")
    return found[0]


def read_mask(path: Path, size: int) -> np.ndarray:
    """A painted mask, white = hole, as float32 (size, size, 1), 1 = known."""
    painted = cv2.resize(images.read(path, 1), (size, size), interpolation=cv2.INTER_NEAREST)
    return (painted < MASK_WHITE).astype(np.float32)[..., None]


def paste_back(photograph: np.ndarray, face: np.ndarray, matrix: np.ndarray,
               face_mask: np.ndarray | None = None, photograph_mask: np.ndarray | None = None,
               blend: str = "poisson") -> np.ndarray:
    """A copy of the photograph with the hole filled from its completed face.

    photograph: uint8 (H, W, C); face: uint8 (S, S, 1 or 3); matrix: from photograph to face. The
    hole is the face square, or face_mask (S, S, 1) in the face, or photograph_mask (H, W, 1) in the
    photograph (1 = known), or what lies in both. Only the pixels it covers change, and what
    photograph_mask hides, inside the square or beyond, is never read. blend: one of blend.METHODS.
    """
    box = geometry.region(matrix, len(face), photograph.shape)
    layer, mask = geometry.unwarp(_like(face, photograph), face_mask, matrix, box)
    result = photograph.copy()
    part = geometry.cut(result, box)
    visible = mask > 0
    if photograph_mask is not None:
        visible = geometry.cut(photograph_mask, box) > 0
        mask = np.maximum(mask, visible)
    # Hidden pixels that stay as they are count as equal to the face: no seam is drawn from them.
    original = images.to_float(np.where(visible, part, layer))
    hole = mask[..., 0] == 0
    filled = blending.blend(original, images.to_float(layer), mask, blend)
    part[hole] = images.to_bytes(filled[hole])
    return result


def _like(face: np.ndarray, photograph: np.ndarray) -> np.ndarray:
    """The face in the photograph's channels, grey (1) or colour (3)."""
    if face.shape[2] == photograph.shape[2]:
        return face
    conversion = cv2.COLOR_RGB2GRAY if photograph.shape[2] == 1 else cv2.COLOR_GRAY2RGB
    return cv2.cvtColor(face, conversion).reshape(*face.shape[:2], -1)
