#!/usr/bin/env python3
"""A page to complete pictures by hand: upload, paint the hole, choose from what is found.

web/app.py
web/app.py --checkpoint models/faces64 checkpoint --port 8000
"""

import argparse
import contextlib
import logging
import os
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
if not __package__:  # run as a script, from whose folder modules are found
    sys.path[0] = str(ROOT)

import cli  # noqa: E402
from cli import flag, positive_float, positive_int  # noqa: E402
from web import memory  # noqa: E402

PAINTS = Path("checkpoint-style")  # where train-style.py writes by default
SESSIONS = 100  # of which the server keeps what was uploaded; the oldest is forgotten first


def parser() -> argparse.ArgumentParser:
    p = cli.Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flag(
        p,
        "--checkpoint",
        nargs="+",
        type=Path,
        metavar="DIR",
        help="folders of models to choose from (default: those trained here, and those that ship)",
    )
    flag(p, "--port", type=positive_int, default=7860, help="(default: %(default)s)")
    flag(
        p,
        "--host",
        default="127.0.0.1",
        help="address to listen on (default: this machine's own "
        "loopback, which nobody else reaches)",
    )
    flag(
        p,
        "--auth",
        action="append",
        type=_account,
        metavar="USER:PASSWORD",
        help="who may use the page; may be given several times",
    )
    flag(
        p,
        "--time-limit",
        type=positive_float,
        default=300.0,
        metavar="SECONDS",
        help="for one search; then the best so far is shown (default: %(default).0f)",
    )
    flag(
        p,
        "--max-waiting",
        type=positive_int,
        default=20,
        help="jobs in the queue; who comes then is told that the server is busy (%(default)s)",
    )
    flag(p, "--max-megabytes", type=positive_int, default=25, help="of a file (%(default)s)")
    flag(p, "--max-megapixels", type=positive_int, default=30, help="of a picture (%(default)s)")
    return p


def _account(text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password):
        raise argparse.ArgumentTypeError("give USER:PASSWORD")
    return user, password


def main() -> int:
    arguments = parser().parse_args()
    if not find_spec("gradio"):
        raise ValueError("the page needs Gradio: pip install -r requirements-web.txt")
    _warn(arguments.host, arguments.auth)
    folders = _folders(arguments.checkpoint)
    memory.share()
    cli.tell(f"loading {folders[0]}; the page's address follows")
    cli.import_tensorflow()
    logging.getLogger("tensorflow").setLevel("ERROR")  # else of networks that are traced anew
    with tempfile.TemporaryDirectory(prefix="dcgan-web-") as folder, cli.StopRequest() as stop:
        os.environ |= _quiet(folder)
        blocks = _launch(arguments, folders, Path(folder))
        while not stop.requested:
            time.sleep(0.2)
        with contextlib.redirect_stdout(None):
            blocks.close()
    return 0


def _warn(host: str, accounts: list | None) -> None:
    from web.safety import is_loopback

    if not (accounts or is_loopback(host)):
        print(
            f"warning: whoever reaches {host} can use the page; give --auth USER:PASSWORD",
            file=sys.stderr,
        )


def _folders(given: list[Path] | None) -> list[Path]:
    """--checkpoint, else those trained here and those that ship."""
    from training import checkpoint

    for path in given or []:
        if not checkpoint.exists(path):
            raise ValueError(f"--checkpoint {path}: holds no model")
    beside = (*checkpoint.MENDING, checkpoint.PAINTING, PAINTS)
    found = [*checkpoint.default_folders(), *filter(checkpoint.exists, beside)]
    return given or [Path(os.path.relpath(folder)) for folder in found]


def _quiet(folder: str) -> dict[str, str]:
    """Environment of Gradio, before its import: no request leaves, nothing is written elsewhere."""
    return {
        "GRADIO_ANALYTICS_ENABLED": "False",
        "GRADIO_TEMP_DIR": folder,
        "HF_HUB_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "GRADIO_SSR_MODE": "False",
    }


def _launch(arguments: argparse.Namespace, folders: list[Path], folder: Path):
    """Start the server in threads of its own; returns the page."""
    from web import browser, examples, mend, page, safety, studio, style
    from web.actions import Actions
    from web.models import Models

    host, port = arguments.host, arguments.port
    limits = safety.Limits(arguments.max_megabytes, arguments.max_megapixels)
    safety.bound_decoding(limits)
    recent = memory.Recent()
    menders = mend.Menders(folders, recent)
    filling = [f for f in folders if f not in menders.folders.values()] or folders
    models = Models(filling, by_size=not arguments.checkpoint, recent=recent)
    studio.rehearse(
        examples.PHOTOGRAPH, models.by_way(next(iter(models.ways)))
    )  # a damaged model, and a wait, are told now
    actions = Actions(models, limits, folder=folder, seconds=arguments.time_limit)
    shown = examples.write(folder / "examples")
    hands = style.hands(folders)
    beside = {mend.PATH: menders.folders, style.PATH: hands}
    blocks = page.Page(actions, shown, beside=[path for path in beside if beside[path]]).blocks
    if menders.folders:
        mend.MendPage(blocks, menders, limits, folder)
    if hands:
        style.StylePage(blocks, hands, limits, folder, seconds=arguments.time_limit)
    blocks.queue(max_size=arguments.max_waiting)
    try:
        _, url, _ = blocks.launch(
            server_name=host,
            server_port=port,
            auth=arguments.auth,
            theme=page.theme(),
            css=browser.STYLE,
            js=browser.SLIDER,
            max_file_size=limits.bytes,
            state_session_capacity=SESSIONS,
            app_kwargs={"middleware": safety.middleware(host)},
            footer_links=["api"],
            run_history=False,
            enable_monitoring=False,
            share=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError:
        raise ValueError(f"--port {port} of {host} cannot be listened on; is it in use?") from None
    print(f"{url} (Ctrl-C ends it)", flush=True)
    return blocks


if __name__ == "__main__":
    cli.run(main)
