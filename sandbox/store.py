"""The sandbox's records on disk.

Owns: the one SQLite file and its tables: what was sent, what was answered, what the exchange owes. Leaves
alone: the chain's state, which sandbox/chain/ keeps beside it. A statement is durable against the death of
the process (WAL); a power cut may take the last moments, which is fine for a sandbox.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS raw_transactions (hash TEXT PRIMARY KEY, raw TEXT NOT NULL, block INTEGER);
CREATE INDEX IF NOT EXISTS raw_by_block ON raw_transactions (block);
CREATE TABLE IF NOT EXISTS blocks (number INTEGER PRIMARY KEY, timestamp INTEGER NOT NULL, hashes TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS alchemy (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, about TEXT NOT NULL, body TEXT NOT NULL, state TEXT NOT NULL,
  attempts INTEGER NOT NULL, due REAL NOT NULL, status INTEGER, answer TEXT);
CREATE INDEX IF NOT EXISTS alchemy_by_state ON alchemy (state);
CREATE INDEX IF NOT EXISTS alchemy_by_kind ON alchemy (kind, about);
CREATE TABLE IF NOT EXISTS rates (
  id TEXT PRIMARY KEY, from_currency TEXT, to_currency TEXT, from_units TEXT, to_units TEXT, valid_until REAL);
CREATE TABLE IF NOT EXISTS exchanges (
  id TEXT PRIMARY KEY, flow TEXT NOT NULL, status TEXT NOT NULL, from_currency TEXT NOT NULL,
  from_network TEXT NOT NULL, to_currency TEXT NOT NULL, to_network TEXT NOT NULL, expected_from TEXT NOT NULL,
  expected_to TEXT NOT NULL, amount_from TEXT, amount_to TEXT, payin_address TEXT NOT NULL UNIQUE,
  payout_address TEXT NOT NULL, extra_id TEXT, refund_address TEXT, refund_extra_id TEXT, user_id TEXT,
  rate_id TEXT, valid_until REAL, created_at REAL NOT NULL, updated_at REAL NOT NULL, deposit_received_at REAL);
CREATE INDEX IF NOT EXISTS exchanges_by_status ON exchanges (status);
CREATE TABLE IF NOT EXISTS deposits (
  hash TEXT PRIMARY KEY, exchange_id TEXT NOT NULL, sender TEXT NOT NULL, units TEXT NOT NULL,
  block INTEGER NOT NULL, at REAL NOT NULL, position INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS deposits_by_exchange ON deposits (exchange_id);
CREATE TABLE IF NOT EXISTS payouts (
  exchange_id TEXT PRIMARY KEY, kind TEXT NOT NULL, currency TEXT NOT NULL, address TEXT NOT NULL,
  units TEXT NOT NULL, nonce INTEGER UNIQUE, raw TEXT, hash TEXT, block INTEGER, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS payouts_by_hash ON payouts (hash);
CREATE TABLE IF NOT EXISTS payments (
  unique_id TEXT PRIMARY KEY, payment_id TEXT NOT NULL UNIQUE, token TEXT NOT NULL, body TEXT NOT NULL,
  signature TEXT NOT NULL, copies INTEGER NOT NULL, attempts INTEGER NOT NULL, sent_at REAL NOT NULL,
  request TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notices (
  unique_id TEXT NOT NULL, copy INTEGER NOT NULL, state TEXT NOT NULL, PRIMARY KEY (unique_id, copy));
CREATE INDEX IF NOT EXISTS notices_by_state ON notices (state);
CREATE TABLE IF NOT EXISTS answers (
  id INTEGER PRIMARY KEY, unique_id TEXT NOT NULL, copy INTEGER NOT NULL, attempt INTEGER NOT NULL,
  status INTEGER, body TEXT NOT NULL, milliseconds REAL NOT NULL, at REAL NOT NULL);
CREATE INDEX IF NOT EXISTS answers_by_payment ON answers (unique_id);
CREATE TABLE IF NOT EXISTS telegram (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, method TEXT NOT NULL, chat_id TEXT, request TEXT NOT NULL,
  ok INTEGER NOT NULL, response TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS paynow (event_id TEXT PRIMARY KEY, body TEXT NOT NULL, acknowledged INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS incidents (
  id INTEGER PRIMARY KEY, at REAL NOT NULL, channel TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS slack (id INTEGER PRIMARY KEY, at REAL NOT NULL, body TEXT NOT NULL);
"""


class Store:
    """A thin hand on the database; every write is its own transaction unless grouped by the caller."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.row_factory = sqlite3.Row
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.executescript(_SCHEMA)

    def run(self, statement: str, *values: Any) -> int:
        """Execute one write; returns the number of rows it touched."""
        return self._db.execute(statement, values).rowcount

    def run_many(self, *statements: tuple[str, Sequence[Any]]) -> None:
        """Execute several writes as one transaction."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            for statement, values in statements:
                self._db.execute(statement, values)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def rows(self, query: str, *values: Any) -> list[dict[str, Any]]:
        """All rows of a query."""
        return [dict(row) for row in self._db.execute(query, values)]

    def row(self, query: str, *values: Any) -> dict[str, Any] | None:
        """The first row of a query."""
        found = self._db.execute(query, values).fetchone()
        return dict(found) if found else None

    def fact(self, name: str) -> str | None:
        """One remembered value."""
        found = self.row("SELECT value FROM facts WHERE name = ?", name)
        return str(found["value"]) if found else None

    def remember(self, name: str, value: str) -> str:
        """Set one remembered value."""
        self.run("INSERT INTO facts VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value)
        return value

    def close(self) -> None:
        """Close the file."""
        self._db.close()
