"""The page beside: faces in pictures that are whole but small, grey or old, mended in one pass."""

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from completion import mending
from completion.faces import FaceNotFound
from pictures.damage import Damage
from training import checkpoint
from web import studio
from web.memory import Recent
from web.page import BACK, DEVICE, FIDELITY, before_and_after, upload
from web.safety import Limits, check
from web.turns import warn

PATH = "mend"
HELP = """
# Mend a picture
Upload a photograph of people and say what is wrong with it. **Detail is invented, not recovered**:
it shows what is likely, not what was there. Faces alone are mended; the rest of the picture stays
as it is. Pictures are removed after half an hour.
"""
NO_FACE = "No face is found in this picture, and faces alone are mended"
WRONG = {
    "lowres": "It is small: enlarge it {factor} times",
    "mosaic": "It is in blocks",
    "grey": "It is grey: give it colours",
    "old": "It is old: worn, faded, scratched",
}


class Menders:
    """Networks for other damage than holes, by what is wrong with a picture, and where there are
    several for it by their folders; they are kept in `recent`."""

    def __init__(self, folders: Sequence[Path], recent: Recent | None = None):
        self._recent = recent or Recent()
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

    def get(self, wrong: str) -> mending.Mender:
        return self._recent.get(wrong, lambda: mending.Mender.of(self.folders[wrong]))


class MendPage:
    """Adds the page to `blocks`, at /mend; what it writes goes into the folder."""

    def __init__(self, blocks: gr.Blocks, menders: Menders, limits: Limits, folder: Path):
        self.menders, self.limits, self.folder = menders, limits, folder
        with blocks.route("Mend a picture", PATH):
            gr.Markdown(HELP)
            gr.HTML(BACK, padding=False)
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
                api_name="mend",
                api_visibility="undocumented",  # to programs it tells what is wrong in no way
                **DEVICE,
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
            warn(ValueError(NO_FACE))
        except ValueError as error:
            warn(error)
        return gr.skip(), gr.skip(), ""

    def _mended(self, path: Path, mender: mending.Mender, fidelity: float, folder: Path) -> tuple:
        picture = studio.read(path)
        job = mending.Job(mender, folder, fidelity=fidelity, face=True)
        pixels, measured = mending.mended(job, path, picture)
        before, result = studio.write_beside(picture, pixels, folder / "mended.png")
        faces = measured["faces"]
        status = f"**Done**: {faces} face{'s' if faces > 1 else ''}"
        saved = gr.update(value=result, interactive=True)
        return (before, result), saved, status
