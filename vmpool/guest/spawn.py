"""Start one process: its own session, user, directory and cgroup, nothing of ours inherited.

A fork of our own rather than `subprocess`: the child must be in its cgroup before its first
instruction, and no helper process may stand between (one costs more than the rest together).
"""

import contextlib
import os
import pwd
import signal
from collections.abc import Mapping, Sequence

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
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
        "SHELL": user.pw_shell or "/bin/sh",
        "LANG": "C.UTF-8",
    }
    return {**base, **more}


def spawn(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    user: pwd.struct_passwd | None,
    stdin: int,
    stdout: int,
    stderr: int,
    cgroup_procs: str | None = None,
) -> int:
    """Start the program as leader of a new session and answer its pid once it runs.

    `user` None keeps ours. :raises Cannot: the child reports what failed, nothing is left behind
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(
            argv,
            env=env,
            cwd=cwd,
            user=user,
            streams=(stdin, stdout, stderr),
            cgroup_procs=cgroup_procs,
            failure=writer,
        )
    os.close(writer)
    with open(reader, "rb") as words:
        failure = words.read().decode("utf-8", "replace")
    if failure:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, 0)
        status, _, why = failure.partition(" ")
        raise Cannot(why, int(status))
    return pid


def _become(
    argv: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: str,
    user: pwd.struct_passwd | None,
    streams: tuple[int, int, int],
    cgroup_procs: str | None,
    failure: int,
) -> None:
    what = argv[0]
    try:
        os.setsid()
        if cgroup_procs is not None:
            what = cgroup_procs
            fd = os.open(cgroup_procs, os.O_WRONLY)
            os.write(fd, b"0")
            os.close(fd)
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        for target, source in enumerate(streams):
            os.dup2(source, target, inheritable=True)
        os.umask(0o022)
        if user is not None and os.getuid() == 0:
            os.initgroups(user.pw_name, user.pw_gid)
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)
        what = cwd
        os.chdir(cwd)
        what = argv[0]
        os.execvpe(argv[0], list(argv), dict(env))
    except BaseException as error:
        status = NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        os.write(failure, f"{status} {what[:WORD_CHARS_MAX]}: {why}".encode())
    finally:
        os._exit(NOT_FOUND)
