"""The simulated Hostwind's memory: instances, their changes, prices and reverse DNS in one SQLite file.

What is returned from a method here has reached the disk, so that a kill -9 loses no acknowledged instance. An
instance's status is never stored: it follows from the stored moments and `now`. No HTTP and no faults stand here.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import IPv4Address
from pathlib import Path
from typing import Self

from penguin_infra.lab.hostwind_addresses import AddressPool, LoopbackRange, NoAddressLeft, address_of
from penguin_infra.lab.hostwind_instance import ID_PREFIX, AddressChange, PlanChange, SimulatedInstance
from penguin_infra.lab.hostwind_past import take_past
from penguin_infra.lab.hostwind_prices import PRICE_TABLES, PriceBook
from penguin_infra.lab.hostwind_reverse_names import REVERSE_NAME_TABLES, ReverseNames, WantedName
from penguin_infra.lab.past import Past

_TABLES = """
CREATE TABLE IF NOT EXISTS instances (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    label TEXT NOT NULL, region TEXT NOT NULL, image TEXT NOT NULL, ssh_keys TEXT NOT NULL,
    created_at TEXT NOT NULL, ready_at TEXT, deleted_at TEXT,
    address_number INTEGER,
    idempotency_key TEXT UNIQUE, request TEXT NOT NULL,
    reboot_count INTEGER NOT NULL DEFAULT 0
);
CREATE UNIQUE INDEX IF NOT EXISTS one_live_holder ON instances (address_number) WHERE deleted_at IS NULL;
CREATE TABLE IF NOT EXISTS plan_changes (
    number INTEGER NOT NULL REFERENCES instances, plan TEXT NOT NULL, from_at TEXT NOT NULL,
    PRIMARY KEY (number, from_at)
);
CREATE TABLE IF NOT EXISTS address_changes (
    number INTEGER NOT NULL REFERENCES instances, count INTEGER NOT NULL, from_at TEXT NOT NULL,
    PRIMARY KEY (number, from_at)
);
CREATE TABLE IF NOT EXISTS rdns (
    number INTEGER NOT NULL REFERENCES instances, ip TEXT NOT NULL, hostname TEXT NOT NULL, PRIMARY KEY (number, ip)
);
"""

_MOST_DIGITS = 18  # what SQLite's integers hold


class HostwindState:
    """The file and its few questions; for one thread."""

    def __init__(self, directory: Path, addresses: AddressPool | None = None) -> None:
        """By default addresses are loopback ones."""
        directory.mkdir(parents=True, exist_ok=True)
        self._addresses = addresses or LoopbackRange()
        self._database = sqlite3.connect(directory / "hostwind.sqlite3")
        self._database.row_factory = sqlite3.Row
        # FULL: a commit waits for the disk, in WAL mode too.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_TABLES + PRICE_TABLES + REVERSE_NAME_TABLES)
        self.prices = PriceBook(self._database)
        self.reverse_names = ReverseNames(self._database)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def create(
        self,
        *,
        label: str,
        region: str,
        plan: str,
        image: str,
        ssh_keys: Sequence[str],
        idempotency_key: str | None,
        request: str,
        now: datetime,
        ready_at: datetime | None,
    ) -> SimulatedInstance:
        """Create an instance; the address is held for it from now on, and shown once it has booted.

        Errors: `NoAddressLeft`, unless this provider lets instances wait for an address, for ever.
        """
        with self._database as database:
            address_number = None if ready_at is None else self._free_address_number()
            ready_at = None if address_number is None else ready_at
            number = database.execute(
                "INSERT INTO instances (label, region, image, ssh_keys, created_at, ready_at, address_number,"
                " idempotency_key, request) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING number",
                (
                    label,
                    region,
                    image,
                    json.dumps(list(ssh_keys)),
                    now.isoformat(),
                    ready_at.isoformat() if ready_at else None,
                    address_number,
                    idempotency_key,
                    request,
                ),
            ).fetchone()["number"]
            database.execute("INSERT INTO plan_changes VALUES (?, ?, ?)", (number, plan, now.isoformat()))
        return self._select("SELECT number FROM instances WHERE number = ?", number)[0]

    def created_with(self, idempotency_key: str) -> SimulatedInstance | None:
        """The instance that this key created, deleted or not."""
        found = self._select("SELECT number FROM instances WHERE idempotency_key = ?", idempotency_key)
        return next(iter(found), None)

    def live_instance(self, provider_id: str) -> SimulatedInstance | None:
        """The instance of this id, unless it was deleted."""
        digits = provider_id.removeprefix(ID_PREFIX)
        if not digits.isdecimal() or len(digits) > _MOST_DIGITS:
            return None
        found = self._select("SELECT number FROM instances WHERE number = ? AND deleted_at IS NULL", int(digits))
        return next((instance for instance in found if instance.provider_id == provider_id), None)

    def live_instances(self, *, limit: int, offset: int) -> list[SimulatedInstance]:
        """Some of those that were not deleted, oldest first."""
        return self._select(
            "SELECT number FROM instances WHERE deleted_at IS NULL ORDER BY number LIMIT ? OFFSET ?", limit, offset
        )

    def all_instances(self) -> list[SimulatedInstance]:
        """All that ever were, oldest first."""
        return self._select("SELECT number FROM instances")

    def resize(self, instance: SimulatedInstance, *, plan: str, done_at: datetime) -> None:
        """Give the instance another plan from `done_at` on."""
        with self._database as database:
            database.execute("INSERT INTO plan_changes VALUES (?, ?, ?)", (instance.number, plan, done_at.isoformat()))

    def change_addresses(self, instance: SimulatedInstance, *, count: int, now: datetime) -> None:
        """Give the instance so many addresses beyond its first."""
        with self._database as database:
            database.execute(
                "INSERT OR REPLACE INTO address_changes VALUES (?, ?, ?)", (instance.number, count, now.isoformat())
            )

    def reboot(self, instance: SimulatedInstance) -> None:
        """Count a reboot."""
        with self._database as database:
            database.execute(
                "UPDATE instances SET reboot_count = reboot_count + 1 WHERE number = ?", (instance.number,)
            )

    def delete(self, instance: SimulatedInstance, *, now: datetime) -> None:
        """End the instance; its address is free again, and loses its name."""
        with self._database as database:
            database.execute("UPDATE instances SET deleted_at = ? WHERE number = ?", (now.isoformat(), instance.number))
            for ip in self.rdns(instance):
                self.reverse_names.want(WantedName(ip, None), due_at=now)
            database.execute("DELETE FROM rdns WHERE number = ?", (instance.number,))

    def set_rdns(self, instance: SimulatedInstance, *, ip: str, hostname: str, due_at: datetime) -> None:
        """Store the name of an address, to be published at that moment."""
        with self._database as database:
            database.execute("INSERT OR REPLACE INTO rdns VALUES (?, ?, ?)", (instance.number, ip, hostname))
            self.reverse_names.want(WantedName(ip, hostname), due_at=due_at)

    def rdns(self, instance: SimulatedInstance) -> dict[str, str]:
        """The stored names by address."""
        rows = self._database.execute("SELECT ip, hostname FROM rdns WHERE number = ?", (instance.number,))
        return {row["ip"]: row["hostname"] for row in rows}

    def take_past(self, past: Past, labels: Mapping[int, str]) -> None:
        """Keep what was before the first instance; `labels` by the past's numbers. Errors: `PastRefused`."""
        take_past(self._database, past, labels)

    def _select(self, numbers_query: str, *values: object) -> list[SimulatedInstance]:
        numbers = json.dumps([row["number"] for row in self._database.execute(numbers_query, values)])
        changes: dict[int, list[PlanChange]] = {}
        for change in self._database.execute(
            "SELECT * FROM plan_changes WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number, from_at",
            (numbers,),
        ):
            changes.setdefault(change["number"], []).append(
                PlanChange(change["plan"], datetime.fromisoformat(change["from_at"]))
            )
        addresses: dict[int, list[AddressChange]] = {}
        for change in self._database.execute(
            "SELECT * FROM address_changes WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number, from_at",
            (numbers,),
        ):
            addresses.setdefault(change["number"], []).append(
                AddressChange(change["count"], datetime.fromisoformat(change["from_at"]))
            )
        rows = self._database.execute(
            "SELECT * FROM instances WHERE number IN (SELECT value FROM json_each(?)) ORDER BY number", (numbers,)
        )
        return [_instance(row, changes[row["number"]], addresses.get(row["number"], ())) for row in rows]

    def next_address(self) -> IPv4Address | None:
        """The address that the next instance will get; None when none is free."""
        try:
            return address_of(self._addresses.pick(self._database))
        except NoAddressLeft:
            return None

    def _free_address_number(self) -> int | None:
        try:
            return self._addresses.pick(self._database)
        except NoAddressLeft:
            if self._addresses.is_waited_for:
                return None
            raise


def _instance(
    row: sqlite3.Row, plan_changes: Sequence[PlanChange], address_changes: Sequence[AddressChange]
) -> SimulatedInstance:
    number: int | None = row["address_number"]
    return SimulatedInstance(
        number=row["number"],
        label=row["label"],
        region=row["region"],
        image=row["image"],
        ssh_keys=tuple(json.loads(row["ssh_keys"])),
        created_at=datetime.fromisoformat(row["created_at"]),
        ready_at=_moment(row["ready_at"]),
        deleted_at=_moment(row["deleted_at"]),
        address=None if number is None else address_of(number),
        request=row["request"],
        reboot_count=row["reboot_count"],
        plan_changes=tuple(plan_changes),
        address_changes=tuple(address_changes),
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
