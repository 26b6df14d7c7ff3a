"""Alerting's law: policies held against series and logs, incidents, notifications. The API is apis/monitoring_*.py."""
