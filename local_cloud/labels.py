"""What labels of resources may be: one law for the APIs that state no other.

Source: https://cloud.google.com/resource-manager/docs/labels-overview#requirements.
"""

import re
from collections.abc import Mapping

from local_cloud.errors import invalid

MOST = 64
_KEY = re.compile(r"[a-z\u00df-\uffff][a-z0-9_\-\u00df-\uffff]{0,62}")
_VALUE = re.compile(r"[a-z0-9_\-\u00df-\uffff]{0,63}")


def check_labels(labels: Mapping[str, str]) -> None:
    """Refuses keys and values that Google refuses."""
    if len(labels) > MOST:
        raise invalid(f"A resource may have at most {MOST} labels.")
    for key, value in labels.items():
        if not _KEY.fullmatch(key) or not _VALUE.fullmatch(value):
            raise invalid(f"The label {key}={value} is not valid: lower-case letters, digits, _ and -, at most 63.")
