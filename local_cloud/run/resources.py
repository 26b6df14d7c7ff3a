"""CPU and memory as templates write them, and the combinations that Cloud Run takes.

Pure functions. Sources: https://cloud.google.com/run/docs/configuring/services/cpu, .../memory-limits.
"""

import re

_QUANTITY = re.compile(r"(\d+(?:\.\d+)?)(m|k|M|G|T|Ki|Mi|Gi|Ti)?")
_UNITS = {
    "": 1.0, "m": 0.001, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12,
    "Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40,
}  # fmt: skip
#: CPUs that may be asked for above one.
WHOLE_CPUS = (1.0, 2.0, 4.0, 6.0, 8.0)
#: More memory than the first needs at least the second of CPUs, and that many CPUs at least the third of memory.
_GIB = 2**30
NEEDS_CPU = ((24 * _GIB, 8), (16 * _GIB, 6), (8 * _GIB, 4), (4 * _GIB, 2), (1 * _GIB, 1), (512 * 2**20, 0.5))
NEEDS_MEMORY = ((6, 4 * _GIB), (4, 2 * _GIB))
MAX_MEMORY = 32 * _GIB
MIN_MEMORY = 128 * 2**20


def quantity(text: str) -> float | None:
    """The number that "512Mi", "1000m" or "2" means, None when it is none."""
    match = _QUANTITY.fullmatch(text)
    return float(match[1]) * _UNITS[match[2] or ""] if match else None


def wrong_limits(cpu_text: str, memory_text: str) -> tuple[str, str] | None:
    """The key of a container's limits that Cloud Run refuses, and why; "" stands for what was not said."""
    cpu, memory = quantity(cpu_text or "1"), quantity(memory_text or "512Mi")
    if cpu is None or not (0.08 <= cpu < 1 or cpu in WHOLE_CPUS):
        return "cpu", f"'{cpu_text}' must be 1, 2, 4, 6 or 8 CPUs, or between 0.08 and 1."
    if memory is None or not MIN_MEMORY <= memory <= MAX_MEMORY:
        return "memory", f"'{memory_text}' must be between 128Mi and 32Gi."
    for most, needed in NEEDS_CPU:
        if memory > most and cpu < needed:
            return "cpu", f"{memory_text or '512Mi'} of memory need at least {needed:g} CPU, not {cpu:g}."
    for cpus, least in NEEDS_MEMORY:
        if cpu >= cpus and memory < least:
            return "memory", f"{cpu:g} CPUs need at least {least // _GIB}Gi of memory, not {memory_text or '512Mi'}."
    return None
