"""Completed faces back into their photographs: what `align-dlib.py ALIGNED unalign` calls."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from scipy.ndimage import distance_transform_edt

from align import geometry, manifest
from pictures import blend as blending
from pictures import codecs, files

BLENDED_PIXELS = 250_000  # a larger hole is blended by way of a smaller one
MASK_WHITE = 128  # grey of a mask file from which on it is hole


def unalign(
    aligned: Path | str,
    completed: Path | str,
    out: Path | str,
    mask: Path | str | None = None,
    blend: str = "poisson",
) -> Iterator[Path]:
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
    found = [
        (record, [face for face in manifest.faces(record) if _named(faces, face["output"])])
        for record in records
    ]
    found = [(record, entries) for record, entries in found if entries]
    if not found:
        raise ValueError(f"{completed}: no face is named like one of {aligned / manifest.FILE}")
    masks = _by_name(Path(mask)) if mask and Path(mask).is_dir() else mask and Path(mask)
    for record, entries in found:
        photograph = codecs.read_picture(aligned / record["source"])
        pixels = photograph.pixels
        for entry in entries:
            face = codecs.read(_one(faces, entry["output"], completed))
            hidden = masks and _one(masks, entry["output"], mask)
            matrix = geometry.for_face(
                np.array(entry["matrix"]), len(face) / record["settings"]["size"]
            )
            pixels = paste_back(
                pixels, face, matrix, hidden and read_mask(hidden, len(face)), blend=blend
            )
        path = out / f"{record['name']}.png"
        codecs.write(path, pixels, like=photograph)
        yield path


def _by_name(folder: Path) -> dict[str, list[Path]]:
    """The pictures of a folder, or one picture, by stem and by "/path below the folder/stem"."""
    names: dict[str, list[Path]] = {}
    for path in files.find([folder]):
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
        raise ValueError(
            f"{folder}: {len(found) or 'no'} pictures are named like the aligned "
            f"face {output}; it takes one"
        )
    return found[0]


def read_mask(path: Path, size: int) -> np.ndarray:
    """A painted mask, white = hole, as float32 (size, size, 1), 1 = known."""
    painted = cv2.resize(codecs.read(path, 1), (size, size), interpolation=cv2.INTER_NEAREST)
    return (painted < MASK_WHITE).astype(np.float32)[..., None]


def paste_back(
    photograph: np.ndarray,
    face: np.ndarray,
    matrix: np.ndarray,
    face_mask: np.ndarray | None = None,
    photograph_mask: np.ndarray | None = None,
    blend: str = "poisson",
) -> np.ndarray:
    """A copy of the photograph with the hole filled from its completed face.

    photograph: uint8 (H, W, C); face: uint8 (S, S, 1 or 3); matrix: from photograph to face. The
    hole is the face square, or face_mask (S, S, 1) in the face, or photograph_mask (H, W, 1) in the
    photograph (1 = known), or what lies in both. Only the pixels it covers change, and what
    photograph_mask hides, inside the square or beyond, is never read. blend: one of blend.METHODS.

    A generated face serves better than the completed one, into which the known pixels are already
    pasted: those hide from the blending how far the generated ones are off.
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
    original = codecs.to_float(np.where(visible, part, layer))
    hole = mask[..., 0] == 0
    filled = bounded_blend(original, codecs.to_float(layer), mask, blend)
    part[hole] = codecs.to_bytes(filled[hole])
    return result


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
