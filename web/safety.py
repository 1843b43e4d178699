"""What the page refuses: uploads that are no picture or too large, requests from elsewhere."""

import ipaddress
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pictures import codecs, decoding, files

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
# The page loads nothing from elsewhere; this has the browser hold it to that.
POLICY = (
    "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; object-src 'none'; "
    "frame-ancestors 'self'; form-action 'self'"
)


@dataclass(frozen=True)
class Limits:
    """Of one uploaded picture: its file, its area, and its longer side in pixels."""

    megabytes: int = 25
    megapixels: int = 30
    side: int = 10_000

    @property
    def bytes(self) -> int:
        return self.megabytes * 2**20

    @property
    def pixels(self) -> int:
        return self.megapixels * 10**6


def check(path: Path | str, limits: Limits) -> None:
    """Raise ValueError, in one line for the page, unless the file is a picture within the limits.

    Reads the header alone: nothing is decoded.
    """
    size = Path(path).stat().st_size
    if size > limits.bytes:
        raise ValueError(f"The file has {size / 2**20:.0f} MB; the most is {limits.megabytes}")
    try:
        width, height = decoding.size_in_file(codecs.load(path))
    except Image.DecompressionBombError:
        raise ValueError(
            f"The picture has more than {limits.megapixels} megapixels; make it smaller"
        ) from None
    except Exception:  # decoders raise what they like
        raise ValueError(f"This is not a picture of a kind taken here: {_named()}") from None
    if width * height > limits.pixels or max(width, height) > limits.side:
        raise ValueError(
            f"The picture has {width:,} x {height:,} pixels; the most is {limits.megapixels} "
            f"megapixels, and {limits.side:,} pixels a side: make it smaller"
        )


def _named() -> str:
    kinds = [suffix.removeprefix(".") for suffix in files.USUAL]
    return ", ".join(kinds[:-1]) + f" or {kinds[-1]}"


def bound_decoding(limits: Limits) -> None:
    """Have Pillow refuse more pixels wherever this process decodes, before it decodes."""
    Image.MAX_IMAGE_PIXELS = limits.pixels // 2  # it refuses from twice that on


def is_loopback(host: str) -> bool:
    """Whether a server bound to this name or address is reached from its own machine alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def middleware(host: str) -> list[Middleware]:
    """For the server: its headers and, on loopback, only requests that were meant for it.

    A page elsewhere whose name is made to resolve to 127.0.0.1 sends its own name as the host.
    """
    trusted = [Middleware(TrustedHostMiddleware, allowed_hosts=list(LOOPBACK))]
    return [Middleware(OwnContentOnly)] + (trusted if is_loopback(host) else [])


class OwnContentOnly:
    """Adds POLICY to every answer, and refuses to fetch addresses for a client."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _names_address(scope["path"]):
            await PlainTextResponse("only files of this server", 403)(scope, receive, send)
            return

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers["Content-Security-Policy"] = POLICY
                headers["Referrer-Policy"] = "no-referrer"
            await send(message)

        await self.app(scope, receive, send_with_policy)


def _names_address(path: str) -> bool:
    """Whether a path asks for a file by its address: /gradio_api/file=https://..., /proxy=..."""
    return any(f"{word}=http" in path.lower() for word in ("file", "proxy"))
