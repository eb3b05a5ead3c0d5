from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from routemq_tui.config.model import Config, TlsConfig
from routemq_tui.config.url import BrokerUrl, parse_broker_url
from routemq_tui.worker.address import external_address
from tests.authority import Authority, Issued
from tests.config.project import loaded, problems

SECRET = "open-sesame-47"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "files")


@pytest.fixture(scope="module")
def issued(authority: Authority) -> Issued:
    return authority.issue("client", file="client")


@pytest.fixture(scope="module")
def encrypted(issued: Issued, tmp_path_factory: pytest.TempPathFactory) -> Path:
    key = load_pem_private_key(issued.key_file.read_bytes(), None)
    file = tmp_path_factory.mktemp("key") / "locked.pem"
    locked = BestAvailableEncryption(SECRET.encode())
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))
    return file


def broker(*lines: str, url: str = "mqtts://broker.example") -> str:
    return "\n".join(["[broker]", f'url = "{url}"', *lines])


def test_paths_are_relative_to_the_file_and_all_of_it_reaches_the_workers(
    tmp_path: Path, authority: Authority, issued: Issued
) -> None:
    # given files beside the configuration
    for name, file in (("ca", authority.file), ("cert", issued.cert_file), ("key", issued.key_file)):
        (tmp_path / f"{name}.pem").write_bytes(file.read_bytes())
    text = broker(
        'ca_file = "ca.pem"', 'cert_file = "cert.pem"', 'key_file = "./key.pem"', 'server_name = "b"'
    )
    # when it is read
    config = loaded(tmp_path, text)
    # then the paths hold anywhere
    assert config.broker.tls == TlsConfig(
        *(str(tmp_path / f"{name}.pem") for name in ("ca", "cert", "key")), server_name="b"
    )
    address = external_address(config.broker)
    assert (address.host, address.port, address.tls, address.websocket) == (
        "broker.example",
        8883,
        True,
        None,
    )
    assert address.security == config.broker.tls
    assert not config.warnings


def test_the_environment_says_the_same(
    tmp_path: Path, authority: Authority, issued: Issued, encrypted: Path
) -> None:
    environment = {
        "MQTT_BROKER": "wss://broker.example/ws",
        "MQTT_CA_FILE": str(authority.file),
        "MQTT_CERT_FILE": str(issued.cert_file),
        "MQTT_KEY_FILE": str(encrypted),
        "MQTT_KEY_PASSWORD": SECRET,
        "MQTT_SERVER_NAME": "other.example",
    }
    config = loaded(tmp_path, environment=environment)
    assert config.broker.tls == TlsConfig(
        str(authority.file), str(issued.cert_file), str(encrypted), SECRET, "other.example"
    )
    assert external_address(config.broker).websocket == "/ws"
    assert SECRET not in repr(config)
    assert SECRET not in repr(external_address(config.broker))


def test_the_names_of_routemq_say_the_same(tmp_path: Path, authority: Authority, issued: Issued) -> None:
    environment = {
        "MQTT_BROKER": "broker.example",
        "MQTT_PORT": "8884",
        "MQTT_PASSWORD": SECRET,
        "MQTT_TLS_ENABLED": "True",
        "MQTT_TLS_CA_CERTS": str(authority.file),
        "MQTT_TLS_CERTFILE": str(issued.cert_file),
        "MQTT_TLS_KEYFILE": str(issued.key_file),
        "MQTT_TLS_INSECURE": "false",
    }
    config = loaded(tmp_path, environment=environment)
    assert config.broker.url == "mqtts://broker.example:8884"
    assert config.broker.tls == TlsConfig(
        str(authority.file), str(issued.cert_file), str(issued.key_file), insecure=False
    )
    assert not config.warnings
    # and both names of one setting say one thing
    environment["MQTT_CA_FILE"] = "other.pem"
    (problem,) = problems(tmp_path, "", environment)
    assert "MQTT_TLS_CA_CERTS: found" in str(problem)
    assert 'but MQTT_CA_FILE says the text "other.pem" (leave one of them out)' in str(problem)


@pytest.mark.parametrize(
    ("url", "environment", "expected"),
    [
        ("mqtt://a:1", {"MQTT_TLS_ENABLED": "1"}, "mqtts://a:1"),
        ("mqtt://a", {"MQTT_TLS_ENABLED": "yes"}, "mqtts://a:8883"),
        ("ws://a/x", {"MQTT_TLS_ENABLED": "on"}, "wss://a:443/x"),
        ("mqtts://a", {"MQTT_TLS_ENABLED": "true"}, "mqtts://a:8883"),
        ("mqtt://a", {"MQTT_TLS_ENABLED": "off"}, "mqtt://a:1883"),
        ("mqtt://a", {"MQTT_TLS_ENABLED": "true", "MQTT_BROKER": "mqtt://b"}, "mqtts://b:8883"),
    ],
)
def test_tls_is_wanted_by_a_variable(
    tmp_path: Path, url: str, environment: dict[str, str], expected: str
) -> None:
    config = loaded(tmp_path, broker(url=url), environment)
    assert config.broker.url == expected
    assert not config.warnings


@pytest.mark.parametrize(
    ("url", "environment", "said"),
    [
        ("mqtts://a", {"MQTT_TLS_ENABLED": "false"}, "has no effect: the broker's URL is mqtts://"),
        (
            "embedded",
            {"MQTT_TLS_ENABLED": "true"},
            "has no effect: the broker is one that routemq-tui starts",
        ),
        ("mqtt://a", {"MQTT_TLS_CA_CERTS": "/ca.pem"}, "not encrypted (set MQTT_TLS_ENABLED=true)"),
    ],
)
def test_a_variable_of_tls_without_effect_is_told(
    tmp_path: Path, url: str, environment: dict[str, str], said: str
) -> None:
    config = loaded(tmp_path, broker(url=url), environment)
    assert config.broker.url.partition(":")[0] == url.partition(":")[0]
    (warning,) = config.warnings
    assert said in str(warning)


def test_the_command_line_says_whether_tls_is_spoken(tmp_path: Path) -> None:
    config = loaded(
        tmp_path, environment={"MQTT_TLS_ENABLED": "true"}, overrides={"broker.url": "mqtt://localhost"}
    )
    assert config.broker.url == "mqtt://localhost:1883"
    (warning,) = config.warnings
    assert "MQTT_TLS_ENABLED: has no effect: the broker's URL is mqtt://" in str(warning)


def test_a_word_that_may_mean_tls_is_refused(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, "", {"MQTT_TLS_ENABLED": "ture"})
    assert str(problem).startswith(
        'environment: MQTT_TLS_ENABLED: found the text "ture" (did you mean "true"?'
    )


def test_passwords_come_from_files_too(tmp_path: Path, issued: Issued, encrypted: Path) -> None:
    (tmp_path / "key-password").write_text(f"{SECRET}\n")
    (tmp_path / "password").write_text("hunter2\n")
    text = broker(
        f'cert_file = "{issued.cert_file}"',
        f'key_file = "{encrypted}"',
        'key_password_file = "key-password"',
    )
    config = loaded(tmp_path, text, {"MQTT_PASSWORD_FILE": "password"})
    assert (config.broker.tls.key_password, config.broker.password) == (SECRET, "hunter2")


def refused(tmp_path: Path, *lines: str, environment: dict[str, str] | None = None) -> str:
    """What is said of the one thing that is wrong."""
    (problem,) = problems(tmp_path, broker(*lines), environment)
    return str(problem).replace(f"{tmp_path}/", "")


def test_a_file_that_cannot_be_used_is_told_with_its_line(
    tmp_path: Path, authority: Authority, issued: Issued, encrypted: Path
) -> None:
    (tmp_path / "junk.pem").write_text("no certificate")
    stranger = authority.issue("stranger", file="stranger")
    cert, key = f'cert_file = "{issued.cert_file}"', f'key_file = "{issued.key_file}"'
    begin = "routemq.toml:3: broker."
    # when a file is not there, holds something else, or does not fit the other
    assert refused(tmp_path, 'ca_file = "gone.pem"') == (
        f"{begin}ca_file: found 'gone.pem': there is no such file (name a readable PEM file)"
    )
    assert f"{begin}ca_file: found 'junk.pem': it holds no certificate" in refused(
        tmp_path, 'ca_file = "junk.pem"'
    )
    assert f"{begin}ca_file: found '.': " in refused(tmp_path, 'ca_file = "."')
    assert f"{begin}cert_file: found 'junk.pem': it holds no certificate" in refused(
        tmp_path, 'cert_file = "junk.pem"', key
    )
    assert "it holds no private key in PEM form (name the key's file with key_file)" in refused(
        tmp_path, cert
    )
    assert "routemq.toml:4: broker.key_file" in refused(tmp_path, cert, 'key_file = "junk.pem"')
    said = refused(tmp_path, cert, f'key_file = "{stranger.key_file}"')
    assert said.startswith("routemq.toml:4: broker.key_file")
    assert "does not belong to the certificate" in said
    assert f"{begin}key_file: a key without its certificate" in refused(tmp_path, key)


def test_an_encrypted_key_wants_its_password(tmp_path: Path, issued: Issued, encrypted: Path) -> None:
    lines = f'cert_file = "{issued.cert_file}"', f'key_file = "{encrypted}"'
    assert "its key is encrypted (set MQTT_KEY_PASSWORD or broker.key_password_file)" in refused(
        tmp_path, *lines
    )
    said = refused(tmp_path, *lines, environment={"MQTT_KEY_PASSWORD": "wrong-one"})
    assert "the password does not open its key" in said
    assert "wrong-one" not in said


@pytest.mark.parametrize("key", ["password", "key_password"])
def test_a_password_in_the_file_is_refused_and_not_shown(tmp_path: Path, key: str) -> None:
    said = refused(tmp_path, f'{key} = "{SECRET}"')
    assert "keep it out of this file" in said
    assert SECRET not in said


@pytest.mark.parametrize("name", ["MQTT_PASSWORD", "MQTT_KEY_PASSWORD"])
def test_a_password_that_is_no_text_is_not_shown(tmp_path: Path, name: str) -> None:
    said = refused(tmp_path, environment={name: f"{SECRET}\udcff"})
    assert said.startswith(f"environment: {name}: found what is not shown here")
    assert SECRET not in said


def warned(config: Config) -> list[str]:
    return [f"{problem.key}: {problem.message}" for problem in config.warnings]


def test_not_checking_is_never_silent(tmp_path: Path) -> None:
    config = loaded(tmp_path, broker("insecure = true"))
    assert config.broker.tls.insecure
    (said,) = warned(config)
    assert said.startswith("broker.insecure: the broker's certificate is NOT checked")
    # and it cannot be switched off from outside of the file
    assert not loaded(tmp_path, broker(), {"MQTT_INSECURE": "true"}).broker.tls.insecure


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mqtt://h", "the broker's URL is mqtt://, which is not encrypted"),
        ("ws://h", "the broker's URL is ws://, which is not encrypted"),
        ("embedded", "the broker is one that routemq-tui starts, without TLS"),
    ],
)
def test_settings_of_tls_without_it_are_told(tmp_path: Path, url: str, said: str) -> None:
    config = loaded(tmp_path, broker('ca_file = "gone.pem"', url=url))
    assert warned(config) == [f"broker.ca_file: has no effect: {said}"]
    assert config.broker.tls == TlsConfig()


@pytest.mark.parametrize(
    ("text", "url", "written"),
    [
        ("ws://h", BrokerUrl("h", 80, explicit_port=False, path="/mqtt"), "ws://h:80/mqtt"),
        ("ws://h/", BrokerUrl("h", 80, explicit_port=False, path="/"), "ws://h:80/"),
        ("wss://u@h:9/a/b", BrokerUrl("h", 9, True, "u", path="/a/b"), "wss://h:9/a/b"),
        (
            "wss://[::1]",
            BrokerUrl("::1", 443, True, explicit_port=False, path="/mqtt"),
            "wss://[::1]:443/mqtt",
        ),
        ("mqtts://h", BrokerUrl("h", 8883, True, explicit_port=False), "mqtts://h:8883"),
    ],
)
def test_urls_of_every_kind(text: str, url: BrokerUrl, written: str) -> None:
    assert parse_broker_url(text) == url
    assert str(url) == written
    assert parse_broker_url(written) == BrokerUrl(url.host, url.port, url.tls, path=url.path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ws://h/a?token=1", "nothing may follow the path"),
        ("mqtts://h/a", "nothing may follow the host and port"),
        ("https://h/mqtt", 'did you mean "wss://h/mqtt"'),
        ("ws://h/é", "the path holds letters that a URL writes as %XX"),
        ("wss://u:secret@h/", "a password does not belong here"),
    ],
)
def test_urls_that_are_wrong(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        parse_broker_url(text)
    assert "secret" not in str(caught.value)


def test_a_port_from_the_environment_keeps_the_rest_of_the_url(tmp_path: Path) -> None:
    text = broker(url="wss://me@h/ws")
    config = loaded(tmp_path, text, {"MQTT_PORT": "9443"})
    assert (config.broker.url, config.broker.username) == ("wss://h:9443/ws", "me")
