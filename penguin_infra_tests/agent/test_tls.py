"""A gateway behind TLS: spoken to only when its certificate is signed by whom we trust, for the name we called."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from penguin_infra.agent.agent import AgentConfig
from penguin_infra.agent.config import ConfigRefused
from penguin_infra.agent.link import GatewayAway, GatewayLink
from penguin_infra_tests.agent.stub_gateway import StubGateway, StubServer


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key of a gateway at 127.0.0.1, and at no other name."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=gateway", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")],
        check=True, capture_output=True,
    )  # fmt: skip
    return folder / "cert.pem"


@pytest.fixture
def port(certificate: Path) -> Iterator[int]:
    stub = StubGateway()
    server = StubServer(stub)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, certificate.with_name("key.pem"))
    server.server.socket = context.wrap_socket(server.server.socket, server_side=True)
    yield server.port
    server.close()


def post(config: AgentConfig, url: str, ca_file: Path | None) -> int:
    link = GatewayLink(replace(config, gateway_url=url, ca_file=ca_file))
    return link.post("/api/v1/agents/heartbeat", b"{}", 0.0).status


def test_a_certificate_by_the_given_authority_is_trusted(config: AgentConfig, port: int, certificate: Path) -> None:
    assert post(config, f"https://127.0.0.1:{port}", certificate) == 200


def test_a_certificate_by_a_stranger_is_not(config: AgentConfig, port: int) -> None:
    with pytest.raises(GatewayAway, match="certificate"):
        post(config, f"https://127.0.0.1:{port}", None)


def test_a_certificate_for_another_name_is_not(config: AgentConfig, port: int, certificate: Path) -> None:
    with pytest.raises(GatewayAway, match="Hostname mismatch"):
        post(config, f"https://localhost:{port}", certificate)


def test_an_authority_that_cannot_be_read_is_refused_at_once(config: AgentConfig, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("no certificate")
    for file in (tmp_path / "ca.pem", tmp_path / "missing.pem"):
        with pytest.raises(ConfigRefused, match="ca_file"):
            GatewayLink(replace(config, gateway_url="https://127.0.0.1:1", ca_file=file))
