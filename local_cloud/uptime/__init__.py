"""Uptime checks that are really made, of hosts of this machine."""
