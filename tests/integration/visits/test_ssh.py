"""`ona sessions ssh` with the system's ssh, into the guest program on this host."""

import asyncio
import os
import socket
from pathlib import Path

from sqlalchemy import text

from bot.cli.ssh_files import options, proxy_command
from tests.fakes.guest import me
from tests.integration.visits.conftest import Street
from tests.support.visits import SECONDS, ona
from vmpool.machine import MachineState
from vmpool.ssh import HOST_SECONDS


async def test_a_command_runs_in_a_machine_that_rested(street: Street) -> None:
    await street.relay()
    session_id, short = await street.session(resting=True)
    ran = await ona(street.site, "sessions", "ssh", short, "--", "echo hello; exit 7")
    assert (ran.out, ran.status) == ("hello\n", 7), ran.err
    assert "wakes" in ran.err
    assert await street.state(session_id) is MachineState.RUNNING
    (machine,) = await street.yard.registry.mine(MachineState.RUNNING)
    assert await street.yard.pool.rest(machine.id), "nobody visits it any more"
    rows = await street.site.rows(
        "SELECT kind, who, place, body FROM audit_event WHERE kind IN ('ssh.certified',"
        " 'machine.entered') ORDER BY number"
    )
    assert [row[:3] for row in rows] == [
        ("ssh.certified", "Ann", short),
        ("machine.entered", "Ann", short),
    ]
    assert rows[1][3] == {"way": "ssh"}


async def test_words_of_a_command_arrive_word_for_word(street: Street) -> None:
    await street.relay()
    _, short = await street.session()
    ran = await ona(
        street.site, "sessions", "ssh", short, "--", "printf", "%s|", "a b", "$HOME", "'"
    )
    assert ran.out == "a b|$HOME|'|", ran.err


async def test_a_host_certificate_that_ended_is_renewed_before_a_login(street: Street) -> None:
    await street.relay()
    session_id, short = await street.session()
    machine = await street.yard.registry.of_session(session_id)
    assert machine is not None
    channel = street.yard.pool.care.channel(machine.id)
    assert channel is not None
    certificate = (await street.guest(session_id)).directory / "run" / "host_key-cert.pub"
    before = certificate.read_text()
    assert (await ona(street.site, "sessions", "ssh", short, "--", "true")).status == 0
    assert certificate.read_text() == before
    channel._certified -= HOST_SECONDS
    ran = await ona(street.site, "sessions", "ssh", short, "--", "true")
    assert ran.status == 0, ran.err
    assert certificate.read_text() != before


async def test_a_port_is_forwarded_as_long_as_the_login_lasts(street: Street) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        here = free.getsockname()[1]
    await street.relay()
    _, short = await street.session()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    there = server.sockets[0].getsockname()[1]
    script = (
        f"import socket; s = socket.create_connection(('127.0.0.1', {here}));"
        " s.sendall(b'ping\\n'); print(s.makefile().read())"
    )
    async with server:
        login = asyncio.create_task(
            ona(
                street.site,
                *("sessions", "ssh", short, "--forward", f"{here}:{there}"),
                *("--", f"sleep 1; python3 -c {script!r}"),
            )
        )
        ran = await asyncio.wait_for(login, SECONDS)
    # The guest program runs on this host, so what is forwarded here is reached from inside, too.
    assert ran.out.strip() == "ping", ran.err


async def test_another_machine_is_not_taken_for_this_one(street: Street) -> None:
    await street.relay()
    first_id, first = await street.session()
    _, second = await street.session()
    home = street.directory / "home"
    (home / ".ssh").mkdir(parents=True)
    ran = await ona(street.site, "sessions", "ssh-renew", first, home=home)
    assert ran.status == 0, ran.err
    directory = home / ".ssh" / "ona" / first
    machine = await street.yard.registry.of_session(first_id)
    assert machine is not None
    for short, status in ((first, 0), (second, 255)):
        ssh = await _ssh(street, directory, f"{machine.id}.machine.ona", short)
        assert ssh == status


async def _ssh(street: Street, directory: Path, host: str, short: str) -> int:
    told = {"ProxyCommand": proxy_command(short), **options(directory)}
    process = await asyncio.create_subprocess_exec(
        "ssh",
        *("-F", "/dev/null"),
        *(word for name, value in told.items() for word in ("-o", f"{name}={value}")),
        f"{me()}@{host}",
        "true",
        env={**os.environ, "ONA_URL": street.site.url, "ONA_TOKEN": street.site.token},
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    return await asyncio.wait_for(process.wait(), SECONDS)


async def test_an_editor_finds_a_host_block_that_renews_itself(street: Street) -> None:
    await street.relay()
    _, short = await street.session()
    home = street.directory / "home"
    (home / ".ssh").mkdir(parents=True)
    (home / ".ssh" / "config").write_text("Host other\n    User me\n")
    ran = await ona(street.site, "sessions", "ssh-config", short, "--write", home=home)
    assert ran.status == 0, ran.err
    again = await ona(street.site, "sessions", "ssh-config", short, "--write", home=home)
    assert again.status == 0
    assert (home / ".ssh" / "config").read_text() == (
        "Include ona/*.conf\n\nHost other\n    User me\n"
    )
    block = home / ".ssh" / "ona" / f"{short}.conf"
    process = await asyncio.create_subprocess_exec(
        *("ssh", "-F", str(block), f"ona-{short}", "echo from the editor"),
        env={**os.environ, "ONA_TOKEN": street.site.token, "HOME": str(home)},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), SECONDS)
    assert out == b"from the editor\n", err


async def test_a_session_without_a_machine_says_what_to_do(street: Street) -> None:
    await street.relay()
    session_id = await street.yard.session()
    ((short,),) = await street.site.rows("SELECT short FROM session WHERE id = :i", i=session_id)
    ran = await ona(street.site, "sessions", "ssh", short)
    assert ran.status == 2
    assert "no machine now" in ran.err
    assert "prompt" in ran.err


async def test_somebody_elses_private_session_is_not_entered(street: Street) -> None:
    await street.relay()
    session_id, short = await street.session()
    async with street.site.database.begin() as tx:
        await tx.execute(
            text("UPDATE session SET private_to = :bo WHERE id = :id"),
            {"bo": street.site.bo, "id": session_id},
        )
    ran = await ona(street.site, "sessions", "ssh", short)
    assert (ran.status, "no session" in ran.err) == (2, True)
    bo = await ona(
        street.site,
        *("sessions", "ssh", short, "--", "echo mine"),
        token=await street.site.token_of(street.site.bo),
    )
    assert bo.out == "mine\n", bo.err
