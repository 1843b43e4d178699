"""The page beside: faces in pictures that are whole but small, grey or old, mended in one pass."""

import threading
from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from completion import mending
from completion.faces import FaceNotFound
from pictures import codecs
from pictures.damage import Damage
from training import checkpoint
from web import memory, studio
from web.page import DEVICE, FIDELITY, OWN, before_and_after, upload
from web.safety import Limits, check

PATH = "mend"
HELP = """
# Mend a picture
Upload a photograph of people and say what is wrong with it. **Detail is invented, not recovered**:
it shows what is likely, not what was there. Faces alone are mended; the rest of the picture stays
as it is. Pictures are removed after half an hour.
"""
HOLES = '<a href="./">Is something missing?</a>'  # gr.Markdown would open it beside
NO_FACE = "No face is found in this picture, and faces alone are mended"
WRONG = {
    "lowres": "It is small: enlarge it {factor} times",
    "mosaic": "It is in blocks",
    "grey": "It is grey: give it colours",
    "old": "It is old: worn, faded, scratched",
}


class Menders:
    """Networks for other damage than holes, by what is wrong with a picture, and where there are
    several for it by their folders. The one used last is kept in memory."""

    def __init__(self, folders: Sequence[Path]):
        found: dict[str, list[Path]] = {}
        for folder in folders:
            config = checkpoint.config_of(folder)
            damage = Damage(config.get("damage", "hole"))
            if damage.name == "hole" or config.get("guide") == "none":
                continue
            words = WRONG.get(damage.name.partition(":")[0], f"Undo {damage.name}")
            found.setdefault(words.format(factor=damage.factor), []).append(folder)
        self.folders: dict[str, Path] = {
            words if len(several) == 1 else f"{words} ({folder})": folder
            for words, several in found.items()
            for folder in several
        }
        self._lock, self._last = threading.Lock(), ("", None)

    def get(self, wrong: str) -> mending.Mender:
        with self._lock:
            if self._last[0] != wrong:
                self._last = "", None
                memory.give_back()
                self._last = wrong, mending.Mender.of(self.folders[wrong])
            return self._last[1]


class MendPage:
    """Adds the page to `blocks`, at /mend; what it writes goes into the folder."""

    def __init__(self, blocks: gr.Blocks, menders: Menders, limits: Limits, folder: Path):
        self.menders, self.limits, self.folder = menders, limits, folder
        with blocks.route("Mend a picture", PATH):
            gr.Markdown(HELP)
            gr.HTML(HOLES, padding=False)
            with gr.Row():
                with gr.Column(min_width=320):
                    photo = upload("Photograph", height=360, elem_id="bad")
                    wrong = gr.Radio(
                        list(menders.folders),
                        value=next(iter(menders.folders)),
                        label="What is wrong with it",
                    )
                    fidelity = gr.Slider(0, 1, value=0, label=FIDELITY)
                    button = gr.Button("Mend", variant="primary", size="lg")
                with gr.Column(min_width=320):
                    status = gr.Markdown()
                    slider = before_and_after(480)
                    save = gr.DownloadButton("Save picture", size="md", interactive=False)
            button.click(
                self.mend,
                [photo, wrong, fidelity],
                [slider, save, status],
                show_progress_on=status,
                **DEVICE,
                **OWN,
            )

    def mend(self, path: str | None, wrong: str, fidelity: float) -> tuple:
        """-> slider, picture to download, status"""
        try:
            if path is None:
                raise ValueError("There is no picture yet: upload one")
            check(path, self.limits)
            with studio.own_folder(self.folder) as folder:
                return self._mended(Path(path), self.menders.get(wrong), fidelity, folder)
        except FaceNotFound:
            gr.Warning(NO_FACE, title="Not possible")
        except ValueError as error:
            gr.Warning(str(error), title="Not possible")
        return gr.skip(), gr.skip(), ""

    def _mended(self, path: Path, mender: mending.Mender, fidelity: float, folder: Path) -> tuple:
        picture = studio.read(path)
        job = mending.Job(mender, folder, fidelity=fidelity, face=True)
        pixels, measured = mending.mended(job, path, picture)
        result, before = folder / "mended.png", folder / "before.png"
        codecs.write(result, pixels, like=picture, compress_level=1)
        height, width = pixels.shape[:2]
        codecs.write(before, codecs.resize(picture.pixels, height, width), compress_level=1)
        faces = measured["faces"]
        status = f"**Done**: {faces} face{'s' if faces > 1 else ''}"
        saved = gr.update(value=str(result), interactive=True)
        return (str(before), str(result)), saved, status
