"""Start one process: its own session, user, directory and cgroup, nothing of ours inherited.

A vfork without a line of ours in the child: forking an interpreter and running it until the exec
costs more under emulation than the whole command. So we ourselves step into the job's cgroup, its
directory and its real user for the moment of the start, and the child resets to that user. An exec
copies the effective user to the saved one: there is no way back for it.
"""

import os
import pwd
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PROXY = "ONA_PROXY"
"""Where the gateway's proxy is, in our own environment; set once the machine has its card."""
NOT_BY_PROXY = "localhost,127.0.0.1,::1,gateway.ona"
SHELL = "/bin/bash"
"""What programs in a job may use; a login's own shell only starts what we ask for."""
NOT_EXECUTABLE = 126
NOT_FOUND = 127
WORD_CHARS_MAX = 200


class Cannot(Exception):
    """The process could not be started; `status` is what a shell would have answered."""

    def __init__(self, why: str, status: int) -> None:
        super().__init__(why)
        self.status = status


def account(name: str) -> pwd.struct_passwd:
    """The user of this name. :raises Cannot: there is none, or we may not become it."""
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise Cannot(f"no user {name!r} in this machine", NOT_EXECUTABLE) from None
    if os.getuid() not in (0, found.pw_uid):
        raise Cannot(f"not allowed to become {name!r}", NOT_EXECUTABLE)
    return found


def environment(user: pwd.struct_passwd, more: Mapping[str, str]) -> dict[str, str]:
    """What a login of this user would see, and what the caller adds."""
    base = {
        "PATH": PATH,
        "HOME": user.pw_dir,
        "USER": user.pw_name,
        "LOGNAME": user.pw_name,
        "SHELL": SHELL if os.path.exists(SHELL) else user.pw_shell or "/bin/sh",
        "LANG": "C.UTF-8",
    }
    return {**base, **way_out(), **more}


def way_out() -> dict[str, str]:
    """How programs find the gateway, if this machine has a network.

    They would reach what is allowed without it, by name; through the proxy they are told why
    something is not.
    """
    proxy = os.environ.get(PROXY)
    if proxy is None:
        return {}
    names = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")
    return {**dict.fromkeys(names, proxy), "no_proxy": NOT_BY_PROXY, "NO_PROXY": NOT_BY_PROXY}


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    user: pwd.struct_passwd | None,
    stdin: int,
    stdout: int,
    stderr: int,
    within: AbstractContextManager[None] | None = None,
) -> int:
    """Start the program as leader of a new session and answer its pid.

    `user` None keeps ours; `within` is entered for the start, for a cgroup to inherit.

    :raises Cannot: nothing was started
    """
    streams = [(os.POSIX_SPAWN_DUP2, fd, at) for at, fd in enumerate((stdin, stdout, stderr))]
    try:
        with within or nullcontext(), _inside(cwd), _as(user):
            return os.posix_spawn(
                _program(argv[0], env),
                list(argv),
                env,
                file_actions=streams,
                resetids=True,
                setsid=True,
                setsigmask=(),
                setsigdef=(signal.SIGPIPE, signal.SIGXFSZ),
            )
    except OSError as error:
        status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        what = str(error.filename or argv[0])[:WORD_CHARS_MAX]
        raise Cannot(f"{what}: {os.strerror(error.errno or 0)}", status) from error


def _program(name: str, env: Mapping[str, str]) -> str:
    """Where it lies. A name without a slash is looked for in the PATH it will see."""
    if "/" in name:
        return name
    for directory in env.get("PATH", PATH).split(":"):
        path = os.path.join(directory, name)
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise FileNotFoundError(2, "not found", name)


@contextmanager
def _inside(directory: str) -> Iterator[None]:
    before = os.open(".", os.O_PATH | os.O_DIRECTORY)
    try:
        os.chdir(directory)
        yield
    finally:
        os.fchdir(before)
        os.close(before)


@contextmanager
def _as(user: pwd.struct_passwd | None) -> Iterator[None]:
    """Have this real user and these groups for a moment; effective stays root."""
    if user is None or user.pw_uid == os.getuid():
        yield
        return
    groups = os.getgroups()
    try:
        os.initgroups(user.pw_name, user.pw_gid)
        os.setresgid(user.pw_gid, 0, 0)
        os.setresuid(user.pw_uid, 0, 0)
        yield
    finally:
        os.setresuid(0, 0, 0)
        os.setresgid(0, 0, 0)
        os.setgroups(groups)
