package com.deskbridge.client;

import java.time.Duration;
import java.util.concurrent.ThreadLocalRandom;

/**
 * Paces attempts: from {@link #MIN}, doubling, to {@link #MAX}. Each delay is drawn from the upper half of its range,
 * so that clients cut by one restart don't come back as one.
 */
final class Backoff {
  static final Duration MIN = Duration.ofMillis(100);
  static final Duration MAX = Duration.ofSeconds(10);

  private long ceiling; // milliseconds

  Duration next() {
    ceiling = Math.min(Math.max(ceiling * 2, MIN.toMillis()), MAX.toMillis());
    return Duration.ofMillis(ThreadLocalRandom.current().nextLong(ceiling / 2, ceiling + 1));
  }

  void reset() {
    ceiling = 0;
  }
}
