"""Which of a client's gRPC channels is in use for what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

C = TypeVar("C")


class Channels(Generic[C]):
    """The channel for new calls, and those that it has replaced, each until the last call on it has ended.

    A channel that one call finds dead may serve others well: a proxy may refuse that call alone, or have it wait until
    others on its connection end. So nobody's calls are cut for the trouble of another.
    """

    def __init__(self, dial: Callable[[], C]) -> None:
        self._dial = dial
        self._current: C | None = None
        self._calls: dict[C, int] = {}

    def __iter__(self) -> Iterator[C]:
        return iter(tuple(self._calls))

    def begin(self) -> C:
        """Returns the channel for a call, which must `end` there."""
        if self._current is None:
            self._current = self._dial()
        self._calls[self._current] = self._calls.get(self._current, 0) + 1
        return self._current

    def end(self, channel: C) -> bool:
        """Returns whether the channel has to be closed now."""
        self._calls[channel] -= 1
        if channel is self._current or self._calls[channel] > 0:
            return False
        del self._calls[channel]
        return True

    def retire(self, channel: C) -> None:
        """Has the next call dial anew, unless another has seen to that already."""
        if self._current is channel:
            self._current = None
