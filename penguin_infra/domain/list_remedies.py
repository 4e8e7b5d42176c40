"""What each fault of a blacklist means to people, and what they do about it. Finding faults is `dnsbl`'s."""

from collections.abc import Mapping
from dataclasses import dataclass

from penguin_infra.domain.list_health import ListFault


@dataclass(frozen=True, slots=True)
class Remedy:
    """A fault in a person's words: what it means, and what helps."""

    meaning: str
    remedy: str


_WAIT = "It comes back by itself after two passes; leave it out of [blacklists] zones if it stays so."

REMEDIES: Mapping[ListFault, Remedy] = {
    ListFault.SILENT: Remedy(
        "Nobody answers for it: its servers are down, or drop this fleet's questions.",
        f"Look whether others reach it. {_WAIT}",
    ),
    ListFault.REFUSED: Remedy(
        "Its servers, or the resolver, refuse to answer us.",
        f"Look whether it wants registration, and whether the resolver may ask it. {_WAIT}",
    ),
    ListFault.SERVER_ERROR: Remedy("Its servers, or the resolver, are broken.", _WAIT),
    ListFault.PUBLIC_RESOLVER: Remedy(
        "Lists do not serve public resolvers, nor those whose reverse name says nothing of their owner.",
        "Run a resolver of your own that does not forward (deploy/unbound), name it in PENGUIN_RESOLVERS, then see "
        "what penguin-infra doctor says.",
    ),
    ListFault.QUOTA: Remedy(
        "It counts more questions than it allows, maybe others' behind the same resolver too.",
        "Set a smaller number in [blacklists.budgets], ask through a resolver of your own, or get a key.",
    ),
    ListFault.ERROR_CODE: Remedy("It answers with an error code in a listing's place.", _WAIT),
    ListFault.EMPTIED: Remedy(
        "It does not even list its own test point: emptied, retired, or no blacklist any more.",
        f"Look whether its operator has given it up. {_WAIT}",
    ),
    ListFault.WILDCARDED: Remedy(
        "It lists addresses that nobody lists: whatever it is asked, it says yes.",
        f"Nothing it says is believed, and nobody is paused by it. {_WAIT}",
    ),
    ListFault.REWRITTEN: Remedy(
        "Its answers are no list's: the domain lapsed and was parked, or the resolver rewrites answers.",
        f"Ask through a resolver of your own; if the answers stay, the list is gone. {_WAIT}",
    ),
    ListFault.MOSTLY_ERRORS: Remedy("More than half of its answers were errors: it was spared the rest.", _WAIT),
}
