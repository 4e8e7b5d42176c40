"""What the reference worker takes for a job, and what it makes of sendmail's answers; with Redis: `hosts/`."""

import base64
import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penguin_infra.installer.ansible_installer import REFERENCE_WORKER
from penguin_infra.installer.worker.reference_worker import Job, JobRefused, NotTakenNow, hand_over, read_job
from penguin_infra_tests.agent.node_python import find_python_3_10

GOOD = {"sender": "shop@node.test", "recipients": ["you@example.com"], "message": "Subject: hi\n\nHello\n"}
JOB = Job("shop@node.test", ("you@example.com",), b"Subject: hi\n\nHello\n")


def sendmail(folder: Path, script: str) -> str:
    program = folder / "sendmail"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return str(program)


def test_a_job_is_read_as_text_or_base64() -> None:
    assert read_job(json.dumps(GOOD).encode()) == JOB
    packed = {**GOOD, "encoding": "base64", "message": base64.b64encode(b"\xff\x00raw").decode()}
    assert read_job(json.dumps(packed).encode()).message == b"\xff\x00raw"
    assert read_job(json.dumps({**GOOD, "sender": ""}).encode()).sender == ""


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": None}, {"sender": "no address"}, {"sender": "a@b\n"}, {"recipients": []}, {"recipients": "a@b"},
        {"recipients": ["a@b", 7]}, {"recipients": ["a @b"]}, {"recipients": ["-oQ/tmp"]}, {"message": ""},
        {"message": 7}, {"encoding": "rot13"}, {"encoding": "base64", "message": "?"},
    ],
)  # fmt: skip
def test_what_is_no_job_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(JobRefused):
        read_job(json.dumps({**GOOD, **changes}).encode())


@pytest.mark.parametrize("told", [b"", b"nonsense", b"[]", b"null", b"\xff\xfe", b"7"])
def test_what_is_no_object_is_refused(told: bytes) -> None:
    with pytest.raises(JobRefused):
        read_job(told)


def test_the_mail_and_its_addresses_reach_sendmail_unchanged(tmp_path: Path) -> None:
    told = tmp_path / "told"
    hand_over(JOB, sendmail(tmp_path, f'{{ printf "%s|" "$@"; cat; }} > {told}'))
    assert told.read_text() == "-i|-f|shop@node.test|--|you@example.com|Subject: hi\n\nHello\n"


@pytest.mark.parametrize(("code", "error"), [(65, JobRefused), (67, JobRefused), (75, NotTakenNow), (1, NotTakenNow)])
def test_only_what_will_fail_again_is_given_up(code: int, error: type[Exception], tmp_path: Path) -> None:
    program = sendmail(tmp_path, f"cat > /dev/null; echo because >&2; exit {code}")
    with pytest.raises(error, match=f"{code}: because"):
        hand_over(JOB, program)


def test_without_postfix_jobs_wait(tmp_path: Path) -> None:
    with pytest.raises(NotTakenNow):
        hand_over(JOB, str(tmp_path / "missing"))


@pytest.mark.parametrize("version", ["this", "3.10"])
def test_without_redis_it_waits_and_stops_when_told(version: str) -> None:
    python = sys.executable if version == "this" else find_python_3_10()
    if python is None:
        pytest.skip("no Python 3.10 on the path or among pyenv's, and Debian has no package of it")
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        environment = {"PENGUIN_REDIS": f"127.0.0.1:{closed.getsockname()[1]}"}
        with subprocess.Popen([python, REFERENCE_WORKER], env=environment, stderr=subprocess.PIPE, text=True) as worker:
            assert worker.stderr is not None
            try:
                assert "resting 5 s: no Redis at 127.0.0.1" in worker.stderr.readline()
                worker.send_signal(signal.SIGTERM)
                assert worker.wait(20) == 0
            finally:
                worker.kill()
