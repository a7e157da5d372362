"""Alerts: what needs a person, and what was sent to the webhook."""

from typing import Literal

from ringrift.events.facts.vocabulary import *

AlertSeverity = Literal["critical", "warning"]


class AlertFact(Fact):
    """Base of facts about one alert: its kind, such as `training-failed`, its scope (a config, a
    node, or all), and which of several in that scope, such as a resource."""

    alert: Token
    scope: Token
    item: Text = ""


class AlertRaised(AlertFact, subject="alert.{scope}.raised"):
    """A condition that needs a person has lasted for `lasted_seconds`."""

    severity: AlertSeverity
    text: Text
    lasted_seconds: NonNegative


class AlertCleared(AlertFact, subject="alert.{scope}.cleared"):
    """The condition of a raised alert has ended, `lasted_seconds` after it began."""

    lasted_seconds: NonNegative


class AlertDelivered(AlertFact, subject="webhook.all.alert-delivered"):
    """The receiver at `alerts.webhook` accepted the fact at `position`, which raised or cleared
    the alert, on attempt `tries`."""

    position: Position
    tries: Positive


class AlertDeliveryFailed(AlertFact, subject="webhook.all.alert-delivery-failed"):
    """The receiver did not accept the fact at `position`; there is one dead letter and no further
    attempt (`ringrift dlq retry` asks for it)."""

    position: Position
    tries: Positive
    reason: Text
