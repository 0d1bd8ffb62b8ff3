"""Other proxies beside the gateway: squid and mitmproxy, each where it is installed.

Both only pass on what is in a tunnel, as the gateway does: nothing is opened, kept or logged.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

LOOPBACK = "127.0.0.1"
START_SECONDS_MAX = 30.0
MITMPROXY = Path(__file__).parents[2] / ".tools" / "mitmproxy" / "bin" / "mitmdump"
PLACES = f"{os.environ.get('PATH', '')}:/usr/sbin"
"""Where squid is, a user's own search path may not lead."""
_SQUID = """\
http_port {listen}
http_access allow all
cache deny all
cache_mem 0
memory_cache_shared off
access_log none
cache_log {directory}/log
cache_store_log none
pid_filename none
coredump_dir {directory}
shutdown_lifetime 0 seconds
"""


@contextmanager
def squid() -> Iterator[int | None]:
    """Its port; None: it isn't installed."""
    program = shutil.which("squid", path=PLACES)
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as directory:
        port = _free_port()
        settings = Path(directory) / "squid.conf"
        settings.write_text(_SQUID.format(listen=f"{LOOPBACK}:{port}", directory=directory))
        # It gives up root's rights and writes its log all the same.
        Path(directory).chmod(0o777)
        # A name of its own: what it shares in memory is called by that.
        with _running([program, "-N", "-n", f"ona{port}", "-f", str(settings)], port):
            yield port


@contextmanager
def mitmproxy() -> Iterator[int | None]:
    """Its port; None: it isn't installed."""
    program = str(MITMPROXY) if MITMPROXY.exists() else shutil.which("mitmdump")
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as directory:
        port = _free_port()
        options = (f"confdir={directory}", "connection_strategy=lazy", "ignore_hosts=.*")
        words = [part for option in options for part in ("--set", option)]
        listen = ("--listen-host", LOOPBACK, "--listen-port", str(port))
        with _running([program, "-q", *listen, *words], port):
            yield port


@contextmanager
def _running(argv: Sequence[str], port: int) -> Iterator[None]:
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + START_SECONDS_MAX
        while not _answers(port):
            assert process.poll() is None, f"{argv[0]} ended with {process.returncode}"
            assert time.monotonic() < ends, f"{argv[0]} does not listen"
            time.sleep(0.05)
        yield
    finally:
        # Not killed: squid would leave its shared memory behind.
        process.terminate()
        try:
            process.wait(START_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection((LOOPBACK, port), timeout=1).close()
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as bound:
        bound.bind((LOOPBACK, 0))
        return int(bound.getsockname()[1])
