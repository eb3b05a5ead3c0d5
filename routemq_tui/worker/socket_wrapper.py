"""The socket that an unmodified paho is given, through its public `tls_set_context()` hook.

It reads in big chunks and hands paho what it asks for; it takes every write whole into an out-buffer of its
own under one lock, so that a PINGREQ of the guardian thread can never fall into the middle of a packet. Plain
TCP or TLS underneath. This is the seam at which packets can be taken out of the stream before paho sees them.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time

CHUNK_BYTES = 64 * 1024
PINGREQ = b"\xc0\x00"
_LINGER_SECONDS = 1.0
_NOT_NOW = BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError, InterruptedError


class MqttSocket:
    """What paho needs of a socket, and what the worker's loop and guardian need besides.

    `fill` is the only reader of the descriptor; `recv` only takes from what `fill` has read. All times are
    `time.monotonic()`.
    """

    def __init__(self, raw: socket.socket) -> None:
        now = time.monotonic()
        self.last_received = now
        self.last_sent = now
        self.last_ping = now
        self.linger = False
        """Set before an orderly end: `close` then waits until the peer has taken everything."""
        self._raw = raw
        # An SSL object must not be used by two threads at once; the same lock keeps packets whole.
        self._lock = threading.RLock()
        self._in = bytearray()
        self._out = bytearray()
        self._ended = False
        self.error: OSError | None = None
        """What broke the connection."""
        self.first = b""
        """The first bytes that came: they tell what speaks there when it is not MQTT."""
        self._closed = False

    # -- what paho calls ---------------------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        if self._in:
            data = bytes(self._in[:size])
            del self._in[:size]
            return data
        if self.error is not None:
            raise self.error
        if self._ended:
            return b""
        raise BlockingIOError

    def send(self, data: bytes | bytearray) -> int:
        """Take all of it. A broken connection is kept in `error` for the loop to find, not raised: paho would
        take itself apart on whatever thread has just published."""
        with self._lock:
            if self.error is None:
                try:
                    rest = data if self._out else self._not_taken(data)
                    if rest:
                        self._out += rest
                        self.flush()
                except OSError as error:
                    self.error = error
                    self._out.clear()
        return len(data)

    def _not_taken(self, data: bytes | bytearray) -> bytes | bytearray:
        """Write straight from here, which mostly does: what the kernel did not take."""
        if self._closed:
            raise ConnectionError("the connection is closed")
        try:
            sent = self._raw.send(data[:CHUNK_BYTES])
        except _NOT_NOW:
            return data
        self.last_sent = time.monotonic()
        return data[sent:]

    def close(self) -> None:
        with self._lock:
            if self._closed:
                return
            if self.linger:
                with contextlib.suppress(OSError):
                    self._linger()
            self._closed = True
            self._raw.close()

    def fileno(self) -> int:
        return self._raw.fileno()

    def setblocking(self, flag: bool) -> None:
        self._raw.setblocking(flag)

    def settimeout(self, timeout: float | None) -> None:
        self._raw.settimeout(timeout)

    def do_handshake(self) -> None:
        """The connection is closed when it fails: paho would leave it to the garbage collector."""
        try:
            self._shake_hands()
        except BaseException:
            self.close()
            raise

    def _shake_hands(self) -> None:
        if isinstance(self._raw, ssl.SSLSocket):
            self._raw.do_handshake()

    # -- what the worker calls ---------------------------------------------------------------------------

    def fill(self) -> bool:
        """Read one chunk from the descriptor for paho; True when it has something to do now."""
        chunk = self.read()
        if chunk:
            self._in += chunk
        return bool(chunk is not None or self._in)

    def give(self, packet: bytes) -> None:
        """Let paho read this next."""
        self._in += packet

    def read(self) -> bytes | None:
        """One chunk from the descriptor; None when there is none, empty when the connection has ended."""
        try:
            if isinstance(self._raw, ssl.SSLSocket):
                with self._lock:
                    chunk = self._raw.recv(CHUNK_BYTES)
                    while pending := self._raw.pending():  # the descriptor does not announce these again
                        chunk += self._raw.recv(pending)
            else:
                chunk = self._raw.recv(CHUNK_BYTES)
        except _NOT_NOW:
            return None
        except ssl.SSLZeroReturnError:
            chunk = b""
        except OSError as error:
            self.error = error
            return b""
        if chunk:
            self.last_received = time.monotonic()
            if not self.first:
                self.first = chunk[:8]
        else:
            self._ended = True
        return chunk

    @property
    def buffered(self) -> bool:
        """Bytes wait in here that the descriptor does not announce any more."""
        return bool(self._in)

    @property
    def over(self) -> bool:
        """Nothing more will come: the end, or an error."""
        return self._ended or self.error is not None

    def fail(self, reason: str) -> None:
        """Make paho find the connection broken at its next read."""
        self._in.clear()
        self.error = ConnectionError(reason)

    @property
    def unsent(self) -> int:
        return len(self._out)

    def flush(self) -> bool:
        """Write what the kernel takes; True when nothing is left. OSError once the connection is broken."""
        with self._lock:
            if self._out and self._closed:
                raise ConnectionError("the connection is closed")
            while self._out:
                try:
                    with memoryview(self._out) as view:
                        sent = self._raw.send(view[:CHUNK_BYTES])
                except _NOT_NOW:
                    return False
                del self._out[:sent]
                self.last_sent = time.monotonic()
            return True

    def wait_sent(self, limit: int, timeout: float) -> None:
        """Block until at most `limit` bytes are unsent, or the time is up: back-pressure for a publisher."""
        deadline = time.monotonic() + timeout
        while not self.flush() and self.unsent > limit:
            left = deadline - time.monotonic()
            if left <= 0:
                return
            _wait(self._raw, select.POLLOUT, left)

    def wait_readable(self, timeout: float) -> None:
        _wait(self._raw, select.POLLIN, timeout)

    def wait(self, timeout: float) -> None:
        """Until there is something to read, or room for what is unsent."""
        _wait(self._raw, select.POLLIN | (select.POLLOUT if self._out else 0), timeout)

    def ping(self) -> None:
        """Queue a PINGREQ between two packets. Any thread."""
        self.last_ping = time.monotonic()
        self.send(PINGREQ)

    def _linger(self) -> None:
        """Send the rest, say that it was the last, and read on until the peer closes.

        Closing with unread bytes resets the connection, and a reset may overtake our last acknowledgements.
        """
        deadline = time.monotonic() + _LINGER_SECONDS
        while not self.flush() and (left := deadline - time.monotonic()) > 0:
            _wait(self._raw, select.POLLOUT, left)
        plain = self._raw
        if isinstance(plain, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):  # it sends close_notify, and need not wait for one
                plain.unwrap()
            plain = socket.socket(fileno=plain.detach())
            self._raw = plain
        plain.setblocking(False)
        plain.shutdown(socket.SHUT_WR)
        while (left := deadline - time.monotonic()) > 0:
            _wait(plain, select.POLLIN, left)
            with contextlib.suppress(BlockingIOError):
                if not plain.recv(CHUNK_BYTES):
                    return


def _wait(raw: socket.socket, event: int, timeout: float) -> None:
    poller = select.poll()
    poller.register(raw.fileno(), event)
    poller.poll(timeout * 1000)
