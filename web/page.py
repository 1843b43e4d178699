"""The page: its components, their order, and which action each event calls."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict

import gradio as gr
from gradio import utils

from completion import METHODS
from completion.case import FITS
from completion.options import PRESETS
from pictures import blend, masks
from web.actions import BRUSH_SIZES, FACE, PICTURE, Actions, compared
from web.browser import EDITOR, SCROLL
from web.examples import Example
from web.studio import OPACITY, PAINT
from web.turns import Turns
from web.wish import BRUSH, FACES, KINDS, PLACES

TITLE = "Complete a picture"
HELP = """
Upload a photograph, paint over what is to be filled, and press *Complete*. Only what you paint over
changes. What is filled in is **invented, not recovered**: it shows what is likely, not what was
there. Pictures stay on this server, and are removed after half an hour.
"""
BACK = '<a href="./">Is something missing?</a>'  # gr.Markdown would open it beside
BESIDE = {  # pages, by their paths
    "mend": "Is it whole, but small, grey or old?",
    "style": "Or shall it be painted in another hand?",
}
FIDELITY = "Fidelity: 0 is sharp, 1 smooth and nearer to the truth"
BRUSH_COLOUR = "#{:02x}{:02x}{:02x}".format(*PAINT)
PRESET = "best"
ALTERNATIVES, MOST_ALTERNATIVES, MOST_STEPS = 3, 6, 5000
FILES_AGE = 1800  # seconds after which what was uploaded or written is removed
DEVICE = {"concurrency_limit": 1, "concurrency_id": "device"}  # one search at a time
OWN = {"api_visibility": "private"}  # of the page alone; programs have /complete
# Gradio drops what happens while the same was asked for a moment before.
EACH = OWN | {"trigger_mode": "multiple"}
LAST = OWN | {"trigger_mode": "always_last"}
AT_ONCE = OWN | {"queue": False, "show_progress": "hidden"}


def upload(label: str, **options) -> gr.Image:
    """An image input that hands over the file as it came."""
    image = gr.Image(label=label, sources=["upload", "clipboard"], type="filepath", **options)
    # Gradio's own opens it, and fails in words that are not for the page. A component is made anew,
    # without this, by an update of anything but its value: what hides it is a column around it.
    image.preprocess = lambda payload: payload.path if payload else None
    return image


def thumbnails(value: list | None, **options) -> gr.Gallery:
    """Pictures to choose from, of which a click takes one."""
    return gr.Gallery(
        value,
        format="png",
        height="auto",
        object_fit="contain",
        allow_preview=False,
        interactive=False,
        buttons=[],
        elem_classes="thumbnails",
        **options,
    )


def before_and_after(height: int, **options) -> gr.ImageSlider:
    options |= {"height": height, "max_height": height, "format": "png", "interactive": False}
    return gr.ImageSlider(label="Before and after", buttons=["fullscreen"], **options)


def whole(old: object, new: object) -> list:
    """An answer in full, for what differs between it and the one before: Gradio's page changes the
    earlier one in place, and where it has yet to show that, shows the later one twice."""
    return [["replace", [], new]]


def theme() -> gr.themes.Base:
    """Quiet, and with fonts of the system: nothing is fetched."""
    font = [gr.themes.Font(name) for name in ("system-ui", "sans-serif")]
    mono = [gr.themes.Font(name) for name in ("ui-monospace", "monospace")]
    return gr.themes.Default(
        primary_hue="rose", neutral_hue="zinc", spacing_size="sm", font=font, font_mono=mono
    )


def brush(size: int = 20) -> gr.Brush:
    colour = (BRUSH_COLOUR, OPACITY / 255)
    return gr.Brush(colors=[colour], color_mode="fixed", default_size=size)


def sized() -> str:
    """What gives the editor's tools the size of the slider, at once and in the browser alone."""
    tool = json.dumps(asdict(brush()))
    return f"""(size) => ({{ __type__: "update", brush: {{ ...{tool}, default_size: size }},
      eraser: {{ default_size: size }} }})"""


class Page:
    """The components as attributes; `blocks` is what is launched. beside: which of BESIDE there
    are."""

    def __init__(self, actions: Actions, examples: Sequence[Example], beside: Sequence[str] = ()):
        self.actions, self._examples, self._beside = actions, examples, beside
        utils.diff = whole
        age = (FILES_AGE // 3, FILES_AGE)
        with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=age) as self.blocks:
            self.scene, self.clicks = gr.State(), gr.State([])
            self.number = gr.Number(visible="hidden", label="Number of the picture")
            self.asked = gr.Number(visible="hidden", label="Number of what was asked for")
            self.result, self.chosen = gr.State(), gr.State()
            with gr.Column() as self.start:
                self._start()
            with gr.Row(elem_id="work"):
                with gr.Column(scale=5, min_width=320):
                    self._picture()
                with gr.Column(scale=4, min_width=320):
                    self._completing()
                    self._results()
                    self._settings()
            self._api()
            self._wire()

    def _start(self) -> None:
        gr.Markdown(f"# {TITLE}\n{HELP}")
        links = (f'<a href="{path}">{BESIDE[path]}</a>' for path in self._beside)
        gr.HTML(" &nbsp; ".join(links), padding=False)
        self.photo = upload("Photograph", height=360, elem_id="photo")
        self.examples = thumbnails(
            [(str(example.thumbnail), example.name) for example in self._examples],
            label="Or an example",
            elem_id="examples",
        )

    def _picture(self) -> None:
        with gr.Row():
            self.kind = gr.Radio(
                KINDS, value=BRUSH, label="Hole", container=False, min_width=296, scale=0
            )
            self.where = gr.Radio(PLACES, value=FACES, label="Place", container=False)
        self.mask = gr.File(
            label="Mask file: white is the hole",
            type="filepath",
            height=120,
            visible=False,
            elem_id="mask",
        )
        self.built_in = gr.Dropdown(
            masks.CHOICES, value="center", label="Built-in mask", visible=False
        )
        with gr.Column() as self.brush_column:
            self.editor = gr.ImageEditor(
                label="Paint the hole",
                sources=(),
                transforms=(),
                layers=False,
                brush=brush(),
                eraser=gr.Eraser(brush().default_size),
                format="png",
                buttons=[],
                elem_classes="editor",
                height=510,
            )
            self.size = gr.Slider(
                *BRUSH_SIZES, value=brush().default_size, step=1, label="Brush size"
            )
        self.shown = gr.Image(
            visible=False, interactive=False, buttons=[], format="png", height=510, elem_id="shown"
        )
        self.legend = gr.Markdown(elem_id="legend")

    def _completing(self) -> None:
        with gr.Row():
            self.complete, self.stop = buttons("Complete")
            self.other = gr.UploadButton("New picture", size="lg", type="filepath", elem_id="other")
        self.status, self.live = on_the_way("Search")

    def _results(self) -> None:
        with gr.Column(visible=False, elem_id="results") as self.results:
            self.slider = before_and_after(380, elem_id="slider")
            with gr.Row():
                self.seen = gr.Radio(
                    [FACE, PICTURE], value=FACE, label="Shown", container=False, min_width=230
                )
                self.go_on = gr.Button("Continue from this result", size="md")
            self.gallery = thumbnails(
                None, label="Alternatives: click to choose", elem_id="alternatives"
            )
            with gr.Row():
                self.downloads = [
                    gr.DownloadButton(label, min_width=90, size="md")
                    for label in ("Save picture", "Save mask", "Save animation")
                ]

    def _settings(self) -> None:
        ways = list(self.actions.models.ways)
        best = PRESETS[PRESET]
        fidelity, searching = settings_shown(self.actions, ways[0])
        with gr.Accordion("Settings", open=False):
            self.way = gr.Dropdown(ways, value=ways[0], label="Method")
            self.fidelity = gr.Slider(0, 1, value=0, label=FIDELITY, **fidelity)
            with gr.Row(**searching) as self.searching:
                self.preset = gr.Radio(list(PRESETS), value=PRESET, label="Preset")
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

    def _wire(self) -> None:
        do = self.actions
        self.blocks.load(None, None, None, js=EDITOR)
        place = [self.brush_column, self.mask, self.built_in, self.shown, self.legend]
        looked = [
            self.photo,
            self.start,
            self.scene,
            self.number,
            self.where,
            self.clicks,
            self.kind,
            self.editor,
            self.size,
            self.results,
            self.complete,
            self.stop,
            self.status,
            self.live,
            *place,
        ]
        self.photo.upload(do.look, self.photo, looked, show_progress_on=self.photo, **EACH)
        self.other.upload(do.look, self.other, looked, show_progress_on=self.status, **EACH)
        self.go_on.click(do.go_on, self.chosen, looked, show_progress_on=self.status, **OWN)

        def example(request: gr.Request, event: gr.SelectData) -> tuple:
            chosen = self._examples[event.index]
            return do.look(request, str(chosen.picture), chosen.hole)

        self.examples.select(example, None, looked, show_progress_on=self.photo, **OWN)

        wish = [
            self.scene,
            self.where,
            self.clicks,
            self.kind,
            self.mask,
            self.built_in,
            self.way,
            self.preset,
            self.fidelity,
            self.step_count,
            self.lam,
            self.blend,
            self.alternatives,
            self.seed,
        ]
        painted = [*wish, self.editor]
        # Progress is shown beside the editor, never on it nor on a column around it: at every sign
        # of progress on these the page would send all that is painted to the server.
        quiet = {"show_progress_on": self.legend} | LAST
        gr.on(
            [self.kind.input, self.mask.change, self.built_in.input], do.show, wish, place, **quiet
        )
        self.where.input(do.place, painted, [self.editor, *place], **quiet)
        self.shown.select(do.click, painted, [self.clicks, self.editor, *place], **quiet | EACH)
        self.size.change(None, self.size, self.editor, js=sized())
        self.preset.input(
            of_preset, self.preset, [self.step_count, self.lam, self.blend], **AT_ONCE
        )
        self.way.input(
            lambda way: tuple(gr.update(**each) for each in settings_shown(do, way)),
            self.way,
            [self.fidelity, self.searching],
            **AT_ONCE,
        )
        self._wire_completing(painted)

    def _wire_completing(self, wish: list) -> None:
        do = self.actions
        wire(
            do,
            [self.scene, self.number],
            self.asked,
            do.complete,
            [self.seen, *wish],
            [self.complete, self.stop, self.status, self.live, self.results],
            [self.result, self.chosen, self.gallery, self.slider, *self.downloads],
        )
        self.slider.change(None, None, None, js=SCROLL)
        picked = [self.slider, self.downloads[0]]
        self.gallery.select(do.choose, [self.result, self.seen], [self.chosen, *picked], **LAST)
        self.seen.input(compared, [self.result, self.chosen, self.seen], picked, **LAST)

    def _api(self) -> None:
        """/complete, for programs: the inputs are not shown, but documented on the page."""
        with gr.Column(visible=False):
            inputs = [
                gr.File(label="picture: a file", type="filepath"),
                gr.Dropdown(masks.CHOICES, value="center", label="built_in: the kind of mask"),
                gr.Dropdown(FITS, value="resize", label="fit: the centre square, or the face"),
                gr.Dropdown(
                    self.actions.models.names,
                    value=None,
                    label="model: a folder's name; else the one for pictures of this size",
                ),
                gr.Dropdown(list(PRESETS), value=PRESET, label="preset"),
                number("alternatives", 1, most=MOST_ALTERNATIVES, least=1),
                number("seed", 0, 2**31 - 1),
                gr.File(
                    label="mask: a file, white is the hole; instead of built_in", type="filepath"
                ),
                number("steps: of a search, instead of the preset's", None, MOST_STEPS),
                number("lam: of a search", None, most=1e6, precision=None),
                gr.Dropdown(blend.METHODS, value=None, label="blend: instead of the preset's"),
                gr.Dropdown(
                    list(METHODS), value=None, label="method: instead of what the model is made for"
                ),
                number("fidelity: of a network, 0 to 1", None, most=1, precision=None),
            ]
            outputs = [
                gr.File(file_count="multiple", label="pictures"),
                gr.File(label="mask"),
                gr.File(label="animation"),
            ]
            button = gr.Button()
        button.click(self.actions.api, inputs, outputs, api_name="complete", **DEVICE)


def buttons(name: str) -> tuple[gr.Button, gr.Button]:
    """The one that asks for a job, and the one that stops it."""
    return (
        gr.Button(name, variant="primary", size="lg", scale=2),
        gr.Button("Stop", variant="stop", size="lg", visible=False, scale=2),
    )


def on_the_way(label: str) -> tuple[gr.Markdown, gr.Image]:
    """A line of status, and what a job shows on its way."""
    return (
        gr.Markdown(elem_id="status"),
        gr.Image(label=label, visible=False, interactive=False, buttons=[], height=340),
    )


def wire(
    turns: Turns,
    told: list,
    asked: gr.Number,
    job: Callable,
    inputs: list,
    answers: list,
    others: Sequence,
) -> None:
    """Have a button ask for a job: told: what `turns.ask` is given; answers: the button, Stop,
    status, what is shown on the way, results; others: what the job sets besides."""
    button, stop, status, *_ = answers
    asking = button.click(turns.ask, told, [asked, button, stop, status], **AT_ONCE)
    run = asking.then(
        job, [asked, *inputs], [*answers, *others], show_progress="hidden", **DEVICE, **EACH
    )
    run.then(turns.end, None, answers, **AT_ONCE)
    run.failure(turns.fail, None, answers, **AT_ONCE)
    stop.click(turns.stop, None, [button, stop, status], **AT_ONCE)


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


def settings_shown(actions: Actions, way: str) -> tuple[dict, dict]:
    """Whether the settings of a network, and those of a search, are of any use."""
    heeds = actions.models.by_way(way).heeds
    return {"visible": "fidelity" in heeds}, {"visible": "steps" in heeds}
