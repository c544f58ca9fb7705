"""When a cursor is saved, and what is in the store then."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

import deskbridge
from conftest import Collect, Serve, batch_request, collect_async
from deskbridge import v1
from scripted import at, batch, caught_up, heartbeat, opened, plays, stalls


class RecordingStore(deskbridge.MemoryCursorStore):
    def __init__(self) -> None:
        super().__init__()
        self.saved: list[str] = []

    def save(self, cursor: str) -> None:
        super().save(cursor)
        self.saved.append(cursor)


def test_is_saved_at_once_behind_what_is_not_events(collect: Collect, serve: Serve) -> None:
    # Behind events it is saved only when the last save is a second ago.
    bridge = serve(plays(opened(0, 9), batch(2), heartbeat(5, 9), heartbeat(5, 9), batch(7), batch(8), caught_up(9)))
    store = RecordingStore()
    collect(bridge.address, store=store)
    assert store.saved == [at(0), at(5), at(9)]


def test_is_saved_behind_events_once_a_second(collect: Collect, serve: Serve) -> None:
    bridge = serve(plays(opened(0, 4), batch(1), batch(2), batch(3), batch(4), caught_up(4)))
    store = RecordingStore()
    collect(bridge.address, store=store, on_event=lambda event: time.sleep(1.1 if event.position == 2 else 0))
    assert store.saved == [at(0), at(2), at(4)]


class ThreadedStore(deskbridge.FileCursorStore):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.threads: set[threading.Thread] = set()

    def save(self, cursor: str) -> None:
        self.threads.add(threading.current_thread())
        super().save(cursor)


def test_in_a_file_is_not_saved_on_the_event_loop(serve: Serve, tmp_path: Path) -> None:
    bridge = serve(plays(opened(0, 9), batch(2), heartbeat(5, 9), caught_up(9)))
    store = ThreadedStore(tmp_path / "cursor")
    collect_async(bridge.address, store=store)
    assert store.load() == at(9)
    assert store.threads
    assert threading.current_thread() not in store.threads


def test_is_saved_within_a_long_batch(collect: Collect, serve: Serve) -> None:
    bridge = serve(plays(opened(0, 3), batch(1, 2, 3), caught_up(3)))
    store = RecordingStore()
    collect(bridge.address, store=store, on_event=lambda _: time.sleep(1.1))
    assert store.saved == [at(0), at(1), at(2), at(3)]


def test_stays_before_the_event_that_the_loop_was_left_with(collect: Collect, serve: Serve) -> None:
    bridge = serve(
        stalls(opened(0, 3), heartbeat(1, 9), batch(2, 3, 4)),
        plays(opened(2, 9), batch(3, 4), caught_up(9)),
    )
    store = deskbridge.MemoryCursorStore()
    seen = collect(bridge.address, store=store, on_event=lambda event: "leave" if event.position == 3 else "")
    assert seen == [2, 3]
    assert collect(bridge.address, store=store) == [3, 4]
    assert bridge.starts == ["", at(2)]


def test_stays_there_too_when_the_loop_raises(collect: Collect, serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 3), batch(1, 2, 3)))
    store = deskbridge.MemoryCursorStore()

    def fail(event: v1.SessionEvent) -> None:
        if event.position == 2:
            raise LookupError("loop")

    with pytest.raises(LookupError, match="loop"):
        collect(bridge.address, store=store, on_event=fail)
    assert store.cursor == at(1)


def test_of_a_filtered_stream_is_not_taken_back(collect: Collect, serve: Serve) -> None:
    bridge = serve(stalls(opened(0, 90), heartbeat(70, 90), batch(80)))
    store = RecordingStore()
    collect(bridge.address, store=store, on_event=lambda _: "leave")
    assert store.saved == [at(0), at(70)]


def test_in_the_store_goes_before_the_start(collect: Collect, serve: Serve) -> None:
    bridge = serve(plays(opened(7, 9), batch(7, 8), caught_up(9)))
    request = batch_request(start_position=v1.START_POSITION_EARLIEST)
    assert collect(bridge.address, request, store=deskbridge.MemoryCursorStore(at(7))) == [8]
    assert bridge.starts == [at(7)]


class BrokenStore(deskbridge.MemoryCursorStore):
    def __init__(self, method: str) -> None:
        super().__init__()
        self.method, self.calls = method, 0

    def load(self) -> str:
        return self._fail("load")

    def save(self, cursor: str) -> None:
        self._fail("save")

    def _fail(self, method: str) -> str:
        if self.method == method:
            self.calls += 1
            raise OSError("disk on fire")
        return ""


@pytest.mark.parametrize("method", ["load", "save"])
def test_store_that_fails_ends_the_subscription(collect: Collect, serve: Serve, method: str) -> None:
    bridge = serve(stalls(opened(0, 1), batch(1)))
    store = BrokenStore(method)
    with pytest.raises(OSError, match="disk on fire"):
        collect(bridge.address, store=store)
    assert store.calls == 1


def test_file_store(tmp_path: Path) -> None:
    path = tmp_path / "cursor"
    store = deskbridge.FileCursorStore(path)
    path.with_name("cursor.tmp").write_text("what a kill has left")
    assert store.load() == ""
    for cursor in [at(7), at(12345678)]:
        store.save(cursor)
        assert deskbridge.FileCursorStore(str(path)).load() == cursor
    assert list(tmp_path.iterdir()) == [path]


def test_file_store_reports_failures(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        deskbridge.FileCursorStore(tmp_path / "no" / "cursor").save(at(1))
    directory = tmp_path / "directory"
    directory.mkdir()
    with pytest.raises(IsADirectoryError):
        deskbridge.FileCursorStore(directory).load()
    with pytest.raises(IsADirectoryError):
        deskbridge.FileCursorStore(directory).save(at(1))
    assert list(tmp_path.iterdir()) == [directory]


def test_format_cursor() -> None:
    assert deskbridge.format_cursor("e1", 2**64 - 1) == "e1:18446744073709551615"
