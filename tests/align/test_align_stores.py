"""align-dlib.py with URLs: faces, manifests and photographs as in folders."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from align import manifest, paste, run
from data.drawn import drawn_faces
from pictures import codecs, files

pytest.importorskip("fsspec", reason="pip install -r requirements-remote.txt")


def photographs(folder: Path) -> Path:
    canvas = np.full((300, 300, 3), 128, np.uint8)
    canvas[45:205, 45:205] = drawn_faces(1, size=160)[0]
    codecs.write(folder / "a.png", cv2.GaussianBlur(canvas, (0, 0), 1.2))
    with (folder / "b.png").open("w") as file:
        file.write("no picture")
    return folder


def test_faces_are_aligned_and_pasted(tmp_path):
    from fsspec.implementations.memory import MemoryFileSystem

    found = []
    for root in (tmp_path, files.path_of("memory://store")):
        given, out = photographs(root / "in"), root / "faces"
        for before in (False, True):
            records = list(run.align(given, out, run.Settings(), workers=1))
            assert [done for _, done in records] == [before, False]
        assert [record for record, _ in records] == manifest.read(out)
        (pasted,) = paste.unalign(out, out, root / "pasted", blend="none")
        assert pasted == root / "pasted" / "a.png"
        names = files.names_below(root)
        assert "faces/manifest.jsonl" in names and not [n for n in names if "-parts" in n]
        (face, bad) = [record | {"source": Path(record["source"]).name} for record, _ in records]
        assert (face["source"], bad["source"]) == ("a.png", "b.png")
        read = [(root / name).read_bytes() for name in ("faces/a.png", "pasted/a.png")]
        found.append((names, face, bad, *read))
    assert found[0] == found[1]
    assert records[0][0]["source"] == "memory://store/in/a.png"
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
