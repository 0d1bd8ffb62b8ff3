"""What is in the guest image, as its machine sees it."""

import asyncio

import pytest

from tests.integration.vm.conftest import Vm

pytestmark = [
    pytest.mark.vm,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(900),  # under emulation, on a host that does other things too
]


async def as_root(vm: Vm, script: str) -> list[str]:
    channel = await vm.channel()
    done = await channel.run(["bash", "-c", script], timeout_seconds=300, user="root")
    assert done.exit_status == 0, done
    return done.stdout.decode().splitlines()


async def test_users_are_those_the_guest_program_expects(vm: Vm) -> None:
    assert await as_root(vm, "id ona; id agent; id") == [
        "uid=900(ona) gid=900(ona) groups=900(ona)",
        "uid=1000(agent) gid=1000(agent) groups=1000(agent)",
        "uid=0(root) gid=0(root) groups=0(root)",
    ]
    shells = await as_root(vm, "getent passwd ona agent | cut -d: -f6,7")
    assert shells == ["/nonexistent:/usr/sbin/nologin", "/home/agent:/bin/sh"]
    assert await as_root(vm, "stat -c %U:%G /home/agent") == ["agent:agent"]
    passwords = await as_root(vm, "getent shadow root ona agent | cut -d: -f2")
    assert passwords == ["*"] * 3


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "root:root 755"),
        ("/root", "root:root 700"),
        ("/work", "agent:agent 755"),
        ("/var/lib/ona", "root:root 755"),
        ("/tmp", "root:root 1777"),
        ("/boot", "root:root 755"),
        ("/etc/shadow", "root:shadow 640"),
        ("/usr/bin/su", "root:root 4755"),
        ("/usr/bin/chage", "root:shadow 2755"),
        ("/var/mail", "root:mail 2775"),
        ("/usr/lib/ona-guest", "root:root 755"),
        ("/usr/lib/ona-guest/vmpool/guest", "root:root 755"),
        ("/usr/lib/ona-guest/vmpool/guest/main.py", "root:root 644"),
        ("/usr/lib/ona-guest/vmpool/guest/__pycache__", "root:root 755"),
    ],
)
async def test_owners_and_modes_are_right(vm: Vm, path: str, expected: str) -> None:
    assert await as_root(vm, f"stat -c '%U:%G %a' {path}") == [expected]


async def test_no_file_belongs_to_who_built_the_image(vm: Vm) -> None:
    # Of all files but those that the running guest makes, most are root's and the rest somebody's.
    script = r"find / -xdev \( -nouser -o -nogroup \); find /usr -xdev ! -user root ! -user man"
    assert await as_root(vm, script) == []


async def test_the_question_tool_can_be_run_by_everybody(vm: Vm) -> None:
    (mode,) = await as_root(vm, "stat -L -c '%U:%G %a' /usr/bin/ona-ask")
    assert mode == "root:root 755"


async def test_the_guest_program_is_compiled_for_the_python_that_is_there(vm: Vm) -> None:
    script = (
        "cd /usr/lib/ona-guest/vmpool/guest; ls *.py | wc -l; "
        "python3 -c 'import glob,importlib.util as u;"
        'print(sum(open(p,"rb").read(4)==u.MAGIC_NUMBER for p in glob.glob("__pycache__/*")))\''
    )
    sources, compiled = await as_root(vm, script)
    assert int(sources) == int(compiled) > 10


async def test_what_differs_per_machine_is_not_in_the_image(vm: Vm) -> None:
    assert await as_root(vm, "ls /etc/ssh/ssh_host_* 2>/dev/null || echo none") == ["none"]


@pytest.mark.parametrize(
    "tool",
    [
        "python3", "git", "curl", "ip", "ps", "modprobe", "less", "vi", "rg", "jq", "make", "unzip",
        "xz", "zstd", "file", "patch", "ssh", "resize2fs", "pip3", "rsync", "wget", "apt-get",
    ],
)  # fmt: skip
async def test_the_tools_are_there(vm: Vm, tool: str) -> None:
    assert await as_root(vm, f"command -v {tool}")


async def test_git_and_python_start(vm: Vm) -> None:
    git, python = await as_root(vm, "git --version; python3 -V")
    assert git.startswith("git version 2.")
    assert tuple(int(part) for part in python.split()[1].split(".")[:2]) >= (3, 10)


async def test_the_file_system_fills_the_machines_disk(vm: Vm) -> None:
    async with asyncio.timeout(100):
        while True:
            (size,) = await as_root(vm, "df --output=size -BG / | tail -1")
            if int(size.strip().rstrip("G")) >= vm.spec.disk_gib - 1:
                return
            await asyncio.sleep(0.5)
