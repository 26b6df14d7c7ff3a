"""The processes of a local stack: Postgres, the local cloud and the sandbox, kept running by one supervisor.

`specs` says how each is started, `child` keeps one alive, `daemon` keeps them all, `control` is what the command
line uses to start, look at and stop the daemon.
"""
