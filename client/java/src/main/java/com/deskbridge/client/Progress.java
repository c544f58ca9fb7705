package com.deskbridge.client;

import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SubscriptionOpened;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;

/** Where a subscription stands, and what of it is saved. Not safe for concurrent use. */
final class Progress {
  /**
   * How often a cursor is saved behind events: the store may sync a disk each time, and a busy stream has thousands of
   * batches a second.
   */
  static final Duration SAVE_INTERVAL = Duration.ofSeconds(1);

  /** Null when nothing is to be saved. */
  private final CursorStore store;

  private String epoch = "";
  /** Where to resume: behind all that has been consumed. Empty before anything was. */
  private String cursor = "";
  /** That of the last event consumed, or of the cursor when that is later. Events up to it are repeats. */
  private long position;

  private String saved = "";
  private long savedAt = System.nanoTime() - SAVE_INTERVAL.toNanos();
  /** A store that has failed is left alone. */
  private boolean broken;

  Progress(CursorStore store) {
    this.store = store;
  }

  String cursor() {
    return cursor;
  }

  void open(SubscriptionOpened opened) {
    epoch = opened.getEpoch();
    position = Cursors.max(position, opened.getStartPosition());
  }

  /** Moves to a cursor that the bridge gave. */
  void advance(String given) {
    if (!given.isEmpty()) {
      cursor = given;
      position = Cursors.max(position, Cursors.position(given));
    }
  }

  boolean isRepeat(SessionEvent event) {
    return Long.compareUnsigned(event.getPosition(), position) <= 0;
  }

  void consumed(SessionEvent event) {
    position = event.getPosition();
    cursor = Cursors.format(epoch, position);
  }

  void load() {
    if (store == null) {
      return;
    }
    broken = true;
    try {
      saved = store.load().orElse("");
    } catch (IOException e) {
      throw new UncheckedIOException("cursor store: " + e.getMessage(), e);
    }
    broken = false;
    advance(saved);
  }

  void save() {
    if (store == null || broken || cursor.equals(saved)) {
      return;
    }
    broken = true;
    try {
      store.save(cursor);
    } catch (IOException e) {
      throw new UncheckedIOException("cursor store: " + e.getMessage(), e);
    }
    broken = false;
    saved = cursor;
    savedAt = System.nanoTime();
  }

  /**
   * Saves when the last time is some time ago. All that is not saved was consumed within that time after it, so that a
   * crash repeats no more.
   */
  void saveNowAndThen() {
    if (System.nanoTime() - savedAt >= SAVE_INTERVAL.toNanos()) {
      save();
    }
  }

  /** Saves in a thread that may have been interrupted. */
  void saveFinal() {
    boolean interrupted = Thread.interrupted();
    try {
      save();
    } finally {
      if (interrupted) {
        Thread.currentThread().interrupt();
      }
    }
  }
}
