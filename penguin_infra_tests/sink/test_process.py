"""The sink killed, stopped, and without its database: it has whatever it thanked for, and refused what it has not."""

import smtplib
import ssl
import stat
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from sqlalchemy import Engine, text

from penguin_infra.sink.certificate import CertificateError, make_context
from penguin_infra_tests.conftest import Databases
from penguin_infra_tests.sink.sink_process import SinkProcess, send


@pytest.fixture
def mortal(engine: Engine, tmp_path: Path) -> Iterator[SinkProcess]:
    """A sink of the test's own."""
    with SinkProcess(engine, tmp_path) as started:
        yield started


class Sender(threading.Thread):
    """Sends one mail after the other, and remembers which it was thanked for."""

    def __init__(self, sink: SinkProcess, stop: threading.Event) -> None:
        super().__init__()
        self.acknowledged: list[str] = []
        self.refused: list[str] = []
        self._sink, self._stopped = sink, stop

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                with self._sink.connect() as client:
                    while not self._stopped.is_set():
                        correlation_id = str(uuid4())
                        send(client, correlation_id)
                        self.acknowledged.append(correlation_id)
            except (OSError, smtplib.SMTPServerDisconnected):
                time.sleep(0.05)
            except smtplib.SMTPResponseException as error:
                self.refused.append(str(error))
                time.sleep(0.05)


def test_kill_9_under_load_loses_nothing_that_was_acknowledged(mortal: SinkProcess) -> None:
    stop = threading.Event()
    senders = [Sender(mortal, stop) for _ in range(4)]
    for sender in senders:
        sender.start()
    for _ in range(3):
        time.sleep(1)
        mortal.kill()
        mortal.start()
    time.sleep(0.5)
    stop.set()
    for sender in senders:
        sender.join()
    acknowledged = {one for sender in senders for one in sender.acknowledged}
    with mortal.engine.connect() as connection:
        kept = set(connection.scalars(text("SELECT correlation_id FROM fleet.sink_messages")))
    assert len(acknowledged) > 50
    assert acknowledged <= kept
    # The answer of a mail that was being committed went with the process: one for each sender and kill at most.
    assert len(kept - acknowledged) <= 4 * 3
    assert [sender.refused for sender in senders] == [[]] * 4


def test_without_its_database_mails_are_put_off_and_taken_when_it_is_back(
    mortal: SinkProcess, databases: Databases
) -> None:
    with mortal.connect() as client:
        send(client, "correlation-1")
    mortal.engine.dispose()
    databases.refuse(mortal.engine.url)
    with mortal.connect() as client:
        for _ in range(3):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                send(client, "correlation-2")
            assert refused.value.smtp_code == 451
        databases.accept(mortal.engine.url)
        # The same session: nothing is left over from the failures.
        send(client, "correlation-2")
    assert [len(mortal.found(f"correlation-{number}")) for number in (1, 2)] == [1, 1]
    password = mortal.engine.url.password
    assert not password or password not in mortal.log


def test_a_stop_is_quick_and_ends_what_is_in_hand(mortal: SinkProcess) -> None:
    """The commit waits for a lock that another session holds, so that the stop meets it in hand."""
    idle = mortal.connect()
    client = mortal.connect()
    answers: list[object] = []

    def deliver() -> None:
        try:
            send(client, "correlation-1")
            answers.append("taken")
        except Exception as error:
            answers.append(error)

    work = threading.Thread(target=deliver)
    with mortal.engine.connect() as locking, locking.begin():
        locking.execute(text("LOCK TABLE fleet.sink_messages IN EXCLUSIVE MODE"))
        work.start()
        _until_somebody_waits(mortal.engine)
        assert mortal.process is not None
        mortal.process.terminate()
        time.sleep(0.7)
    assert mortal.process.wait(20) == 0
    work.join()
    assert answers == ["taken"]
    assert len(mortal.found("correlation-1")) == 1
    with pytest.raises(smtplib.SMTPServerDisconnected):
        idle.noop()
    idle.close()
    client.close()


def test_a_stop_does_not_wait_for_a_commit_that_does_not_come(mortal: SinkProcess) -> None:
    client = mortal.connect()
    answers: list[object] = []

    def deliver() -> None:
        try:
            send(client, "correlation-1")
        except smtplib.SMTPException as error:
            answers.append(error)

    work = threading.Thread(target=deliver)
    with mortal.engine.connect() as locking, locking.begin():
        locking.execute(text("LOCK TABLE fleet.sink_messages IN EXCLUSIVE MODE"))
        work.start()
        _until_somebody_waits(mortal.engine)
        assert mortal.process is not None
        mortal.process.terminate()
        # Less than the database would take to give up by itself.
        assert mortal.process.wait(6) == 0
    work.join()
    client.close()
    assert len(answers) == 1
    assert mortal.found("correlation-1") == []


def test_mails_older_than_a_week_are_forgotten(engine: Engine, tmp_path: Path) -> None:
    insert = text(
        "INSERT INTO fleet.sink_messages"
        " (correlation_id, received_at, peer_address, helo, mail_from, rcpt_to, content)"
        " VALUES (:id, :at, '192.0.2.1', 'a', 'a@a', 'b@b', '')"
    )
    now = datetime.now(UTC)
    with engine.begin() as connection:
        for days in (6.9, 7.1, 400):
            connection.execute(insert, {"id": f"days-{days}", "at": now - timedelta(days=days)})
    with SinkProcess(engine, tmp_path) as sink:
        deadline = time.monotonic() + 20
        while sink.count() > 1:
            assert time.monotonic() < deadline, "old mails were not forgotten"
            time.sleep(0.1)
        assert [len(sink.found(f"days-{days}")) for days in (6.9, 7.1, 400)] == [1, 0, 0]


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"PENGUIN_SINK_MAILBOX": ""}, "set PENGUIN_SINK_MAILBOX"),
        ({"PENGUIN_SINK_CERTIFICATE_FILE": "/nowhere/cert.pem"}, "PENGUIN_SINK_CERTIFICATE_FILE (/nowhere/cert.pem)"),
        ({"PENGUIN_SINK_PRIVATE_KEY_FILE": "/nowhere/key.pem"}, "PENGUIN_SINK_CERTIFICATE_FILE is not"),
    ],
)
def test_what_it_cannot_serve_with_is_told_in_words(
    engine: Engine, tmp_path: Path, environment: dict[str, str], words: str
) -> None:
    sink = SinkProcess(engine, tmp_path, **environment)
    with pytest.raises(AssertionError) as failed:
        sink.start()
    assert words in " ".join(str(failed.value).split())
    assert "Traceback" not in str(failed.value)


def test_a_taken_port_is_told_in_words(sink: SinkProcess, tmp_path: Path) -> None:
    command = [*sink.command[:-1], str(sink.port)]
    done = subprocess.run(command, env=sink.environment, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "set PENGUIN_SINK_PORT" in " ".join(done.stderr.split())


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


def _until_somebody_waits(engine: Engine) -> None:
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 20
    while True:
        with engine.connect() as connection:
            if connection.execute(query).scalar_one():
                return
        assert time.monotonic() < deadline, "nobody waited for the lock"
        time.sleep(0.05)
