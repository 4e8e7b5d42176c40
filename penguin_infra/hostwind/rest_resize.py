"""How a resize survives a lost answer: looked for before it is asked for again, since a second one is another order.

HTTP is `rest_transport.py`'s; which call asks and which looks, `rest.py`'s.
"""

import logging
from collections.abc import Callable

from penguin_infra.hostwind.provider import Instance, InstanceNotFound, InstanceStatus, OutcomeUnknown, ProviderError

logger = logging.getLogger(__name__)

RESIZE_ATTEMPTS = 3


def resize_once(provider_id: str, plan: str, *, ask: Callable[[], object], look: Callable[[str], Instance]) -> None:
    """Ask until it is accepted or seen to be under way. Errors: `OutcomeUnknown` where no look could tell, others."""
    lost: OutcomeUnknown | None = None
    for _ in range(RESIZE_ATTEMPTS):
        try:
            ask()
        except InstanceNotFound:
            raise
        except OutcomeUnknown as error:
            lost = error
        except ProviderError as error:
            if lost is None:
                raise
            # What is refused now may be what the lost request has brought about.
            lost = OutcomeUnknown(f"{lost}. Asked again: {error}")
        else:
            return
        if _is_resized(provider_id, plan, look, lost):
            logger.warning("instance %s is resized to %s after a lost answer", provider_id, plan)
            return
    raise OutcomeUnknown(
        f"{lost}. Asked {RESIZE_ATTEMPTS} times for {plan} of {provider_id}, and it shows no sign of it: look at its "
        "plan before asking again"
    )


def _is_resized(provider_id: str, plan: str, look: Callable[[str], Instance], lost: OutcomeUnknown) -> bool:
    try:
        instance = look(provider_id)
    except InstanceNotFound:
        raise
    except ProviderError as error:
        raise OutcomeUnknown(f"{lost}. The look at {provider_id} failed too ({error}): look again later") from None
    return instance.plan == plan or instance.status is InstanceStatus.RESIZING
