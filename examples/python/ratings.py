"""Keeps every rating in an SQLite file: python ratings.py <file>.

Each rating is there exactly once, however often this program is killed: the cursor is in the same transaction.
"""

import os
import sqlite3
import sys

import deskbridge
from deskbridge import v1

SCHEMA = """
CREATE TABLE IF NOT EXISTS ratings (position INTEGER PRIMARY KEY, session_id TEXT, rating INTEGER, event_time TEXT);
CREATE TABLE IF NOT EXISTS cursor (id INTEGER PRIMARY KEY CHECK (id = 1), cursor TEXT NOT NULL);
"""


class Ratings:
    """The database, which is the subscription's cursor store as well."""

    def __init__(self, path: str) -> None:
        self.database = sqlite3.connect(path)
        self.database.executescript(SCHEMA)

    def load(self) -> str:
        row = self.database.execute("SELECT cursor FROM cursor").fetchone()
        return str(row[0]) if row else ""

    def save(self, cursor: str) -> None:
        """Called between ratings, when the bridge has passed over other events."""
        with self.database:
            self._move(cursor)

    def add(self, event: v1.SessionEvent, cursor: str) -> None:
        rating = (event.position, event.session_id, event.satisfaction_rating, event.event_time.ToJsonString())
        with self.database:
            self.database.execute("INSERT INTO ratings VALUES (?, ?, ?, ?)", rating)
            self._move(cursor)

    def _move(self, cursor: str) -> None:
        self.database.execute("INSERT OR REPLACE INTO cursor VALUES (1, ?)", (cursor,))


def main() -> None:
    ratings = Ratings(sys.argv[1])
    epoch = ""

    def connected(opened: v1.SubscriptionOpened) -> None:
        nonlocal epoch
        epoch = opened.epoch

    with deskbridge.SyncClient(os.environ.get("DESKBRIDGE_ADDR", "127.0.0.1:9090")) as bridge:
        for event in bridge.subscribe(
            filter=v1.EventFilter(expression="has(event.satisfaction_rating)"),
            start_position=v1.START_POSITION_EARLIEST,
            cursor_store=ratings,
            hooks=deskbridge.Hooks(connected=connected),
        ):
            ratings.add(event, deskbridge.format_cursor(epoch, event.position))


main()
