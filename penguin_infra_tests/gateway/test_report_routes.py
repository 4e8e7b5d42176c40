"""Daily reports over the API: to whoever may read, as they are on disk, and no file beside them."""

from datetime import date
from pathlib import Path

import httpx
import pytest

from penguin_infra.analytics.report_files import path_of
from penguin_infra_tests.gateway.conftest import Gateway
from penguin_infra_tests.gateway.test_refusals import refused

REPORTS = "/api/v1/reports"
OLD, NEW = date(2026, 11, 23), date(2026, 11, 24)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The gateway's folder of reports, set before it starts; what stands beside it is nobody's to fetch."""
    made = tmp_path / "reports"
    made.mkdir()
    (tmp_path / "secret.html").write_text("secret")
    monkeypatch.setenv("PENGUIN_REPORT_FOLDER", str(made))
    return made


def add(folder: Path, day: date) -> str:
    page = f"<!DOCTYPE html><p>{day}: Grüße</p>" + "x" * 10_000
    path_of(folder, day).write_text(page)
    return page


def test_the_list_names_the_days_that_are_kept_the_newest_first(folder: Path, gateway: Gateway) -> None:
    key = gateway.key("read")
    assert gateway.get(REPORTS, key).json() == {"reports": []}
    sizes = {day: len(add(folder, day).encode()) for day in (OLD, NEW)}
    (folder / "notes.html").touch()
    assert gateway.get(REPORTS, key).json() == {
        "reports": [{"day": day.isoformat(), "bytes": sizes[day]} for day in (NEW, OLD)]
    }


def test_a_days_report_is_the_page_on_disk_and_latest_the_newest(folder: Path, gateway: Gateway) -> None:
    key = gateway.key("read")
    pages = {day: add(folder, day) for day in (OLD, NEW)}
    assert gateway.get(f"{REPORTS}/{OLD}", key).text == pages[OLD]
    done = gateway.get(f"{REPORTS}/latest", key)
    assert (done.status_code, done.text) == (200, pages[NEW])
    assert done.headers["content-type"] == "text/html; charset=utf-8"


def test_a_page_is_kept_by_no_cache_and_may_ask_for_nothing(folder: Path, gateway: Gateway) -> None:
    add(folder, NEW)
    told = gateway.get(f"{REPORTS}/{NEW}", gateway.key("read")).headers
    assert told["cache-control"] == "private, no-store"
    assert told["x-content-type-options"] == "nosniff"
    allowed = dict(rule.split(" ", 1) for rule in told["content-security-policy"].split("; "))
    assert allowed.pop("style-src") == allowed.pop("script-src") == "'unsafe-inline'"
    assert allowed.pop("img-src") == "data:"
    assert set(allowed.values()) == {"'none'"}
    assert "default-src" in allowed


def test_a_page_is_compressed_for_whoever_takes_it_so(folder: Path, gateway: Gateway) -> None:
    page, key = add(folder, NEW), gateway.key("read")

    def fetch(encoding: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {key}", "Accept-Encoding": encoding}
        return gateway.client.get(f"{REPORTS}/{NEW}", headers=headers)

    small, plain = fetch("gzip, deflate"), fetch("identity")
    assert (small.headers["content-encoding"], small.text) == ("gzip", page)
    assert int(small.headers["content-length"]) < 1_000 < int(plain.headers["content-length"])
    assert ("content-encoding" in plain.headers, plain.text) == (False, page)


@pytest.mark.parametrize("day", ["2026-11-22", "2026-99-99", "latest"])
def test_a_report_that_is_not_kept_is_not_found(folder: Path, gateway: Gateway, day: str) -> None:
    assert "penguin-infra report" in refused(gateway.get(f"{REPORTS}/{day}", gateway.key("read")), 404, "not_found")


@pytest.mark.parametrize("day", [
    "..%2fsecret", "..%2Fsecret.html", "%2e%2e", "2026-11-24.html", "2026-11-24%0a", "LATEST", "2026-1-1", "٢٠٢٦-11-24",
    "fleet-report-2026-11-24", "%00", " 2026-11-24",
])  # fmt: skip
def test_what_is_no_day_reaches_no_file(folder: Path, gateway: Gateway, day: str) -> None:
    add(folder, NEW)
    done = gateway.get(f"{REPORTS}/{day}", gateway.key("read"))
    assert done.status_code in {404, 422}
    assert "secret" not in done.text
    assert "<p>" not in done.text


def test_only_who_may_read_is_told_anything(folder: Path, gateway: Gateway) -> None:
    add(folder, NEW)
    operator = gateway.key("operate")
    for path in (REPORTS, f"{REPORTS}/latest", f"{REPORTS}/{NEW}"):
        refused(gateway.client.get(path), 401, "unauthorized")
        refused(gateway.get(path, "pik_guess"), 401, "unauthorized")
        assert gateway.get(path, operator).status_code == 200
