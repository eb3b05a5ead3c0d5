"""Certificates and keys that the configuration names, tried out."""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from routemq_tui.config.model import TlsConfig
from routemq_tui.config.reader import Reader, Setting, Settings


def check_authorities(reader: Reader, setting: Setting, path: str) -> None:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        message = f"found {setting.value!r}: it holds no certificate in PEM form"
        reader.report(setting.place, setting.key, message, "PEM begins with -----BEGIN CERTIFICATE-----")


@dataclass(slots=True)
class _Password:
    """Notes whether it was asked for: an encrypted key is told by that."""

    password: str | None
    asked: bool = False

    def __call__(self) -> str:
        self.asked = True
        return self.password or ""


def check_certificate(reader: Reader, settings: Settings, tls: TlsConfig) -> None:
    password = _Password(tls.key_password)
    assert tls.cert_file is not None
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(tls.cert_file, tls.key_file, password)
        return
    except ssl.SSLError as error:
        mismatch = error.reason == "KEY_VALUES_MISMATCH"
    except OSError:
        mismatch = False
    certificate, key = settings["cert_file"], settings.get("key_file")
    blamed, hint = key or certificate, ""
    if password.asked:
        missing = tls.key_password is None
        message = "its key is encrypted" if missing else "the password does not open its key"
        hint = "set MQTT_KEY_PASSWORD or broker.key_password_file"
    elif mismatch:
        message = "the key does not belong to the certificate"
    elif not _holds_certificate(tls.cert_file):
        blamed, message = certificate, "it holds no certificate in PEM form"
        hint = "PEM begins with -----BEGIN CERTIFICATE-----"
    else:
        message = "it holds no private key in PEM form"
        hint = "" if key else "name the key's file with key_file"
    reader.report(blamed.place, blamed.key, f"found {blamed.value!r}: {message}", hint)


def _holds_certificate(path: str) -> bool:
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        return False
    return True
