"""A picture of a page that something in this machine serves, taken by the machine's own browser.

The page is whatever a program here says, so no browser of the host ever opens it. The one that
does is asked over two pipes, as its debugging protocol has it: JSON, each message ended by a zero
byte.
"""

import base64
import json
import os
import select
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fcntl import F_DUPFD_CLOEXEC, fcntl
from pathlib import Path
from typing import Any

WIDTH_PIXELS, HEIGHT_PIXELS = 1280, 800
"""Of every picture, so that its bytes are bounded, too."""
SECONDS_MAX = 75.0
"""For all of it."""
LOAD_SECONDS_MAX = 10.0
"""For what a page is made of, once it has answered; then it is taken as it is."""
SETTLE_SECONDS = 1.5
"""For what its scripts ask for after that."""
MESSAGE_BYTES_MAX = 16 << 20
"""From the browser: more than such a picture ever is."""

NAMED = "CHROME_PATH"
"""Of the environment: which browser it is, where it is found nowhere else."""
NAMES = (
    *("chromium", "chromium-browser", "chromium-headless-shell", "google-chrome"),
    *("google-chrome-stable", "chrome", "headless_shell"),
)
"""What it is called on PATH."""
KEPT = "PLAYWRIGHT_BROWSERS_PATH"
KEPT_AT = (
    *("chromium*/chrome-*/chrome", "chromium*/chrome-*/headless_shell"),
    "chromium*/chrome-*/chrome-headless-shell",
)
"""Below that directory, or its default one: where Playwright puts it."""
MISSING = (
    "there is no Chromium in this machine. Have the Dockerfile of the project's dev container"
    " install one (`apt-get install -y chromium`, or `npx playwright install --with-deps"
    f" chromium`), or name yours in {NAMED}"
)

OPTIONS = (
    "--headless",
    # What the page may do here its program may do anyway: the machine is what holds both.
    *("--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update"),
    *("--disable-extensions", "--disable-sync", "--mute-audio", "--remote-debugging-pipe"),
)
_PIPED = 'exec "$0" "$@" 3< "/dev/fd/$READ" 4> "/dev/fd/$WRITE"'
"""The descriptors that the browser looks at are 3 and 4, whatever ours are."""
_ABOVE = 10


class NoPicture(Exception):
    """A clause that says why there is none, and what to do."""


def find_browser(environment: Mapping[str, str]) -> str:
    """Its program. :raises NoPicture: there is none"""
    named = environment.get(NAMED, "")
    for name in (named, *NAMES) if named else NAMES:
        found = shutil.which(name, path=environment.get("PATH"))
        if found is not None:
            return found
    home = Path(environment.get("HOME") or "/home/agent")
    kept = Path(environment.get(KEPT) or home / ".cache" / "ms-playwright")
    for pattern in KEPT_AT:
        for path in sorted(kept.glob(pattern), reverse=True):
            if os.access(path, os.X_OK):
                return str(path)
    raise NoPicture(MISSING)


def take(browser: str, url: str) -> bytes:
    """The page as a PNG: its first screen, a second after it has come. :raises NoPicture:"""
    with _started(browser) as page:
        made = page.call("Target.createTarget", url="about:blank")
        attached = page.call("Target.attachToTarget", targetId=made["targetId"], flatten=True)
        page.session = attached["sessionId"]
        page.call("Page.enable")
        page.call(
            "Emulation.setDeviceMetricsOverride",
            width=WIDTH_PIXELS,
            height=HEIGHT_PIXELS,
            deviceScaleFactor=1,
            mobile=False,
        )
        went = page.call("Page.navigate", url=url)
        if went.get("errorText"):
            raise NoPicture(f"{url} does not show: {went['errorText']}")
        page.wait(LOAD_SECONDS_MAX, until_loaded=True)
        page.wait(SETTLE_SECONDS)
        return base64.b64decode(page.call("Page.captureScreenshot", format="png")["data"])


class _Page:
    """A browser's page, and the way to it."""

    def __init__(self, reads: int, writes: int, log: Path) -> None:
        self._reads, self._writes, self._log = reads, writes, log
        self._deadline = time.monotonic() + SECONDS_MAX
        self._said = bytearray()
        self._number = 0
        self._is_loaded = False
        self.session = ""
        """Of the page; empty: the browser itself is spoken to."""

    def call(self, method: str, **params: Any) -> Mapping[str, Any]:
        """Ask for something, and what is answered. :raises NoPicture:"""
        number = self._send(method, params)
        while True:
            message = self._next(self._deadline)
            if message is None:
                raise NoPicture(f"the page was not there within {SECONDS_MAX:g} seconds")
            if message.get("id") == number:
                if "error" in message:
                    why = message["error"].get("message", "")
                    raise NoPicture(f"the browser refused {method}: {why}")
                found: Mapping[str, Any] = message.get("result", {})
                return found

    def wait(self, seconds: float, *, until_loaded: bool = False) -> None:
        """Let the page go on, for so long at most. :raises NoPicture:"""
        until = min(time.monotonic() + seconds, self._deadline)
        while not (until_loaded and self._is_loaded):
            if self._next(until) is None:
                return

    def _send(self, method: str, params: Mapping[str, Any]) -> int:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        try:
            os.write(self._writes, json.dumps(message).encode() + b"\0")
        except OSError as error:
            raise self._ended() from error
        return self._number

    def _next(self, until: float) -> Mapping[str, Any] | None:
        """The next message; None: none came until then. :raises NoPicture: the browser ended"""
        while b"\0" not in self._said:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self._reads], [], [], left)[0]:
                return None
            data = os.read(self._reads, 1 << 16)
            if not data:
                raise self._ended()
            self._said += data
            if len(self._said) > MESSAGE_BYTES_MAX:
                raise NoPicture(f"the browser said more than {MESSAGE_BYTES_MAX} bytes at once")
        line, _, rest = self._said.partition(b"\0")
        self._said = rest
        try:
            message: Mapping[str, Any] = json.loads(line)
        except ValueError as error:
            raise NoPicture("the browser said something that is no message") from error
        self._note(message.get("method"))
        return message

    def _note(self, method: str | None) -> None:
        if method == "Page.loadEventFired":
            self._is_loaded = True
        elif method == "Page.javascriptDialogOpening":
            # A page that asks something stands still until it is answered.
            self._send("Page.handleJavaScriptDialog", {"accept": False})

    def _ended(self) -> NoPicture:
        lines = self._log.read_text(errors="replace").strip().splitlines() or ["it said nothing"]
        return NoPicture(f"the browser ended: {lines[-1][:400]}")


@contextmanager
def _started(browser: str) -> Iterator[_Page]:
    """A browser with a profile of its own; both are gone afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="ona-preview-", ignore_cleanup_errors=True) as room,
        _pipe() as (reads, answers),
        _pipe() as (asked, writes),
    ):
        log = Path(room) / "log"
        with log.open("wb") as errors:
            process = subprocess.Popen(
                ["/bin/sh", "-c", _PIPED, browser, *OPTIONS, f"--user-data-dir={room}/profile"],
                env={**os.environ, "READ": str(asked), "WRITE": str(answers)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                pass_fds=(asked, answers),
                start_new_session=True,
            )
        # Ours are closed, so that the browser's end is an end of what we read.
        os.close(asked)
        os.close(answers)
        try:
            yield _Page(reads, writes, log)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    """Its two ends, numbered above those that the shell is to put something else on."""
    low = os.pipe()
    ends = fcntl(low[0], F_DUPFD_CLOEXEC, _ABOVE), fcntl(low[1], F_DUPFD_CLOEXEC, _ABOVE)
    for each in low:
        os.close(each)
    try:
        yield ends
    finally:
        for each in ends:
            with suppress(OSError):
                os.close(each)
