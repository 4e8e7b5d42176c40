"""DKIM: real signatures, keys in a real zone, and every way in which one counts for nothing."""

import re

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penguin_infra.dns_records.lookup import NameLookup
from penguin_infra.domain.verification import AuthenticationResult
from penguin_infra.verification.message import check_dkim
from penguin_infra_tests.dns_process import free_port
from penguin_infra_tests.verification.conftest import SELECTOR, SigningKey, World, mail_from, make_key, sign

TAGS = ["v", "a", "b", "bh", "d", "h", "s", "c", "q", "t", "x", "l", "i"]
RESULTS = {"pass", "fail", "neutral", "none", "policy", "temperror", "permerror"}


@pytest.fixture(scope="module")
def key() -> SigningKey:
    return make_key(2048)


def publish(world: World, *records: str) -> None:
    world.hold(f"{SELECTOR}._domainkey.{world.host}", "TXT", *records)


def check(world: World, content: bytes) -> AuthenticationResult:
    return check_dkim(content, hostname=world.host, resolve=world.lookup.values)


@pytest.mark.parametrize("bits", [1024, 2048, 4096])
def test_a_signature_of_the_nodes_own_key_passes(world: World, bits: int) -> None:
    key = make_key(bits)
    publish(world, key.record)
    result = check(world, sign(mail_from(world.host), key, world.host))
    assert result.result == "pass", result.detail
    assert f"key {SELECTOR}._domainkey.{world.host} of {bits} bits" in result.detail


def test_an_unsigned_mail_has_no_result(world: World) -> None:
    assert check(world, mail_from(world.host)).result == "none"


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"Another.", b"Tampered."), (b"Subject: verification", b"Subject: cheap pills"), (b"From: ", b"From: Boss ")],
)
def test_a_mail_that_was_changed_on_its_way_fails(world: World, key: SigningKey, old: bytes, new: bytes) -> None:
    publish(world, key.record)
    signed = sign(mail_from(world.host), key, world.host)
    assert old in signed
    assert check(world, signed.replace(old, new)).result == "fail"


def test_a_signature_by_another_key_fails(world: World, key: SigningKey) -> None:
    publish(world, make_key(1024).record)
    result = check(world, sign(mail_from(world.host), key, world.host))
    assert result.result == "fail"
    assert f"{SELECTOR}._domainkey.{world.host}" in result.detail


def test_a_missing_key_is_told_with_its_name(world: World, key: SigningKey) -> None:
    result = check(world, sign(mail_from(world.host), key, world.host))
    assert (result.result, result.detail) == (
        "permerror",
        f"there is no key (TXT) at {SELECTOR}._domainkey.{world.host}; there must be one",
    )


@pytest.mark.parametrize("record", ["v=DKIM1; k=rsa; p=", "v=DKIM1; p= ; t=s"])
def test_a_revoked_key_is_told(world: World, key: SigningKey, record: str) -> None:
    publish(world, record)
    result = check(world, sign(mail_from(world.host), key, world.host))
    assert result.result == "permerror"
    assert "revoked" in result.detail


def test_two_keys_at_one_name_are_told(world: World, key: SigningKey) -> None:
    publish(world, key.record, "v=DKIM1; k=rsa; p=AAAA")
    result = check(world, sign(mail_from(world.host), key, world.host))
    assert result.result == "permerror"
    assert "2 TXT records" in result.detail


@pytest.mark.parametrize("record", ["v=DKIM1; k=rsa; p=AAAA", "nonsense", "v=DKIM2; p=AAAA", "v=DKIM1; k=rsa"])
def test_a_record_that_is_no_key_is_told(world: World, key: SigningKey, record: str) -> None:
    publish(world, record)
    result = check(world, sign(mail_from(world.host), key, world.host))
    assert result.result == "permerror"
    assert record[:20] in result.detail


def test_a_short_key_counts_for_nothing(world: World) -> None:
    key = make_key(768)
    publish(world, key.record)
    result = check(world, sign(mail_from(world.host), key, world.host))
    assert result.result == "policy"
    assert "768" in result.detail


def test_a_valid_signature_of_another_domain_counts_for_nothing(world: World, key: SigningKey) -> None:
    world.hold(f"{SELECTOR}._domainkey.other.{world.host}", "TXT", key.record)
    result = check(world, sign(mail_from(world.host), key, f"other.{world.host}"))
    assert (result.result, result.detail) == ("policy", f"signed by other.{world.host}, not by {world.host}")


@pytest.mark.parametrize("author", ["verify@elsewhere.test", "verify@sub.{host}", "a@{host}, b@{host}", "nobody"])
def test_a_mail_by_another_author_counts_for_nothing(world: World, key: SigningKey, author: str) -> None:
    publish(world, key.record)
    content = mail_from(world.host, author=author.format(host=world.host))
    assert check(world, sign(content, key, world.host)).result == "policy"


def test_a_second_author_counts_for_nothing(world: World, key: SigningKey) -> None:
    publish(world, key.record)
    content = sign(mail_from(world.host), key, world.host)
    assert check(world, b"From: boss@elsewhere.test\r\n" + content).result == "policy"


def test_one_valid_signature_of_several_is_enough(world: World, key: SigningKey) -> None:
    publish(world, key.record)
    once = sign(mail_from(world.host), key, world.host)
    twice = sign(once, make_key(1024), "relay.elsewhere.test")
    assert check(world, twice).result == "pass"


def test_of_many_signatures_only_the_first_are_looked_at(world: World, key: SigningKey) -> None:
    content = sign(mail_from(world.host), key, world.host)
    signature = content[: content.index(b"\r\nFrom:") + 2]
    asked = []

    def resolve(name: str, rdtype: str) -> tuple[str, ...]:
        asked.append((name, rdtype))
        return ()

    assert check_dkim(signature * 100 + content, hostname=world.host, resolve=resolve).result == "permerror"
    assert len(asked) <= 5


def test_nobody_who_knows_the_key_is_no_verdict(world: World, key: SigningKey) -> None:
    away = NameLookup([("127.0.0.1", free_port())], timeout_seconds=0.3)
    content = sign(mail_from(world.host), key, world.host)
    assert check_dkim(content, hostname=world.host, resolve=away.values).result == "temperror"


def test_case_makes_no_difference(world: World, key: SigningKey) -> None:
    publish(world, key.record)
    content = sign(mail_from(world.host.upper()), key, world.host)
    assert check_dkim(content, hostname=world.host.title(), resolve=world.lookup.values).result == "pass"


def test_a_signature_that_leaves_the_author_out_counts_for_nothing(world: World, key: SigningKey) -> None:
    publish(world, key.record)
    content = sign(mail_from(world.host), key, world.host)
    # The library signs no such mail. The signature no longer fits, but that is not what is told.
    without = re.sub(rb"\bh=[^;]*;", b"h=to : subject;", content, count=1)
    result = check(world, without)
    assert (result.result, "does not cover the From header" in result.detail) == ("policy", True)


@pytest.mark.parametrize("tag", ["d=é", "s=é", "i=t", "l=", "b=AAA=AAAA"])
def test_a_signature_that_the_library_stumbles_over_is_malformed(tag: str) -> None:
    tags = {"v": "1", "a": "rsa-sha256", "d": "host.test", "s": "s", "bh": "AAAA", "b": "AAAA", "h": "from"}
    name, _, value = tag.partition("=")
    header = "; ".join(f"{known}={content}" for known, content in (tags | {name: value}).items())
    content = f"DKIM-Signature: {header}\r\nFrom: a@host.test\r\n\r\nbody\r\n".encode()
    record = make_key(1024).record
    result = check_dkim(content, hostname="host.test", resolve=lambda _name, _rdtype: (record,))
    assert result.result in {"permerror", "fail"}


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    header=st.one_of(
        st.binary(max_size=200),
        st.lists(
            st.tuples(st.sampled_from(TAGS), st.text(max_size=12)), max_size=14
        ).map(lambda tags: "; ".join(f"{name}={value}" for name, value in tags).encode()),
        st.fixed_dictionaries({"c": st.text(max_size=9), "h": st.text(max_size=9), "b": st.text(max_size=9)}).map(
            lambda tags: "".join(
                f"{name}={value}; "
                for name, value in {
                    "v": "1", "a": "rsa-sha256", "d": "host.test", "s": "s", "bh": "AAAA", **tags,
                }.items()
            ).encode()
        ),
    ),
    author=st.just(b"") | st.binary(max_size=9),
    record=st.one_of(st.text(max_size=60), st.text(max_size=30).map(lambda text: f"v=DKIM1; k=rsa; p={text}")),
)  # fmt: skip
def test_whatever_a_mail_and_a_record_say_is_a_result(header: bytes, author: bytes, record: str) -> None:
    content = b"DKIM-Signature: " + header + b"\r\nFrom: a@" + author + b"host.test\r\n\r\nbody\r\n"
    result = check_dkim(content, hostname="host.test", resolve=lambda _name, _rdtype: (record,))
    assert result.result in RESULTS - {"pass"}
    assert len(result.detail) < 400
    assert result.detail.isprintable()
