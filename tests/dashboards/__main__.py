"""`python -m tests.dashboards` writes the tables of docs/alerts.md anew."""

from tests.dashboards.page import PAGE, written

PAGE.write_text(written())
