"""The doctor's look at DNS: whether each resolver answers and recurses, and what each enabled list tells it."""

from collections.abc import Iterator

from penguin_infra.cli.findings import Check, Finding, Verdict, explain_faults
from penguin_infra.dnsbl.asking import Asking
from penguin_infra.dnsbl.resolver_look import ResolverLook, look_at_resolver
from penguin_infra.dnsbl.resolvers import Resolver, choose_resolvers
from penguin_infra.dnsbl.sweep import sweep
from penguin_infra.domain.list_health import ListHealth
from penguin_infra.wiring import Wiring

_OWN_RESOLVER = "Run a resolver of your own (deploy/unbound), and name it in PENGUIN_RESOLVERS."


def look_at_dns(fleet: Wiring) -> Iterator[Finding]:
    """Whether each configured resolver answers and recurses, and what each enabled list tells it by itself."""
    works = False
    for resolver in choose_resolvers(fleet.settings.resolvers):
        seen = look_at_resolver(resolver)
        yield _judge(resolver, seen, is_lab=fleet.settings.lab)
        if seen.problem is not None:
            continue
        health = _ask_lists(fleet, resolver)
        if well := [one.zone for one in health if one.is_healthy]:
            works = True
            noun = "list passes its" if len(well) == 1 else "lists pass their"
            yield Finding("lists", str(resolver), Verdict.WELL, f"{len(well)} {noun} test points: {', '.join(well)}")
        yield from explain_faults("lists", health, {one.zone: one for one in fleet.blacklists})
    if not works:
        yield Finding("lists", "", Verdict.BROKEN, "no list works through any resolver: no listing would be noticed")


CHECK = Check("resolvers and the lists", look_at_dns)


def _judge(resolver: Resolver, seen: ResolverLook, *, is_lab: bool) -> Finding:
    verdict, words, remedy = Verdict.WELL, "answers, and recurses", None
    if seen.problem is not None:
        verdict, words, remedy = Verdict.BROKEN, f"{seen.problem}: no list can be asked through it", _OWN_RESOLVER
    elif not seen.is_recursive and is_lab:
        words = "the lab's own server, which holds all its lists"
    elif not seen.is_recursive:
        verdict = Verdict.LOOK
        words = "answers, but does not recurse: it knows its own zones only, or does not serve this machine"
        remedy = f"Let it recurse for this machine (unbound: access-control). {_OWN_RESOLVER}"
    return Finding("resolvers", str(resolver), verdict, words, remedy)


def _ask_lists(fleet: Wiring, resolver: Resolver) -> tuple[ListHealth, ...]:
    # An address that nobody lists is asked about too: a sweep of nothing would ask nothing.
    askings = [Asking(one, [one.unlisted_point]) for one in fleet.blacklists]
    return sweep(askings, [resolver], clock=fleet.clock.now).health
