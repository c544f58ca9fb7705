package com.deskbridge.client;

import java.util.Optional;

/**
 * Keeps the cursor for as long as the program runs: so that a loop that ended can be entered again where it stopped.
 * Safe for concurrent use.
 */
public final class MemoryCursorStore implements CursorStore {
  private volatile String cursor;

  @Override
  public Optional<String> load() {
    return Optional.ofNullable(cursor);
  }

  @Override
  public void save(String cursor) {
    this.cursor = cursor;
  }
}
