"""The processes of a local stack: Postgres, the local cloud and the sandbox, kept running by one supervisor.

`specs` says how each is started, `child` keeps one alive, `daemon` keeps them all, `control` is what the command
line uses to start, look at and stop the daemon.
"""

#: The file of a home that its supervisor holds a lock on; it has the supervisor's pid.
LOCK = "supervisor.lock"

#: The rooms whose code the supervised processes run: when it changes, they are started anew by the next `up`.
ROOMS = ("local_cloud", "sandbox", "ops/supervisor")
