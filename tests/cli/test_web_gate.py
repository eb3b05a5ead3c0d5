"""Who gets into `routemq-tui web`: the token, the cookie, and names and pages of others."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from routemq_tui.web.gate import Gate, is_our_host, is_our_page

textual_serve = pytest.importorskip("textual_serve", reason="textual-serve is not installed")


def test_a_token_opens_once() -> None:
    gate = Gate()
    token = gate.token
    session = gate.spend(token)
    assert session is not None
    assert gate.knows(session)
    assert gate.spend(token) is None
    assert gate.token != token
    assert gate.spend("") is None
    assert not gate.knows("")
    assert not gate.knows(token)


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:9", "[::1]:8000", "127.0.0.1"])
def test_our_names(host: str) -> None:
    assert is_our_host(host)
    assert is_our_page(f"http://{host}", host)


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:8000",
        "127.0.0.1.evil.example",
        "",
        "[::1",
        "127.0.0.2",
        "127.0.0.1:\udcff",
        "\udcff@127.0.0.1:1",
        "127.0.0.1:1/; script-src *",
        "127.0.0.1:1?x",
    ],
)
def test_names_of_others(host: str) -> None:
    assert not is_our_host(host)
    assert not is_our_page("http://127.0.0.1:1", "127.0.0.1:2")


# The server


@asynccontextmanager
async def served() -> AsyncIterator[tuple[Any, aiohttp.ClientSession, list[str]]]:
    from routemq_tui.web.server import WebServer

    opened: list[str] = []
    server = WebServer("exit 1", lambda: opened.append(server.url))
    await server.start(0)
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            yield server, session, opened
    finally:
        await server.stop()


async def test_nothing_is_given_without_token_or_cookie() -> None:
    async with served() as (server, session, opened):
        base = f"http://127.0.0.1:{server.port}"
        paths = ("/", "/ws", "/static/js/textual.js", "/page.css", "/download/x", "/?token=wrong", "/nowhere")
        for path in (*paths, f"/ws?token={server.gate.token}"):
            async with session.get(base + path) as answer:
                assert answer.status == 403, path
                assert "Set-Cookie" not in answer.headers
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await session.ws_connect(f"{base}/ws", origin=base)
        assert opened == []


async def test_a_token_gives_a_cookie_once_and_the_next_address() -> None:
    async with served() as (server, session, opened):
        first = server.url
        async with session.get(first) as answer:
            assert answer.status == 200
            cookie = answer.headers["Set-Cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=Strict" in cookie
            assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert opened == [server.url]
        assert server.url != first
        # With the cookie everything is there, and the token is not in any page.
        for path in ("/", "/static/js/textual.js", "/page.css", "/page.js"):
            async with session.get(f"http://127.0.0.1:{server.port}{path}") as answer:
                assert answer.status == 200, path
                assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
                assert "http" not in re.sub(r"http://www.w3.org", "", await answer.text()) or path != "/"
        async with session.get(f"http://127.0.0.1:{server.port}/nowhere") as answer:
            assert answer.status == 404
        async with aiohttp.ClientSession() as another, another.get(first) as answer:
            assert answer.status == 403
            assert "has been used" in await answer.text()


async def test_a_websocket_of_another_page_is_refused_with_the_cookie_too() -> None:
    # That our own page gets one is seen in the browser, below.
    async with served() as (server, session, _):
        base = f"http://127.0.0.1:{server.port}"
        await (await session.get(server.url)).release()
        for origin in ("http://127.0.0.1:1", "http://evil.example", f"https://127.0.0.1:{server.port}", ""):
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await session.ws_connect(f"{base}/ws", headers={"Origin": origin})


async def test_a_name_that_was_made_to_point_here_is_refused() -> None:
    async with served() as (server, session, opened):
        async with session.get(server.url, headers={"Host": f"evil.example:{server.port}"}) as answer:
            assert answer.status == 403
        assert opened == []


@pytest.mark.parametrize(
    "header",
    [
        b"Cookie: routemq-%d=\xff\xfe",
        b"Cookie: \xff=1",
        b"Origin: \xff\xfe",
        b"Host: \xff",
        b"Host: 127.0.0.1:\xff",
    ],
)
async def test_bytes_that_are_no_text_are_refused_in_words(header: bytes) -> None:
    async with served() as (server, session, _):
        # given somebody who is in, since only then a cookie is compared with anything
        await (await session.get(server.url)).release()
        (cookie,) = session.cookie_jar
        said = header % server.port if b"%d" in header else header
        path, others = b"/", []
        if said.startswith(b"Origin"):
            path, others = b"/ws", [b"Cookie: %s=%s" % (cookie.key.encode(), cookie.value.encode())]
        if not said.startswith(b"Host"):
            others.append(b"Host: 127.0.0.1:%d" % server.port)
        # when the header comes
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(b"\r\n".join([b"GET %s HTTP/1.1" % path, said, *others, b"Connection: close", b"", b""]))
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        # then the answer is that of any stranger
        assert answer.split(b" ")[1] in (b"403", b"400"), answer


async def test_a_token_that_is_no_text_is_refused_in_words() -> None:
    async with served() as (server, _, _opened):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        host = b"Host: 127.0.0.1:%d" % server.port
        writer.write(b"GET /?token=\xff\xfe%ff HTTP/1.1\r\n" + host + b"\r\nConnection: close\r\n\r\n")
        answer = await asyncio.wait_for(reader.read(), 10)
        writer.close()
        assert answer.split(b" ")[1] in (b"403", b"400"), answer
