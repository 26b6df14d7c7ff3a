"""Laws that need no rule of this folder: the readers of files and the models refuse what breaks them.

The numbers stand with the fields (``rule=`` in ``spec.model.field``) and where a file is read.
"""

from __future__ import annotations

from spec.checks.rule import Law
from spec.errors import OF_ITS_KIND

LAWS = (
    Law(number="SL101", title="A file can be read, and in one way only."),
    Law(number="SL102", title="Every key exists."),
    Law(number="SL103", title="Every required key is there."),
    Law(number=OF_ITS_KIND, title="Every value is of the kind and form that its key takes."),
    Law(number="SL105", title="A thing is declared once, and at its place."),
    Law(number="SL501", title="A queue sends at most 500 tasks a second."),
    Law(number="SL502", title="A queue has at most 5000 requests open."),
    Law(number="SL503", title="A dispatch deadline is between 15 seconds and 30 minutes."),
    Law(number="SL504", title="A queue's retries are such as Cloud Tasks takes."),
    Law(number="SL505", title="A subscription's times and numbers are such as Pub/Sub takes."),
    Law(number="SL507", title="A schedule is one that Cloud Scheduler takes."),
    Law(number="SL701", title="A service's size is one that Cloud Run has."),
    Law(number="SL804", title="A stack pins each secret by the number of its version."),
    Law(number="SL907", title="An image is named by its digest."),
    Law(number="SL908", title="The template of URLs makes a URL."),
)
