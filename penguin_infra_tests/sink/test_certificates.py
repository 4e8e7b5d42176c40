"""The sink's certificate: the operator's where there is one, and an own key that nobody else gets to see."""

import smtplib
import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Engine

from penguin_infra.sink.certificate import CertificateError, make_context
from penguin_infra_tests.sink.sink_process import SinkProcess, send


def test_the_own_key_is_for_nobody_elses_eyes_while_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes = []
    unlink = Path.unlink

    def look_and_unlink(path: Path, missing_ok: bool = False) -> None:
        modes.append(stat.S_IMODE(path.stat().st_mode))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", look_and_unlink)
    make_context(
        certificate_file=None, private_key_file=None, hostname="sink.test", directory=tmp_path, now=datetime.now(UTC)
    )
    assert modes == [0o600]
    assert list(tmp_path.iterdir()) == []


def test_a_configured_certificate_is_the_one_that_is_shown(engine: Engine, tmp_path: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now - timedelta(days=1), now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    configured = {
        "PENGUIN_SINK_CERTIFICATE_FILE": str(certificate_file),
        "PENGUIN_SINK_PRIVATE_KEY_FILE": str(key_file),
    }
    # A client that trusts this very certificate, and no other.
    trust = ssl.create_default_context(cafile=str(certificate_file))
    with (
        SinkProcess(engine, tmp_path, **configured) as sink,
        smtplib.SMTP("localhost", sink.port, timeout=30) as client,
    ):
        client.starttls(context=trust)
        send(client, "correlation-1")
    assert [one.mail.tls_version for one in sink.found("correlation-1")] == ["TLSv1.3"]


def test_a_pair_that_does_not_match_is_told_in_words(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.pem"
    wrong.write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    with pytest.raises(CertificateError, match="PENGUIN_SINK_PRIVATE_KEY_FILE"):
        make_context(
            certificate_file=wrong, private_key_file=wrong, hostname="a", directory=tmp_path, now=datetime.now(UTC)
        )
