"""A forge's smart HTTP for tests: `git http-backend` behind basic authentication."""

import base64
import os
import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from pathlib import Path

Credentials = str | Callable[[str], bool] | None
"""`user:password`, or what judges it; None: everybody may do everything."""


def _lets_in(credentials: Credentials, header: str | None) -> bool:
    if credentials is None:
        return True
    scheme, _, said = (header or "").partition(" ")
    if scheme != "Basic":
        return False
    given = base64.b64decode(said).decode()
    return given == credentials if isinstance(credentials, str) else credentials(given)


def _chunks(said: BufferedIOBase) -> Iterator[bytes]:
    while size := int(said.readline(), 16):
        yield said.read(size)
        said.readline()
    said.readline()


def _handler(  # noqa: C901 - one server
    root: Path, credentials: Credentials, under: str, api: str
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(b"")

        def do_DELETE(self) -> None:
            self._answer(b"")

        def do_PUT(self) -> None:
            self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        do_PATCH = do_PUT

        def do_POST(self) -> None:
            if self.headers.get("Transfer-Encoding") == "chunked":
                self._answer(b"".join(_chunks(self.rfile)))
            else:
                self._answer(self.rfile.read(int(self.headers["Content-Length"])))

        def _answer(self, body: bytes) -> None:
            if api and self.path.startswith("/api/"):
                self._ask_api(body)
                return
            if not _lets_in(credentials, self.headers.get("Authorization")):
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="forge"')
                self.end_headers()
                return
            path, _, query = self.path.partition("?")
            if not path.startswith(f"{under}/"):
                self.send_error(404)
                return
            done = subprocess.run(
                ["git", "-c", "safe.directory=*", "http-backend"],
                input=body,
                capture_output=True,
                check=False,
                env={
                    "PATH": os.environ["PATH"],
                    "GIT_PROJECT_ROOT": str(root),
                    "GIT_HTTP_EXPORT_ALL": "1",
                    "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
                    "REQUEST_METHOD": self.command,
                    "PATH_INFO": path.removeprefix(under),
                    "QUERY_STRING": query,
                    "CONTENT_TYPE": self.headers.get("Content-Type", ""),
                    "CONTENT_LENGTH": str(len(body)),
                    "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
                },
            )
            head, _, payload = done.stdout.partition(b"\r\n\r\n")
            fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
            self.send_response(int(fields.pop("Status", "200").split()[0]))
            for name, value in fields.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def _ask_api(self, body: bytes) -> None:
            headers = {name: value for name, value in self.headers.items() if name != "Host"}
            asked = urllib.request.Request(
                f"{api}{self.path}", data=body or None, headers=headers, method=self.command
            )
            try:
                answer = urllib.request.urlopen(asked)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                said = answer.read()
                self.send_response_only(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in {"content-length", "transfer-encoding", "connection"}:
                        self.send_header(name, value)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def has_branch(repository: Path, branch: str) -> bool:
    """Whether a bare repository has a branch."""
    return head_of(repository, branch) != ""


def head_of(repository: Path, branch: str) -> str:
    """The commit that a branch of a bare repository is at; empty: there is no such branch."""
    argv = ["git", "-c", "safe.directory=*", "--git-dir", str(repository), "rev-parse", "-q"]
    done = subprocess.run(
        [*argv, "--verify", f"refs/heads/{branch}"], capture_output=True, check=False, text=True
    )
    return done.stdout.strip()


@contextmanager
def serve(
    root: Path, credentials: Credentials = None, *, under: str = "", api: str = ""
) -> Iterator[str]:
    """Serve the repositories below `root`; yields `host:port`.

    :param under: path of the server below which they are, such as `/gitlab`
    :param api: address of another server, which is asked for what begins with `/api/`
    """
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(root, credentials, under, api))
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
