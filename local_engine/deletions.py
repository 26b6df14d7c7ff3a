"""What has to go: the order of deletions, and what goes with a resource that is deleted first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from .cloud import Cloud
from .errors import EngineError
from .model import Record
from .resources import registry
from .shapes import replacing
from .state import State
from .values import plain


def delete(cloud: Cloud, record: Record) -> None:
    """Remove one resource from the cloud, if there is anything to remove."""
    if record.custom and not record.retain:
        registry()[record.type].delete(cloud, record.id, plain(dict(record.inputs)))


def dependents(records: Mapping[str, Record], old: Record, already: Collection[str]) -> list[Record]:
    """What must be deleted before ``old``: whatever a change of it would replace, the last dependent first."""
    chosen: dict[str, Record] = {old.urn: old}
    grown = True
    while grown:
        grown = False
        for record in records.values():
            if record.urn in chosen or record.urn in already or not record.custom:
                continue
            if any(
                urn in chosen and _passes_on(record, name)
                for name, urns in record.property_dependencies.items()
                for urn in urns
            ):
                chosen[record.urn] = record
                grown = True
    del chosen[old.urn]
    return [record for wave in waves(chosen.values()) for record in wave]


def _passes_on(record: Record, name: str) -> bool:
    kind = registry().get(record.type)
    return kind is not None and replacing(kind.inputs, name)


def waves(records: Iterable[Record]) -> list[list[Record]]:
    """The records in the order of deletion: nothing before what depends on it; each wave may go at once."""
    left = {(record.urn, record.id): record for record in records}
    found: list[list[Record]] = []
    while left:
        needed = {urn for record in left.values() for urn in _needs(record)}
        wave = [record for record in left.values() if record.urn not in needed]
        if not wave:  # a cycle cannot come from a program; never loop for ever on a damaged state
            wave = list(left.values())
        found.append(wave)
        for record in wave:
            del left[record.urn, record.id]
    return found


def _needs(record: Record) -> set[str]:
    named = {urn for urns in record.property_dependencies.values() for urn in urns}
    return {*record.dependencies, *named, record.parent} - {record.urn}


def sweep(state: State, cloud: Cloud, declared: Collection[str]) -> None:
    """Remove what interrupted creates left of things no longer declared, where it is just what we would have made."""
    for record in list(state.begun.values()):
        if record.urn in declared:
            continue
        kind, inputs = registry()[record.type], plain(dict(record.inputs))
        found = kind.interrupted(cloud, record.id, inputs)
        if found is not None and not kind.drift(cloud, inputs, found[1]):
            kind.delete(cloud, found[0], inputs)
        state.abandon(record.urn)


def run(
    records: Iterable[Record],
    act: Callable[[Record], None],
    failed: Callable[[Record, EngineError], None],
    blocked: Callable[[Record, str], None],
    parallel: int,
) -> None:
    """Delete in order, each wave concurrently; what a failed deletion still needs is left standing."""
    standing: dict[str, str] = {}
    with ThreadPoolExecutor(parallel, thread_name_prefix="delete") as pool:
        for wave in waves(records):
            going = []
            for record in wave:
                if record.urn in standing:
                    blocked(record, f"{standing[record.urn]}, which depends on it, still stands")
                    standing.update(dict.fromkeys(_needs(record), record.name))
                else:
                    going.append((record, pool.submit(act, record)))
            for record, done in going:
                try:
                    done.result()
                except EngineError as error:
                    failed(record, error)
                    standing.update(dict.fromkeys(_needs(record), record.name))
