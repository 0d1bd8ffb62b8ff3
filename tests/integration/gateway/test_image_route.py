"""Images of a real registry behind a password, pulled by one who never sees it."""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import h11
import pytest

from tests.support import oci
from tests.support.gateway import LOOPBACK, Rig, get, rig, talk
from vmpool.network.gateway import Identity, NoTurn
from vmpool.network.gateway.image_route import ImageRoute

BASIC = base64.b64encode(b"puller:pull-s3cret").decode()
HASHED = "puller:$2b$04$VhoVsfR4r9/g0Yly/wtys.DKdQLXq3/URN23TT6BHPFbZDePoF4Rm"
pytestmark = pytest.mark.skipif(bool(oci.missing()), reason=f"!!! NOT TESTED: {oci.missing()}")


async def injected(_who: Identity, _route: str, _request: h11.Request) -> Mapping[str, str]:
    return {"Authorization": f"Basic {BASIC}"}


async def no_turn(_who: Identity, _route: str, _request: h11.Request) -> Mapping[str, str]:
    raise NoTurn("No turn is running in this session.")


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    with oci.registry(tmp_path) as port:
        oci.push(f"127.0.0.1:{port}", "team/app", "1", b"a tree")
    with oci.registry(tmp_path, htpasswd=HASHED) as port:
        yield port


def serve(at: Rig, port: int, add=injected) -> None:
    at.zone.hosts[LOOPBACK] = [LOOPBACK]
    at.routes = (ImageRoute(upstreams={"images": (f"http://{LOOPBACK}:{port}", add)}),)


async def asked(at: Rig, path: str, *headers: str) -> tuple[str, str]:
    said = await get(at.web, path, "gateway.ona", *headers)
    head, _, body = said.partition("\r\n\r\n")
    return head, body


async def test_an_image_is_pulled_and_its_registry_lets_nobody_else_in(port: int) -> None:
    manifest, accepted = "/v2/images/team/app/manifests/1", f"Accept: {oci.MEDIA}.manifest.v1+json"
    async with rig() as at:
        serve(at, port)
        assert (await get(port, "/v2/team/app/manifests/1", "x", accepted)).split()[1] == "401"
        first, _ = await asked(at, "/v2/")
        assert first.startswith("HTTP/1.1 200 ")
        assert "docker-distribution-api-version: registry/2.0" in first.lower()
        head, body = await asked(at, manifest, accepted, "Authorization: Basic of-the-machines-own")
        assert head.startswith("HTTP/1.1 200 "), head
        for part in (json.loads(body)["config"], *json.loads(body)["layers"]):
            request = (
                f"GET /v2/images/team/app/blobs/{part['digest']} HTTP/1.1\r\n"
                "Host: gateway.ona\r\nConnection: close\r\n\r\n"
            )
            said = await talk(at.web, request.encode())
            blob = said.partition(b"\r\n\r\n")[2]
            assert f"sha256:{hashlib.sha256(blob).hexdigest()}" == part["digest"]
        assert BASIC not in head + body + str(at.events)


async def test_nothing_is_pushed_and_other_names_are_none(port: int) -> None:
    async with rig() as at:
        serve(at, port)
        push = b"POST /v2/images/team/app/blobs/uploads/ HTTP/1.1\r\nHost: gateway.ona\r\n"
        refused = await talk(at.web, push + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
        assert refused.startswith(b"HTTP/1.1 403 Images are only read from here")
        head, _ = await asked(at, "/v2/others/team/app/manifests/1")
        assert head.startswith("HTTP/1.1 404 No registry is called 'others' here; there is images.")
        serve(at, port, no_turn)
        head, _ = await asked(at, "/v2/images/team/app/manifests/1")
        assert head.startswith("HTTP/1.1 409 No turn is running")
