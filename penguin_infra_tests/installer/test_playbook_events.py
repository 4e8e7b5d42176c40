"""Events become lines and errors in the host's own words."""

from typing import Any

import pytest

from penguin_infra.installer.playbook_events import LONGEST_EXCERPT, PlaybookStory, host_words


def event(kind: str, *, task: str = "Install Postfix", role: str = "postfix", **data: Any) -> dict[str, Any]:
    return {"event": kind, "data": {"task": task, "role": role, **data}, "stdout": ""}


def test_each_role_is_named_once_as_it_begins() -> None:
    story = PlaybookStory()
    lines = [
        story.read(event("playbook_on_task_start", task=task, role=role))
        for task, role in [("One", "redis"), ("Two", "redis"), ("Three", "worker")]
    ]
    assert lines == ["redis begins", None, "worker begins"]
    assert story.under_way == "worker: Three"


def test_a_task_is_spoken_of_when_it_changed_something() -> None:
    story = PlaybookStory()
    assert story.read(event("runner_on_ok", res={"changed": False})) is None
    assert story.read(event("runner_on_ok", res={"changed": True})) == "postfix: Install Postfix (changed)"


def test_the_sum_counts_changes_and_keeps_what_was_reported() -> None:
    story = PlaybookStory()
    story.read(event("playbook_on_stats", changed={"node": 3}, artifact_data={"dkim_public_key": "MII"}))
    assert (story.is_finished, story.changed, story.reported) == (True, 3, {"dkim_public_key": "MII"})


def test_a_failure_names_role_task_and_the_hosts_words() -> None:
    story = PlaybookStory()
    story.read(event("runner_on_failed", res={"msg": "non-zero return code", "stderr": "E: no such package"}))
    assert str(story.failure) == "postfix: Install Postfix: E: no such package"


def test_a_failure_that_is_ignored_is_none() -> None:
    story = PlaybookStory()
    assert story.read(event("runner_on_failed", res={"msg": "no"}, ignore_errors=True)) is None
    assert story.failure is None


def test_a_hidden_output_stays_hidden() -> None:
    assert "hidden" in host_words({"censored": "the output has been hidden"})
    assert "s3cret" not in host_words({"censored": "hidden", "msg": "s3cret"})


def test_what_ssh_says_of_its_own_end_is_not_the_hosts_word() -> None:
    result = {"msg": "non-zero return code", "stderr": "Shared connection to 10.0.0.1 closed.\r\n", "stdout": "no room"}
    assert host_words(result) == "no room"


def test_in_a_loop_the_item_that_failed_speaks() -> None:
    results = [{"changed": True, "msg": "fine"}, {"failed": True, "msg": "non-zero return code", "stderr": "bad rule"}]
    assert host_words({"msg": "One or more items failed", "results": results}) == "bad rule"


def test_long_words_keep_their_end_where_the_cause_stands() -> None:
    words = host_words({"msg": "'/usr/bin/apt-get " + "x" * 2000 + "' failed: E: the cause"})
    assert len(words) == LONGEST_EXCERPT
    assert words.endswith("failed: E: the cause")


@pytest.mark.parametrize(
    "result",
    [
        {"msg": "MODULE FAILURE: no output", "module_stderr": "OSError: [Errno 28] No space left on device"},
        {"msg": "Failed to create temporary directory: mkdir: No space left on device"},
        {"msg": "dpkg failed", "stderr": "write error (No space left on device)" + " later" * 200},
    ],
)
def test_a_full_disk_is_called_so(result: dict[str, Any]) -> None:
    assert "disk is full" in host_words(result)


def test_a_full_disk_is_no_lost_connection() -> None:
    story = PlaybookStory()
    story.read(event("runner_on_unreachable", res={"msg": "mkdir: No space left on device"}))
    assert story.failure is not None
    assert not story.failure.is_unreachable
