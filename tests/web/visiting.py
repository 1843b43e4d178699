"""What a visitor does on the page, in steps of a browser."""

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image

SECONDS = 90  # that a step may take on a busy machine
# Of the editor: where a position (x, y) of a picture of this size shows, if it shows that picture.
SHOWN_AT = """([width, height, x, y]) => {
  const editor = window.editor, canvas = document.querySelector(".editor canvas");
  if (!editor || !canvas || !canvas.getBoundingClientRect().width) return null;
  const size = editor.image_container.getLocalBounds();
  const scale = size.width / width;
  if (Math.abs(size.height - height * scale) > 1) return null;
  const place = editor.image_container.toGlobal({ x: x * scale, y: y * scale });
  const box = canvas.getBoundingClientRect();
  return [box.x + place.x, box.y + place.y];
}"""
PAINT = """async () => {
  const { layers } = await window.editor.get_blobs(), image = await createImageBitmap(layers[0]);
  const context = new OffscreenCanvas(image.width, image.height).getContext("2d");
  context.drawImage(image, 0, 0);
  const { data } = context.getImageData(0, 0, image.width, image.height);
  return [image.height, image.width, layers.length, data.filter((_, i) => i % 4 == 3).join()];
}"""


def wait_until(condition) -> None:
    end = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def upload(page, path: Path) -> None:
    """The first picture."""
    choose(page, path)
    page.locator(".editor canvas").first.wait_for()


def choose(page, path: Path, name: str = "Drop an image") -> None:
    """A file for the picture, by the area where one is dropped, once it is there again after a
    refusal, or by the button "New picture"."""
    with page.expect_file_chooser() as event:
        page.get_by_role("button", name=name).click()
    event.value.set_files(path)


def shown_at(page, size: tuple[int, int], point: tuple[float, float]) -> tuple[float, float]:
    """Where a position of a picture of (width, height) is on the screen, once it holds still."""
    seen = [None]

    def settled() -> bool:
        seen.append(page.evaluate(SHOWN_AT, [*size, *point]))
        return seen[-1] is not None and seen[-1] == seen[-2]

    wait_until(settled)
    return tuple(seen[-1])


def paint(page, *points: tuple[float, float], size: tuple[int, int] = (120, 80)) -> None:
    """Drag the real brush over the picture; points in its pixels."""
    page.locator(".editor canvas").first.scroll_into_view_if_needed()
    places = [shown_at(page, size, point) for point in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=2)
    page.mouse.up()


def painted(page) -> np.ndarray:
    """The opacity of what is painted, uint8 (H, W)."""
    height, width, layers, values = page.evaluate(PAINT)
    assert layers == 1
    return np.array(values.split(","), np.uint8).reshape(height, width)


def settings(page, **values: int) -> None:
    if not page.get_by_label("Seed", exact=True).is_visible():
        page.get_by_text("Settings", exact=True).click()
    for label, value in values.items():
        page.get_by_label(label, exact=True).fill(str(value))
        page.keyboard.press("Tab")


def click(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


@contextmanager
def busy(page) -> Iterator[None]:
    """The browser is busy meanwhile: what comes, it takes all at once afterwards."""
    debugger = page.context.new_cdp_session(page)
    debugger.send("Debugger.enable")
    debugger.send("Debugger.pause")
    yield
    debugger.detach()


def wait_for_status(page, text: str) -> None:
    page.locator("#status").get_by_text(text).wait_for()


def save(page, name: str) -> bytes:
    # What is above the buttons is as large as it will be.
    page.wait_for_function(
        "[...document.querySelectorAll('#results img')].every((image) => image.naturalWidth)"
    )
    with page.expect_download() as event:
        page.get_by_text(f"Save {name}", exact=True).click()
    return Path(event.value.path()).read_bytes()


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)))
