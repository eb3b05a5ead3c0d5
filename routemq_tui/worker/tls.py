"""TLS to a broker: the context a connection is made with, and in words why one could not be made.

A context is made anew for each connection, so that renewed certificates are taken without a restart.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from routemq_tui.config.model import TlsConfig
from routemq_tui.worker.spec import BrokerAddress

_NOT_YET_VALID, _EXPIRED, _WRONG_HOST, _WRONG_IP = 9, 10, 62, 64
_UNTRUSTED = frozenset({2, 18, 19, 20, 21})
"""Of OpenSSL's X509_V_ERR codes: no way from the certificate to an authority that is trusted."""


class TlsFileError(OSError):
    """A file of the TLS settings cannot be used (any more)."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no connection."""

    text: str
    lasting: bool = False
    """Somebody has to change something: trying again alone will not help."""


def client_context(tls: TlsConfig) -> ssl.SSLContext:
    """A context that checks authority and name, with TLS 1.2 at least. Raises TlsFileError."""
    try:
        context = ssl.create_default_context(cafile=tls.ca_file)
    except OSError as error:
        raise TlsFileError(f"broker.ca_file {tls.ca_file} cannot be used: {_said(error)}") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if tls.cert_file is not None:
        try:
            # Without a function for the password OpenSSL would ask on the terminal.
            context.load_cert_chain(tls.cert_file, tls.key_file, lambda: tls.key_password or "")
        except OSError as error:
            where = f"broker.cert_file {tls.cert_file}" + (f" with {tls.key_file}" if tls.key_file else "")
            raise TlsFileError(f"{where} cannot be used: {_said(error)}") from None
    return context


def explain(error: BaseException, address: BrokerAddress) -> Fault:
    """What an error while connecting means, and what to do about it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _explain_certificate(error, address)
    if not address.tls or isinstance(error, TlsFileError | ConnectionRefusedError):
        return Fault(_said(error))
    if isinstance(error, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError):
        return Fault(
            f"{address} closed the connection in the TLS handshake: is it a port without TLS? "
            f"Then the URL begins with {_plain(address)}://"
        )
    if isinstance(error, TimeoutError) and "handshake" in str(error):
        return Fault(f"{address} does not answer the TLS handshake: is it a port without TLS?")
    if isinstance(error, ssl.SSLError):
        reason = error.reason or ""
        for words, tell, lasting in _ALERTS:
            if any(word in reason for word in words):
                return Fault(tell(address), lasting)
        return Fault(f"TLS with {address} failed: {reason.replace('_', ' ').lower() or _said(error)}")
    return Fault(_said(error))


def explain_end(first: bytes, error: OSError | None, address: BrokerAddress, met: bool) -> Fault:
    """Why a connection ended before CONNACK, by what broke it and the first bytes that came on it.

    A broker that was met before has not become another port: it is busy, or about to end.
    With TLS 1.3 a server looks at the client's certificate only after the handshake (RFC 8446 section 4.4.2).
    """
    closed = error is None or isinstance(error, ssl.SSLEOFError | ConnectionResetError | BrokenPipeError)
    if isinstance(error, ssl.SSLError) and not closed:
        return explain(error, address)
    if met and not first:
        return Fault(_said(error) if error is not None else "the broker closed the connection")
    if address.tls and not first and closed:
        hint = "mostly it wants a client certificate, then set broker.cert_file and broker.key_file"
        if address.security.cert_file is not None:
            hint = f"does it accept {address.security.cert_file}?"
        return Fault(f"{address} closed the connection after the TLS handshake: {hint}")
    if not address.tls and address.websocket is None:
        if first[:2] in (b"\x15\x03", b"\x16\x03"):
            return Fault(f"{address} answers in TLS: the URL begins with mqtts:// for this port")
        if first[:5] == b"HTTP/":
            return Fault(f"{address} answers in HTTP: the URL begins with ws:// for a port with WebSockets")
        if not first and closed:
            hint = "is it a port for TLS (mqtts://) or WebSockets (ws://)?"
            return Fault(f"the broker closed the connection without an answer: {hint}")
    return Fault(_said(error) if error is not None else "the broker closed the connection")


def _explain_certificate(error: ssl.SSLCertVerificationError, address: BrokerAddress) -> Fault:
    said, code, tls = error.verify_message.rstrip("."), error.verify_code, address.security
    begin = f"the certificate of {address}"
    if code == _EXPIRED:
        text = f"{begin} has expired: it has to be renewed at the broker (or this machine's clock is wrong)"
    elif code == _NOT_YET_VALID:
        text = f"{begin} is not valid yet: is this machine's clock right?"
    elif code in (_WRONG_HOST, _WRONG_IP):
        text = (
            f"{begin} is for another host: {said}. Write a name that it holds in broker.url, or set "
            "broker.server_name to one"
        )
    elif code in _UNTRUSTED and tls.ca_file is None:
        text = (
            f"{begin} is not trusted ({said}): no authority that this machine knows has signed it. If the "
            "broker has an authority of its own, set broker.ca_file (MQTT_CA_FILE) to its certificate"
        )
    elif code in _UNTRUSTED:
        text = f"{begin} is not trusted ({said}): no authority in broker.ca_file {tls.ca_file} has signed it"
    else:
        text = f"{begin} is not trusted: {said}"
    return Fault(text, lasting=True)


def _wants_certificate(address: BrokerAddress) -> str:
    if address.security.cert_file is not None:
        return f"{address} ended the TLS handshake: it does not accept {address.security.cert_file}"
    return (
        f"{address} wants a client certificate: set broker.cert_file and broker.key_file "
        "(MQTT_CERT_FILE, MQTT_KEY_FILE)"
    )


def _handshake_failure(address: BrokerAddress) -> str:
    if address.security.cert_file is not None:
        return (
            f"{address} ended the TLS handshake: no cipher in common, or it does not accept our certificate"
        )
    return (
        f"{address} ended the TLS handshake: mostly it wants a client certificate, then set broker.cert_file "
        "and broker.key_file"
    )


def _does_not_accept(address: BrokerAddress) -> str:
    shown = address.security.cert_file or "that we show none"
    return (
        f"{address} does not accept our certificate, {shown}: it has to be signed by an authority it trusts"
    )


_ALERTS: Sequence[tuple[Sequence[str], Callable[[BrokerAddress], str], bool]] = (
    (("ALERT_CERTIFICATE_REQUIRED",), _wants_certificate, True),
    (("ALERT_HANDSHAKE_FAILURE",), _handshake_failure, True),
    (
        ("ALERT_CERTIFICATE_EXPIRED",),
        lambda address: f"{address} says that our certificate has expired: {address.security.cert_file}",
        True,
    ),
    (
        ("ALERT_CERTIFICATE_REVOKED",),
        lambda address: f"{address} says that our certificate is revoked: {address.security.cert_file}",
        True,
    ),
    (
        ("ALERT_UNKNOWN_CA", "ALERT_BAD_CERTIFICATE", "ALERT_CERTIFICATE_UNKNOWN", "ALERT_ACCESS_DENIED"),
        _does_not_accept,
        True,
    ),
    (
        ("ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL"),
        lambda address: f"{address} speaks no TLS 1.2 or later, which is the least that is accepted here",
        True,
    ),
    (
        ("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"),
        lambda address: (
            f"{address} does not speak TLS: the URL begins with {_plain(address)}:// for a port without it"
        ),
        False,
    ),
)
"""Words of OpenSSL's reason, what is said, and whether it is lasting (RFC 8446 section 6)."""


def _plain(address: BrokerAddress) -> str:
    return "mqtt" if address.websocket is None else "ws"


def _said(error: BaseException) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or str(error)).replace("_", " ").lower()
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
