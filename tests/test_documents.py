"""The commands of README.md, then those of docs/walk-throughs.md, run in order in one folder."""

import os
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from processes import ROOT

from align import landmarks
from pictures import codecs

pytestmark = pytest.mark.slow

# Appended to commands that train, where the last of a flag counts: few steps, and small networks
# where the shipped model's weights are not taken.
FEWER = "--epoch 1 --batch-size 4 --save-every 1"
SMALL = "--gf-dim 2 --df-dim 2"
SKIPPED = ("git", "cd", "make", "tensorboard", "python", "python3", ".", "pip")


def blocks(name: str) -> list[tuple[str, str]]:
    """(language, text) of the blocks of code of a document, in order."""
    return re.findall("```(\\w*)\n(.*?)```", (ROOT / name).read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A clone, as it were, with what a reader brings: photographs, and a painted hole."""
    folder = tmp_path_factory.mktemp("clone")
    for path in ROOT.iterdir():
        if not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    photograph = codecs.read(ROOT / "examples" / "astronaut.jpg")
    shutil.copy(ROOT / "examples" / "astronaut.jpg", folder / "photo.jpg")
    mouth = landmarks.find_faces(photograph)[0].landmarks[48:68]
    (left, top), (right, bottom) = mouth.min(axis=0).astype(int), mouth.max(axis=0).astype(int)
    mask = np.zeros((*photograph.shape[:2], 1), np.uint8)
    mask[top:bottom, left:right] = 255
    codecs.write(folder / "photo-mask.png", mask)
    for number in range(6):  # of one face, at several brightnesses
        codecs.write(folder / "photographs" / f"{number}.png", photograph // 10 * (10 - number))
    return folder


def run(folder, *words: str) -> None:
    done = subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": ""},
    )
    assert done.returncode == 0, f"{shlex.join(words)}\n{done.stdout}\n{done.stderr}"


def commands(name: str):
    """The document's commands that are run here, each as its words, and its blocks of Python."""
    for language, text in blocks(name):
        if language == "python":
            yield "-c", text.replace("384, 1000)", "384, 4)")
            continue
        for line in text.splitlines():
            words = shlex.split(line, comments=True)
            if not words or words[0] in SKIPPED:
                continue
            if words[0] == "./train-dcgan.py":
                words += FEWER.split()
                words += [] if "models/faces64" in words else SMALL.split()
            yield tuple(words)


def test_the_documents_in_order(folder):
    for name in ("README.md", "docs/walk-throughs.md"):
        for words in commands(name):
            if words[0] == "./complete.py" and "unseen" in words:
                shutil.rmtree(folder / "unseen", ignore_errors=True)
                shutil.copytree(folder / "faces", folder / "unseen", symlinks=False)
            if "mine" in words and not (folder / "mine").exists():
                shutil.copytree(folder / "faces", folder / "mine")
            run(folder, *words)
    for name in ("photo", "0"):
        assert (folder / "completions" / "results" / f"{name}.png").exists()
    for name in ("checkpoint", "patches-checkpoint", "finetuned"):
        assert list((folder / name).glob("step-*")), name
    assert len(list((folder / "patches").iterdir())) == 12
    assert len(list((folder / "patches-completed" / "results").iterdir())) == 24
