"""The kit: what every payment service shares. A handler decides, the kit acts; only `worker` knows HTTP.

Services import the kit and never one another. Nothing here knows where it runs: endpoints come from `settings`.
"""
