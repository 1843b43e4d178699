"""The page in a process of its own, by tiny models, and a browser to visit it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pytest

os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # Gradio's client would report its use
pytest.importorskip("gradio", reason="the page needs requirements-web.txt")

from lively import lively, saved  # noqa: E402
from one_pass import pix2pix, shaken  # noqa: E402
from visiting import SECONDS  # noqa: E402

from networks.style_config import StyleConfig  # noqa: E402
from pictures import codecs  # noqa: E402
from translation.style_transfer import StyleTransfer  # noqa: E402

CHROMIUM = shutil.which("chromium")
# Nothing of the browser's own leaves the machine; WebGL, which the editor draws with, in software.
BROWSER_FLAGS = """--no-sandbox --disable-gpu --enable-unsafe-swiftshader --disable-quic
    --disable-background-networking --disable-component-update --disable-sync""".split()


@dataclass
class Server:
    url: str
    folder: Path  # everything that it could write to


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    return saved(tmp_path_factory.mktemp("models") / "tiny", lively())


@pytest.fixture(scope="session")
def network(model) -> Path:
    """A model that completes in one pass; the other is its prior."""
    shaken(pix2pix(prior="../tiny")).state.save(model.parent / "network")
    return model.parent / "network"


@pytest.fixture(scope="session")
def mender(model) -> Path:
    """A model that gives grey faces colours."""
    shaken(pix2pix(damage="grey")).state.save(model.parent / "grey")
    return model.parent / "grey"


@pytest.fixture(scope="session")
def painter(model) -> Path:
    """A network that paints in two styles."""
    made = StyleTransfer(
        StyleConfig(image_size=16, filters=2, residual=1, styles=("strokes", "glass"))
    )
    for net in (made.network, made.average):
        kernel = net.get_layer("out").kernel
        kernel.assign(100 * kernel)  # a fresh one hardly changes what it sees
    made.state.save(model.parent / "painter")
    return model.parent / "painter"


@pytest.fixture(scope="session")
def server(model, network, mender, painter, tmp_path_factory) -> Server:
    """The page in a process of its own. Stopped, it removes its folder, and wrote nowhere else."""
    folder = tmp_path_factory.mktemp("server")
    places = {name: folder / name for name in ("TMPDIR", "HOME", "work")}
    for place in places.values():
        place.mkdir()
    places["MPLCONFIGDIR"] = Path(matplotlib.get_cachedir())  # so that it does not list all fonts
    port = free_port()
    flags = ["--checkpoint", model, network, mender, painter, "--port", port, "--max-waiting", 10]
    process = subprocess.Popen(
        [sys.executable, Path(__file__).with_name("serving.py"), *map(str, flags)],
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


@pytest.fixture
def hold(server):
    """hold(N) has searches for alternative N, from 0, wait until the end of the test, or until they
    are stopped or left."""
    folder = server.folder / "work"
    yield lambda draw=0: (folder / f"held-{draw}").touch()
    for file in folder.glob("held-*"):
        file.unlink()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
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

    def open_page(width: int = 1366, height: int = 768, **options):
        viewport = {"width": width, "height": height}
        options = {"device_scale_factor": 0.5} | options  # a quarter of the pixels to paint
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


@pytest.fixture(scope="session")
def photograph(tmp_path_factory) -> Path:
    """A picture that is no square, (80, 120, 3), and shows no face."""
    path = tmp_path_factory.mktemp("photographs") / "photo graph.png"
    blots = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    codecs.write(path, codecs.resize(blots, 80, 120))
    return path


@pytest.fixture(scope="session")
def mask_file(tmp_path_factory) -> Path:
    """A hole in the centre of `photograph`."""
    path = tmp_path_factory.mktemp("masks") / "mask.png"
    hole = np.zeros((80, 120, 1), np.uint8)
    hole[30:55, 45:70] = 255
    codecs.write(path, hole)
    return path
