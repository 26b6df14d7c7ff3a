"""The entry of PayNow's events."""
