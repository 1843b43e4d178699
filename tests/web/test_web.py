"""The page: as a visitor uses it, in headless Chromium; as programs use it; and what it refuses."""

import io
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import matplotlib
import numpy as np
import pytest
from PIL import Image

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # Gradio's client would report its use
pytest.importorskip("gradio", reason="the page needs requirements-web.txt")

from lively import SIZE, lively, saved  # noqa: E402

import cli  # noqa: E402
import completion  # noqa: E402
from completion.case import Hole, prepare  # noqa: E402
from completion.finish import finish  # noqa: E402
from completion.options import PRESETS, with_changes  # noqa: E402
from pictures import codecs, masks  # noqa: E402
from training import checkpoint  # noqa: E402
from web import actions, app, safety, studio  # noqa: E402

ROOT = Path(__file__).parents[2]
CHROMIUM = shutil.which("chromium")
# Nothing of the browser's own leaves the machine; WebGL, which the editor draws with, in software.
BROWSER_FLAGS = """--no-sandbox --disable-gpu --enable-unsafe-swiftshader --disable-quic
    --disable-background-networking --disable-component-update --disable-sync""".split()
SECONDS = 90  # that a step may take on a busy machine
LIMITS = safety.Limits()


@dataclass
class Server:
    url: str
    folder: Path  # everything that it could write to


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "tiny", lively())


@pytest.fixture(scope="module")
def server(model, tmp_path_factory) -> Server:
    """The page in a process of its own. Stopped, it removes its folder, and wrote nowhere else."""
    folder = tmp_path_factory.mktemp("server")
    places = {name: folder / name for name in ("TMPDIR", "HOME", "work")}
    for place in places.values():
        place.mkdir()
    places["MPLCONFIGDIR"] = Path(matplotlib.get_cachedir())  # so that it does not list all fonts
    port = free_port()
    flags = ["--checkpoint", model, "--port", port, "--max-waiting", 10]
    process = subprocess.Popen(
        [sys.executable, ROOT / "web" / "app.py", *map(str, flags)],
        cwd=places["work"],
        env=os.environ | {k: str(v) for k, v in places.items()},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert "Ctrl-C" in process.stdout.readline()
        yield Server(f"http://127.0.0.1:{port}", folder)
        process.send_signal(signal.SIGTERM)
        assert process.wait(SECONDS) == 0
        left = [path for path in folder.rglob("*") if path.is_file()]
        assert [path.name for path in left] in ([], ["keras.json"])  # Keras's own settings
    finally:
        process.kill()
        process.communicate()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no chromium on this machine (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as p:
        yield p.chromium.launch(executable_path=CHROMIUM, args=BROWSER_FLAGS)


@pytest.fixture
def visit(browser, server):
    """visit(width=..., ...) opens the page as a new visitor. Whatever is visited, no request leaves
    the machine and the console shows no error."""
    contexts, addresses, errors = [], [], []

    def open_page(width: int = 1100, height: int = 800, **options):
        viewport = {"width": width, "height": height}
        contexts.append(browser.new_context(viewport=viewport, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(1000 * SECONDS)
        page.on("request", lambda request: addresses.append(request.url))
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(server.url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    errors = [text for text in errors if "status of 503" not in text]  # the answer "busy"
    here = (server.url, "data:", "blob:" + server.url)
    assert not [address for address in addresses if not address.startswith(here)]
    assert not errors


@pytest.fixture(scope="module")
def photograph(tmp_path_factory) -> Path:
    """A picture that is no square, (80, 120, 3), and shows no face."""
    path = tmp_path_factory.mktemp("photographs") / "photo graph.png"
    blots = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    codecs.write(path, codecs.resize(blots, 80, 120))
    return path


@pytest.fixture(scope="module")
def mask_file(tmp_path_factory) -> Path:
    """A hole in the centre of `photograph`."""
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    hole = np.zeros((80, 120, 1), np.uint8)
    hole[30:55, 45:70] = 255
    codecs.write(path, hole)
    return path


# As a visitor


def choose_file(page, path: Path) -> None:
    page.locator("input[type=file]").first.set_input_files(path)


def upload(page, path: Path) -> None:
    choose_file(page, path)
    page.locator(".editor canvas").first.wait_for()


def paint(page, *points: tuple[float, float]) -> None:
    """Drag the real brush over the picture in the editor; points from -1 to 1."""
    # The editor has zoomed: it shows the 468 rows of `photograph`'s canvas 458 pixels high.
    page.locator(".editor").get_by_text("98%", exact=True).wait_for()
    canvas = page.locator(".editor canvas").first
    canvas.scroll_into_view_if_needed()
    box, half = canvas.bounding_box(), 229
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    points = [(middle[0] + half * x, middle[1] + half * y) for x, y in points]
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point, steps=5)
    page.mouse.up()


def wait_for_paint(page) -> None:
    """Until the middle of the editor shows paint."""
    box = page.locator(".editor canvas").first.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    clip = {"x": x, "y": y, "width": 1, "height": 1}
    wait_until(lambda: tuple(pixels(page.screenshot(clip=clip))[0, 0, :3]) == studio.ACCENT)


def settings(page, **values: int) -> None:
    page.get_by_text("Settings", exact=True).click()
    for label, value in values.items():
        page.get_by_label(label, exact=True).fill(str(value))
        page.keyboard.press("Tab")


def click(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def wait_for_status(page, text: str) -> None:
    page.locator("#status").get_by_text(text).wait_for()


def save(page, name: str) -> bytes:
    with page.expect_download() as event:
        page.get_by_text(f"Save {name}", exact=True).click()
    return Path(event.value.path()).read_bytes()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))


def test_paints_undoes_and_completes(visit, photograph):
    page = visit()
    upload(page, photograph)
    paint(page, (-0.2, -0.5), (0, 0), (0.2, 0.5))
    wait_for_paint(page)
    page.get_by_role("button", name="Undo").click()
    click(page, "Complete")
    page.get_by_text("Nothing is painted yet").wait_for()

    paint(page, (-0.2, 0), (0.2, 0))
    settings(page, Steps=20, Alternatives=2)
    click(page, "Complete")
    wait_for_status(page, "Done")

    result = save(page, "picture")
    shown = page.locator("#slider img").nth(1).get_attribute("src")
    assert page.request.get(shown).body() == result
    before, after = codecs.read(photograph), pixels(result)
    hole = pixels(save(page, "mask")) > 0
    assert after.shape == before.shape
    assert (after == before)[~hole].all()
    assert (after != before)[hole].any()
    # The stroke went through the middle of the centre square, and no further than a brush does.
    rows, columns = np.nonzero(hole)
    assert hole[40, 55:65].all()
    assert 30 < rows.min() and rows.max() < 50 and 40 < columns.min() and columns.max() < 80
    assert Image.open(io.BytesIO(save(page, "animation"))).n_frames > 2

    page.locator("#alternatives button img").nth(1).click()
    page.wait_for_function(f"document.querySelectorAll('#slider img')[1].src != '{shown}'")
    other = pixels(save(page, "picture"))
    assert (other == before)[~hole].all() and (other != after).any()


def test_refuses_what_is_no_picture(visit, tmp_path, photograph):
    text, wide, bomb = tmp_path / "text.png", tmp_path / "wide.png", tmp_path / "bomb.png"
    text.write_text("not a picture")
    codecs.write(wide, np.zeros((4, 20_000, 3), np.uint8))
    write_bomb(bomb)
    for path, words in ((text, "not a picture"), (wide, "20,000 x 4"), (bomb, "megapixels")):
        page = visit()
        choose_file(page, path)
        page.get_by_text(words).wait_for()  # said while the picture is still shown
        page.locator("#photo img").wait_for(state="detached")
    page = visit()
    choose_file(page, photograph)
    page.get_by_label("Whole picture", exact=True).wait_for()  # the server lives on


def write_bomb(path: Path, side: int = 50_000) -> None:
    """A PNG of a few kilobytes that claims to decode to gigabytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side + 1) * 100), 9)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_mask_file_and_stop_on_a_phone(visit, photograph, mask_file):
    page = visit(360, 740, has_touch=True, is_mobile=True, color_scheme="dark")
    upload(page, photograph)
    page.get_by_label("Mask file", exact=True).check()
    page.locator("#mask input[type=file]").set_input_files(mask_file)
    page.locator("#hole img").wait_for()
    settings(page, Steps=5000)
    click(page, "Complete")
    wait_for_status(page, "Step")
    click(page, "Stop")
    wait_for_status(page, "Stopped: the best so far")
    assert (pixels(save(page, "mask")) == pixels(mask_file.read_bytes())).all()
    before, after = codecs.read(photograph), pixels(save(page, "picture"))
    assert (after != before).any()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


# As a program


def test_documented_client_does_what_complete_py_does(
    server, model, photograph, mask_file, tmp_path, monkeypatch
):
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs" / "web.md").read_text(), re.S)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 5
    shutil.copy(photograph, tmp_path / "photograph.png")
    shutil.copy(mask_file, tmp_path / "mask.png")
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(code.replace("http://127.0.0.1:7860", server.url), names)

    tiny = completion.restore(model)
    options = PRESETS["best"]
    case = prepare(photograph, SIZE, 3, Hole(file=mask_file))
    *_, last = tiny.complete([case], options)
    expected = finish(case, last.generated[0], options.blend)
    assert (codecs.read(names["pictures"][0]) == expected).all()
    assert (codecs.read(names["mask"], 1) == codecs.read(mask_file, 1)).all()


def test_a_queue_is_served_in_order_says_busy_and_forgets_who_leaves(visit, server, photograph):
    from gradio_client import Client, handle_file

    page, late = visit(), visit()
    for each in page, late:
        choose_file(each, photograph)
        each.get_by_label("Built-in", exact=True).check()
        each.locator("#hole img").wait_for()
    # One holds the model with a search that would outlast the test.
    settings(page, Steps=5000, Alternatives=6)
    client, jobs = Client(server.url, verbose=False), []
    click(page, "Complete")
    wait_for_status(page, "Step")
    for rank in range(10):
        jobs.append(
            client.submit(
                picture=handle_file(photograph),
                built_in="random",
                seed=rank,
                steps=1,
                api_name="/complete",
            )
        )
        wait_until(lambda job=jobs[-1]: job.status().rank is not None)
        assert jobs[-1].status().rank == rank
    with pytest.raises(Exception, match="(?i)queue is full"):
        client.predict(picture=handle_file(photograph), api_name="/complete")
    click(late, "Complete")
    late.get_by_text("currently busy").wait_for()
    assert late.get_by_role("button", name="Complete", exact=True).is_visible()
    page.context.close()
    results = [Path(job.result(SECONDS)[0][0]).read_bytes() for job in jobs]
    written = {p.read_bytes(): p.stat().st_mtime_ns for p in server.folder.rglob("completed-*")}
    times = [written[result] for result in results]
    assert times == sorted(times) and len(set(results)) == 10


def wait_until(condition) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_fetches_nothing_for_anybody(server):
    """No address that a client names, and no answer to a name that only points here."""
    assert status(server.url + "/gradio_api/file=http://127.0.0.1:1/") == 403
    assert status(server.url + "/gradio_api/proxy=http://127.0.0.1:1/") == 403
    assert status(server.url, Host="elsewhere.example") == 400
    from gradio_client import Client

    picture = {"path": "http://127.0.0.1:1/a.png", "meta": {"_type": "gradio.FileData"}}
    with pytest.raises(Exception, match="."):
        Client(server.url, verbose=False).predict(picture=picture, api_name="/complete")


def status(address: str, **headers: str) -> int:
    try:
        request = urllib.request.Request(address, headers=headers)
        return urllib.request.urlopen(request, timeout=SECONDS).status
    except urllib.error.HTTPError as error:
        return error.code


# Without a server


@pytest.mark.parametrize(
    "flags, words",
    [
        (["--checkpoint", "nowhere"], ["nowhere: holds no model"]),
        (["--auth", "user"], ["USER:PASSWORD"]),
        (["--port", "0"], ["above 0"]),
        (["--host", "0.0.0.0"], ["warning: whoever reaches 0.0.0.0", "error: no model"]),
        (["--host", "0.0.0.0", "--auth", "user:secret"], ["error: no model"]),
    ],
)
def test_faults_and_warnings_are_a_line_each(flags, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checkpoint, "SHIPPED", (Path("nowhere"),))
    monkeypatch.setattr(sys, "argv", ["app.py", *flags])
    with pytest.raises(SystemExit) as exit:
        cli.run(app.main)
    lines = [line for line in capsys.readouterr().err.splitlines() if ": " in line]
    assert exit.value.code == 2
    assert all(map(str.__contains__, lines[-len(words) :], words))


def test_loopback():
    assert all(map(safety.is_loopback, ("localhost", "127.0.0.1", "127.1.2.3", "::1", "[::1]")))
    assert not any(map(safety.is_loopback, ("0.0.0.0", "192.168.0.2", "::", "example.org", "")))


def test_check_reads_the_header_alone(tmp_path, photograph):
    safety.check(photograph, LIMITS)
    path = tmp_path / "large.png"
    codecs.write(path, np.zeros((10, 10, 3), np.uint8))
    path.write_bytes(path.read_bytes() + bytes(LIMITS.bytes))
    with pytest.raises(ValueError, match="25 MB; the most is 25"):
        safety.check(path, LIMITS)
    Image.new("L", (8, 8)).save(tmp_path / "drawing.tiff")
    safety.check(tmp_path / "drawing.tiff", LIMITS)
    with pytest.raises(ValueError, match="png, jpg, webp, bmp, tif, gif, .* or xpm"):
        safety.check(__file__, LIMITS)


def scene_of(path: Path) -> studio.Scene:
    return studio.Scene(path, codecs.read(path).shape[:2], ())


def test_clicks_choose_a_face_or_three_points(photograph, model, tmp_path):
    do = actions.Actions(studio.Models([model]), LIMITS, tmp_path, SECONDS)
    corners = [(50, 35), (65, 35), (57, 55)]  # of a face's eyes, and its lip
    scene = studio.Scene(photograph, (80, 120), (((40, 20, 75, 65), np.array(corners)),))

    def click(where, clicks, position):
        return do.click(scene, where, clicks, SimpleNamespace(index=position))

    assert click(actions.WHOLE, [], (1, 1))[0] == actions.WHOLE  # beside the face
    where, _, _, face = click(actions.WHOLE, [], (60, 30))
    assert where == "0"
    clicks = []
    for position, label in zip(corners, ("right eye", "bottom lip", "again"), strict=True):
        where, clicks, shown, canvas = click(actions.POINTS, clicks, position)
        assert where == actions.POINTS and label in shown["label"]
    assert (canvas["background"] == face["background"]).all()
    assert click(actions.POINTS, clicks, (1, 1))[1] == [(1, 1)]  # the fourth begins anew


def test_painted_hole_is_where_it_was_painted(photograph, tmp_path):
    marked, green = codecs.read(photograph).copy(), (0, 255, 0)
    marked[20:30, 40:50] = green
    codecs.write(tmp_path / "marked.png", marked)
    scene = scene_of(tmp_path / "marked.png")
    canvas = studio.canvas(scene, None)
    assert max(canvas.shape) == studio.CANVAS_SIDES[0]
    stroke = np.uint8(255 * (canvas == green).all(axis=-1))
    hole = masks.from_file(studio.painted_mask(scene, None, stroke, SIZE, tmp_path)) == 0
    assert hole.shape == (80, 120, 1)
    assert hole[21:29, 41:49].all()  # Lanczos leaves pure green inside of the edges only
    assert not np.delete(hole, np.s_[19:31], axis=0).any()
    assert not np.delete(hole, np.s_[39:51], axis=1).any()


def test_nothing_painted_is_told(photograph, tmp_path):
    for stroke in (None, np.zeros((480, 480), np.uint8)):
        with pytest.raises(ValueError, match="Nothing is painted"):
            studio.painted_mask(scene_of(photograph), None, stroke, 32, tmp_path)


def test_paint_beyond_the_square_does_not_count(photograph, tmp_path):
    scene = scene_of(photograph)
    points = np.array([(50, 35), (65, 38), (55, 55)])  # of a tilted face
    stroke = np.full(studio.canvas(scene, points).shape[:2], 255, np.uint8)
    stroke[: len(stroke) // 2] = 0
    hole = Hole(file=studio.painted_mask(scene, points, stroke, SIZE, tmp_path))
    case = prepare(photograph, SIZE, 3, hole, face_points=points)
    assert (case.square_mask[-1] == 0).all()


def test_stop_keeps_the_best(model, photograph, tmp_path):
    tiny, stop = completion.restore(model), threading.Event()
    options = with_changes(PRESETS["original"], {"steps": 40, "alternatives": 3, "lr": 0.5})
    case = studio.prepare(photograph, tiny, Hole("center"))
    losses = []
    for view in studio.complete(tiny, case, options, tmp_path, stop, float("inf")):
        if isinstance(view, studio.View):
            losses.append(view.loss)
            if view.step >= 20:
                stop.set()
    assert view.ended == "stopped"
    assert len(view.pictures) == 1 and view.losses[0] <= min(losses)


def test_time_is_bounded(model, photograph, tmp_path):
    tiny = completion.restore(model)
    case = studio.prepare(photograph, tiny, Hole("center"))
    *_, result = studio.complete(tiny, case, PRESETS["original"], tmp_path, threading.Event(), 0)
    assert result.ended == "time" and result.pictures[0].exists()


def test_a_folder_goes_with_its_job(tmp_path):
    with pytest.raises(GeneratorExit), studio.own_folder(tmp_path) as folder:
        raise GeneratorExit
    assert not folder.exists()
    with studio.own_folder(tmp_path) as folder:
        pass
    assert folder.exists()
