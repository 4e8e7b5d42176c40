"""The sink killed, stopped, and without its database: it has whatever it thanked for, and refused what it has not."""

import smtplib
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy import Engine, text

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


def test_who_says_nothing_and_who_never_ends_is_hung_up_on(engine: Engine, tmp_path: Path) -> None:
    impatient = (
        "from penguin_infra.sink import connections as c\n"
        "c._COMMAND_SECONDS, c._CONNECTION_SECONDS, c._ROUND_SECONDS = 1.0, 3.0, 0.1"
    )
    with SinkProcess(engine, tmp_path, before=impatient) as sink, ExitStack() as clients:
        silent, chatty = (clients.enter_context(closing(sink.connect())) for _ in range(2))
        # It speaks in time for each command, and by far less often than it may.
        for _ in range(90):
            time.sleep(0.2)
            with suppress(smtplib.SMTPServerDisconnected):
                chatty.noop()
                continue
            break
        else:
            pytest.fail("a session that never ends was kept")
        with pytest.raises(smtplib.SMTPServerDisconnected):
            silent.noop()
        with sink.connect() as client:
            send(client, "correlation-1")


def test_one_session_may_not_ask_for_ever(sink: SinkProcess) -> None:
    with sink.connect() as client:
        answers = [client.noop()[0] for _ in range(101)]
    assert answers == [250] * 100 + [421]


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


def _until_somebody_waits(engine: Engine) -> None:
    query = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + 20
    while True:
        with engine.connect() as connection:
            if connection.execute(query).scalar_one():
                return
        assert time.monotonic() < deadline, "nobody waited for the lock"
        time.sleep(0.05)
