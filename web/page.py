"""The page: its components, their order, and which action each event calls."""

from collections.abc import Sequence
from pathlib import Path

import gradio as gr

from completion.case import FITS
from completion.options import PRESETS
from pictures import blend, masks
from web.actions import BRUSH, BUILT_IN, FILE, KINDS, Actions
from web.studio import ACCENT

TITLE = "Complete a picture"
HELP = """
1. Upload or paste a photograph, or take an example.
2. Choose the face to complete, or the whole picture.
3. Paint over what is to be filled; a mask file or a built-in mask will do as well.
4. Complete: a network that knows many pictures searches for a filling that fits the rest.

Only what you paint over changes. What is filled in is invented, not recovered: it shows what is
likely, not what was there. Pictures stay on this server, and are removed after half an hour.
"""
BRUSH_COLOUR = "#{:02x}{:02x}{:02x}".format(*ACCENT)
PRESET = "best"
ALTERNATIVES, MOST_ALTERNATIVES, MOST_STEPS = 3, 6, 5000
MOST_SENT = 64  # paintings that wait for their search
FILES_AGE = 1800  # seconds after which what was uploaded or written is removed
DEVICE = {"concurrency_limit": 1, "concurrency_id": "device"}  # one search at a time
OWN = {"api_visibility": "private"}  # of the page alone; programs have /complete
AT_ONCE = OWN | {"queue": False, "show_progress": "hidden"}
STYLE = """
.gradio-container { width: 100%; max-width: 1180px !important; margin: auto; }
.editor canvas, .editor .pixi-target { touch-action: none; }
#alternatives .grid-wrap { min-height: 0; }
@media (max-width: 640px) { .editor { height: 360px !important; } }
"""


def upload(label: str, **options) -> gr.Image:
    """An image input that hands over the file as it came."""
    image = gr.Image(label=label, sources=["upload", "clipboard"], type="filepath", **options)
    # Gradio's own opens it, and fails in words that are not for the page. A component is made anew,
    # without this, by an update of anything but its value: what hides it is a column around it.
    image.preprocess = lambda payload: payload.path if payload else None
    return image


def theme() -> gr.themes.Base:
    """Quiet, and with fonts of the system: nothing is fetched."""
    font = [gr.themes.Font(name) for name in ("system-ui", "sans-serif")]
    mono = [gr.themes.Font(name) for name in ("ui-monospace", "monospace")]
    return gr.themes.Default(primary_hue="rose", neutral_hue="zinc", font=font, font_mono=mono)


class Recent(dict):
    """The newest of what editors have sent; Gradio's own store keeps what is never asked for."""

    def __setitem__(self, key, value) -> None:
        super().__setitem__(key, value)
        while len(self) > MOST_SENT:
            del self[next(iter(self))]


class Page:
    """The components as attributes; `blocks` is what is launched."""

    def __init__(self, actions: Actions, examples: Sequence[Path]):
        self.actions = actions
        age = (FILES_AGE // 3, FILES_AGE)
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=age) as self.blocks:
            gr.Markdown(f"# {TITLE}")
            self.scene, self.clicks, self.files = gr.State(), gr.State([]), gr.State()
            with gr.Row():
                with gr.Column(scale=2):
                    self._picture(examples)
                    with gr.Column(visible=False) as self.place:
                        self._place()
                with gr.Column(scale=3):
                    self.help = gr.Markdown(HELP)
                    with gr.Column(visible=False) as self.work:
                        self._hole()
                        self._settings()
                        self._search()
                        self._results()
            self._api()
            self._wire()

    def _picture(self, examples: Sequence[Path]) -> None:
        self.photo = upload("Picture", height=260, elem_id="photo")
        gr.Examples([[str(path)] for path in examples], self.photo, label="Examples")

    def _place(self) -> None:
        self.where = gr.Radio(label="What is completed")
        self.shown = gr.Image(
            label="Click a face to choose it",
            interactive=False,
            buttons=[],
            format="png",
            height=320,
            elem_id="shown",
        )

    def _hole(self) -> None:
        self.kind = gr.Radio(KINDS, value=BRUSH, label="Hole")
        with gr.Column() as self.brush_column:
            self.editor = gr.ImageEditor(
                label="Paint over what is to be filled",
                sources=(),
                transforms=(),
                layers=False,
                brush=gr.Brush(colors=[BRUSH_COLOUR], color_mode="fixed", default_size=40),
                format="png",
                buttons=[],
                elem_classes="editor",
                height=520,
            )
        self.editor.blob_storage = Recent()
        with gr.Column(visible=False) as self.given:
            with gr.Column() as self.mask_column:
                self.mask = upload("Mask file: white is the hole", height=200, elem_id="mask")
            self.built_in = gr.Dropdown(masks.CHOICES, value="center", label="Built-in mask")
            self.preview = gr.Image(
                label="The hole",
                interactive=False,
                buttons=[],
                height=320,
                format="png",
                elem_id="hole",
            )

    def _settings(self) -> None:
        names = self.actions.models.names
        self.model = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)
        with gr.Accordion("Settings", open=False):
            best = PRESETS[PRESET]
            self.preset = gr.Radio(list(PRESETS), value=PRESET, label="Preset")
            with gr.Row():
                self.step_count = number("Steps", best.search.steps, MOST_STEPS)
                self.lam = number(
                    "λ, weight of the perceptual loss", best.objective.lam, most=1e6, precision=None
                )
            with gr.Row():
                self.blend = gr.Dropdown(blend.METHODS, value=best.blend, label="Blending")
                self.alternatives = number(
                    "Alternatives", ALTERNATIVES, most=MOST_ALTERNATIVES, least=1
                )
                self.seed = number("Seed", best.search.seed, 2**31 - 1)

    def _search(self) -> None:
        self.complete = gr.Button("Complete", variant="primary", size="lg")
        self.stop = gr.Button("Stop", variant="stop", size="lg", visible=False)
        self.status = gr.Markdown(elem_id="status")
        self.live = gr.Image(
            label="Search", visible=False, interactive=False, buttons=[], height=340
        )

    def _results(self) -> None:
        with gr.Column(visible=False) as self.results:
            self.slider = gr.ImageSlider(
                label="Before and after",
                format="png",
                height=420,
                interactive=False,
                buttons=["fullscreen"],
                elem_id="slider",
            )
            self.gallery = gr.Gallery(
                label="Alternatives, the best first: click to choose",
                columns=3,
                format="png",
                height="auto",
                object_fit="contain",
                allow_preview=False,
                interactive=False,
                buttons=[],
                elem_id="alternatives",
            )
            with gr.Row():
                self.downloads = [
                    gr.DownloadButton(label, min_width=90)
                    for label in ("Save picture", "Save mask", "Save animation")
                ]

    def _wire(self) -> None:
        do = self.actions
        place = [self.scene, self.where, self.clicks]
        wish = [
            *place,
            self.kind,
            self.mask,
            self.built_in,
            self.model,
            self.preset,
            self.step_count,
            self.lam,
            self.blend,
            self.alternatives,
            self.seed,
        ]
        drawn = [self.shown, self.editor]
        outputs = [
            self.scene,
            self.where,
            self.clicks,
            self.place,
            self.work,
            self.help,
            *drawn,
        ]
        # Progress is shown beside the editor, never on it nor on a column around it: at every sign
        # of progress on these the page would send all that is painted to the server.
        looked = self.photo.change(do.look, self.photo, outputs, show_progress_on=self.photo, **OWN)
        # No part of those outputs: gr.skip() is an update, after which it would open files itself.
        looked.failure(lambda: None, None, self.photo, **AT_ONCE)
        self.where.input(do.place, place, drawn, show_progress_on=self.shown, **OWN)
        self.shown.select(
            do.click, place, [self.where, self.clicks, *drawn], show_progress_on=self.shown, **OWN
        )

        kinds = [self.brush_column, self.given, self.mask_column, self.built_in]
        self.kind.change(kinds_shown, self.kind, kinds, show_progress_on=self.kind, **AT_ONCE)
        changes = [part.change for part in (self.kind, self.mask, self.built_in, self.scene)]
        gr.on(changes, do.preview, wish, self.preview, **OWN)
        self.preset.input(
            of_preset, self.preset, [self.step_count, self.lam, self.blend], **AT_ONCE
        )
        self._wire_search([*wish, self.editor])

    def _wire_search(self, wish: list) -> None:
        do = self.actions
        buttons = [self.complete, self.stop]
        shown = [
            *buttons,
            self.status,
            self.live,
            self.results,
            self.gallery,
            self.slider,
            *self.downloads,
            self.files,
        ]
        run = self.complete.click(
            do.complete,
            wish,
            shown,
            show_progress="minimal",
            show_progress_on=self.status,
            **DEVICE,
            **OWN,
        )
        run.then(do.end, None, [*buttons, self.live], **AT_ONCE)
        self.stop.click(do.stop, None, None, **AT_ONCE)
        chosen = [self.slider, self.downloads[0]]
        self.gallery.select(do.choose, self.files, chosen, **OWN)

    def _api(self) -> None:
        """/complete, for programs: the inputs are not shown, but documented on the page."""
        with gr.Column(visible=False):
            inputs = [
                upload("picture: a file"),
                gr.Dropdown(masks.CHOICES, value="center", label="built_in: the kind of mask"),
                gr.Dropdown(FITS, value="resize", label="fit: the centre square, or the face"),
                gr.Dropdown(self.actions.models.names, label="model: a folder's name"),
                gr.Dropdown(list(PRESETS), value=PRESET, label="preset"),
                number("alternatives", 1, most=MOST_ALTERNATIVES, least=1),
                number("seed", 0, 2**31 - 1),
                upload("mask: a file, white is the hole; instead of built_in"),
                number("steps: instead of the preset's", None, MOST_STEPS),
                number("lam: instead of the preset's", None, most=1e6, precision=None),
                gr.Dropdown(blend.METHODS, value=None, label="blend: instead of the preset's"),
            ]
            outputs = [
                gr.File(file_count="multiple", label="pictures"),
                gr.File(label="mask"),
                gr.File(label="animation"),
            ]
            button = gr.Button()
        button.click(self.actions.api, inputs, outputs, api_name="complete", **DEVICE)


def number(
    label: str, value: float | None, most: float, precision: int | None = 0, least: float = 0
) -> gr.Number:
    return gr.Number(
        value, label=label, minimum=least, maximum=most, precision=precision, min_width=120
    )


def of_preset(name: str) -> tuple:
    """A preset chosen -> step_count, lam, blend"""
    options = PRESETS[name]
    return options.search.steps, options.objective.lam, options.blend


def kinds_shown(kind: str) -> tuple:
    """A kind of hole -> brush, given, mask and built_in; what is hidden keeps its content."""
    return (
        gr.update(visible=True if kind == BRUSH else "hidden"),
        gr.update(visible=kind != BRUSH),
        gr.update(visible=kind == FILE),
        gr.update(visible=kind == BUILT_IN),
    )
