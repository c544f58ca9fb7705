package com.deskbridge.client;

import java.io.IOException;
import java.util.Optional;

/**
 * Keeps one subscription's cursor over restarts of the program. It is called by one thread at a time. A failure of
 * either method ends the subscription.
 *
 * <p>A cursor is saved after the loop has come back from the events before it, so that a crash never skips one. It
 * delivers again what the loop has consumed since the last save: the events of about a second at most. To have each
 * event take effect exactly once, save {@link Cursors#format} of it in the same transaction as its effect, and
 * subscribe with a store that loads it and whose save does nothing.
 */
public interface CursorStore {
  /** Returns the cursor saved last; empty when there is none. */
  Optional<String> load() throws IOException;

  /**
   * Replaces it. It is called at most once a second behind events, at once when the stream has caught up or is quiet,
   * and when the subscription ends.
   */
  void save(String cursor) throws IOException;
}
