"""The thresholds of delivery: which rates alert, which pause, on how much mail, and how long such a pause lasts.

Numbers with their sources; the rules that use them are the policies'.
"""

from dataclasses import dataclass
from datetime import timedelta

# A measurement runs every minute; one that is older than ten of them says nothing of now.
FRESH_FOR = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class DeliveryLimits:
    """The thresholds that an operator may change; rates are shares of 1.

    `bounce_alert_rate`: the specification's Medium alert, and where Amazon SES puts a sender under review.
    `bounce_pause_rate`: where Amazon SES pauses sending.
    `complaint_alert_rate`: Amazon SES's review, and what Gmail asks senders to stay below.
    `complaint_pause_rate`: what Gmail asks senders never to reach.
    `policy_rejection_alert_rate`: no provider publishes one; as much as of hard bounces, for 5.7.x is never routine.
    `minimum_attempted`: at 100 messages the alert takes six bounces, and at a true rate of 2 % six come by chance in
    1.5 % of all cases. Also what a pause needs: three bounces of three have a lower bound of 44 %.
    `complaint_minimum_sent`: below 1,000 a single complaint is above the alert's 0.1 % by itself.
    `window_messages`: the last so many count where 24 hours hold fewer; 10,000 tell 0.1 % of complaints from 0.2 %.
    `minimum_pause_hours`: a paused node sends nothing, so time must end the cause: a day, in which lists are cleaned
    and SES's own window has passed.
    """

    bounce_alert_rate: float = 0.05
    bounce_pause_rate: float = 0.10
    complaint_alert_rate: float = 0.001
    complaint_pause_rate: float = 0.003
    policy_rejection_alert_rate: float = 0.05
    minimum_attempted: int = 100
    complaint_minimum_sent: int = 1000
    window_messages: int = 10_000
    minimum_pause_hours: float = 24.0


DEFAULT_LIMITS = DeliveryLimits()
