"""One address that is not in service yet, asked of every list that may be asked now: its questions count as any other.

What follows from a screening is the provisioning's (`screen_address.py`).
"""

from ipaddress import IPv4Address

from penguin_infra.dnsbl.asking import Asking
from penguin_infra.operations.pace_lists import plan_screening
from penguin_infra.operations.provision_parts import Screening, screening_of
from penguin_infra.operations.sweep_blacklists import BlacklistSweep
from penguin_infra.store import list_health, list_paces


def screen_lists(work: BlacklistSweep, address: IPv4Address) -> Screening:
    """What the lists say of an address.

    A list that rests, that is refused or that has nothing left of its day is not asked, and not waited for: the sweeps
    ask it when its turn comes.
    """
    reserved_at = work.clock.now()
    with work.engine.begin() as connection:
        reserved = plan_screening(
            connection, work.lists, work.budgets, resolver_count=work.resolver_count, now=reserved_at
        )
        health = list_health.load_health(connection, reserved)
    askings = [Asking(blacklist, [address]) for blacklist in work.lists if blacklist.zone in reserved]
    if not askings:
        return Screening((), ())
    result = work.ask(askings, health, lambda _: None)
    with work.engine.begin() as connection:
        list_paces.settle_questions(
            connection, reserved=reserved, at=reserved_at, sent=result.asked, now=work.clock.now()
        )
    return screening_of(result, list(reserved))
