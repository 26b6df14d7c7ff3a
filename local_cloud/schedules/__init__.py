"""Jobs on a schedule, as Cloud Scheduler runs them: when they fire (jobs), what goes out (sending), what is said of it
(told), and what a job may be (rules). The API is apis/scheduler.py, the wall clock engines/cron.py.
"""
