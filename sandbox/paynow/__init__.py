"""PayNow on loopback: events of orders and subscriptions, sent as signed webhooks, again until they are taken."""

from sandbox.paynow.api import PayNowApi

__all__ = ["PayNowApi"]
