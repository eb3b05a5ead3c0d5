"""The HTTP side of `web`: the gate before everything, our own page, and textual-serve's websocket behind it.

textual-serve starts a process for each websocket and carries its output to xterm.js in the browser. Not a
command itself; imported only when textual-serve is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from string import Template

import textual_serve.server
from aiohttp import web
from textual_serve.app_service import AppService
from textual_serve.server import Server

from routemq_tui.web.gate import Gate, is_our_host, is_our_page

ADDRESS = "127.0.0.1"
SCREENS = 8
"""At once; each is a process."""
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; "
        "img-src 'self' data: blob:; connect-src 'self' $websocket; frame-ancestors 'none'; base-uri 'none'; "
        "form-action 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
_WAITED = 2.0
"""Seconds that a browser has to close its websocket at the end, and a screen to end when it is told to."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Screen(AppService):
    """Waits for the end of its process too: one that ends after the event loop leaves a traceback."""

    async def stop(self) -> None:
        await super().stop()
        if self._process is not None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._process.wait(), _WAITED)


textual_serve.server.AppService = _Screen  # type: ignore[attr-defined]  # no other place to say so


class WebServer:
    """Listens from `start` to `stop`. `opened` is called whenever a token was spent."""

    def __init__(self, command: str, opened: Callable[[], None]) -> None:
        self.gate = Gate()
        self._serve = Server(command, host=ADDRESS, title="routemq")
        self._opened = opened
        self._screens = 0
        self._runner: web.AppRunner | None = None
        self.port = 0

    @property
    def url(self) -> str:
        """With the token of the moment."""
        return f"http://{ADDRESS}:{self.port}/?token={self.gate.token}"

    async def start(self, port: int) -> None:
        """Listen on this port, or on any free one with 0; raises OSError when it is taken."""
        app = web.Application(middlewares=[self._guard])
        app.add_routes(
            [
                web.get("/", self._page),
                web.get("/page.css", _file("page.css", "text/css")),
                web.get("/page.js", _file("page.js", "text/javascript")),
                web.get("/ws", self._websocket),
                web.get("/download/{key}", self._serve.handle_download),
                web.static("/static", self._serve.statics_path),
            ]
        )
        self._runner = web.AppRunner(app, handle_signals=False, access_log=None, shutdown_timeout=_WAITED)
        await self._runner.setup()
        await web.TCPSite(self._runner, ADDRESS, port).start()
        self.port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def _cookie(self) -> str:
        return f"routemq-{self.port}"  # cookies are shared by all ports of a machine

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await self._admitted(request, handler)
        if not response.prepared:
            websocket = f"ws://{request.host}" if is_our_host(request.host) else ""
            for name, value in _HEADERS.items():
                response.headers.setdefault(name, value.replace("$websocket", websocket))
        return response

    async def _admitted(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not is_our_host(request.host):
            return _told(403, "Not this name", "Open it as http://127.0.0.1, or as localhost.")
        if not self.gate.knows(request.cookies.get(self._cookie, "")):
            return self._let_in(request)
        if request.path == "/ws" and not is_our_page(request.headers.get("Origin", ""), request.host):
            return _told(403, "Not from there", "Another page asked for the screen.")
        try:
            return await handler(request)
        except web.HTTPException as error:
            return _told(error.status, error.reason, "")

    def _let_in(self, request: web.Request) -> web.StreamResponse:
        session = self.gate.spend(request.query.get("token", "")) if request.path == "/" else None
        if session is None:
            return _told(
                403,
                "This address has been used, or is not the whole one",
                "Each address opens one browser; the terminal of <code>routemq-tui web</code> has the next.",
            )
        # By a page and not by a redirect: who came from another site would not send the cookie then.
        response = _told(200, "One moment", '<a href="/">Open the screen</a>', refresh=True)
        response.set_cookie(self._cookie, session, httponly=True, samesite="Strict", path="/")
        self._opened()
        return response

    async def _page(self, request: web.Request) -> web.StreamResponse:
        if self._screens >= SCREENS:
            return _told(503, f"{SCREENS} screens are open", "Close one of them, then reload this page.")
        text = Template(_read("page.html")).substitute(websocket=f"ws://{request.host}/ws")
        return web.Response(text=text, content_type="text/html")

    async def _websocket(self, request: web.Request) -> web.StreamResponse:
        if self._screens >= SCREENS:
            return _told(503, f"{SCREENS} screens are open", "Close one of them, then reload this page.")
        self._screens += 1
        try:
            return await self._serve.handle_websocket(request)
        finally:
            self._screens -= 1


def _told(status: int, title: str, text: str, refresh: bool = False) -> web.Response:
    head = '<meta http-equiv="refresh" content="0;url=/">' if refresh else ""
    page = Template(_read("notice.html")).substitute(head=head, title=title, text=text)
    return web.Response(status=status, text=page, content_type="text/html")


def _file(name: str, kind: str) -> Handler:
    async def serve(_request: web.Request) -> web.StreamResponse:
        return web.Response(text=_read(name), content_type=kind)

    return serve


def _read(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")
