"""A deferral counts once a (queue id, recipient), in bounded memory, until the message has ended."""

from penguin_infra.agent.buckets import Tally
from penguin_infra.agent.deferrals import Deferrals
from penguin_infra_tests.agent.log_writer import delivery, removed

NOW = 4_000_000_000.0


def results(tally: Tally) -> dict[tuple[str, str], int]:
    summed: dict[tuple[str, str], int] = {}
    for count in tally.counts():
        key = count.mailbox_provider, count.result
        summed[key] = summed.get(key, 0) + count.messages
    return summed


def tally_of(*lines: str) -> Tally:
    tally = Tally(Deferrals(b"salt"))
    for text in lines:
        tally.add(text.rstrip("\n").encode(), NOW)
    return tally


def test_attempts_for_one_recipient_count_once_and_each_recipient_counts() -> None:
    deferred = [delivery(1, status="deferred", dsn="4.2.0", to=f"r{index % 3}@example.org") for index in range(9)]
    assert results(tally_of(*deferred)) == {("gmail", "deferred"): 3}


def test_a_queue_id_that_is_used_again_is_another_message() -> None:
    deferred = delivery(1, status="deferred", dsn="4.2.0")
    assert results(tally_of(deferred, removed(1), deferred)) == {("gmail", "deferred"): 2}
    assert results(tally_of(deferred, delivery(1), deferred)) == {("gmail", "deferred"): 2, ("gmail", "sent"): 1}


def test_an_expired_message_counts_for_each_recipient_that_waited_at_its_provider() -> None:
    expired = removed(1).replace("removed", "from=<s@example.org>, status=expired, returned to sender")
    tally = tally_of(
        delivery(1, status="deferred", dsn="4.2.0", to="a@example.org"),
        delivery(1, status="deferred", dsn="4.2.0", to="b@example.org", relay="mx.example.org[192.0.2.1]:25"),
        expired,
        removed(1),
        expired.replace("4F00000001", "4F00000002"),
    )
    assert results(tally) == {
        ("gmail", "deferred"): 1, ("other", "deferred"): 1, ("gmail", "expired"): 1, ("other", "expired"): 2,
    }  # fmt: skip


def test_memory_is_bounded_and_the_oldest_message_goes_first() -> None:
    deferrals = Deferrals(b"salt", most=10)
    for number in range(25):
        assert deferrals.is_first(b"Q%d" % number, b"r", "gmail")
    assert not deferrals.is_first(b"Q24", b"r", "gmail")
    assert deferrals.is_first(b"Q0", b"r", "gmail")
    new, forgotten = deferrals.changes()
    assert len(new) == 10
    assert len(forgotten) == 25 - 10


def test_one_message_with_more_recipients_than_memory_ends() -> None:
    deferrals = Deferrals(b"salt", most=10)
    assert all(deferrals.is_first(b"Q", b"r%d" % number, "gmail") for number in range(25))


def test_only_salted_hashes_are_kept() -> None:
    kept = []
    for salt in (b"one", b"two"):
        deferrals = Deferrals(salt)
        deferrals.is_first(b"QUEUE", b"person@example.org", "gmail")
        kept.append(deferrals.changes()[0])
    assert kept[0] != kept[1]
    assert b"person" not in b"".join(kept[0][0][:2])


def test_only_outgoing_mail_counts_against_an_allowance() -> None:
    tally = tally_of(delivery(1), delivery(2, agent="local"), delivery(3, status="bounced", dsn="5.1.1"))
    assert sum(tally.sent_by_hour.values()) == 1
