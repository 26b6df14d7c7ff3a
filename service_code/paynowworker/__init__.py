"""Processes PayNow's events."""
