package com.deskbridge.client;

import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import java.util.function.IntSupplier;

/** Waits by polling. */
final class Await {
  private static final long TIMEOUT_SECONDS = 30;

  private Await() {}

  static void until(BooleanSupplier condition) throws InterruptedException {
    long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(TIMEOUT_SECONDS);
    while (!condition.getAsBoolean()) {
      if (System.nanoTime() > deadline) {
        throw new AssertionError("did not happen in " + TIMEOUT_SECONDS + " s");
      }
      Thread.sleep(5);
    }
  }

  /** Waits until the value has stayed the same for half a second. */
  static void unchanged(IntSupplier value) throws InterruptedException {
    int before;
    do {
      before = value.getAsInt();
      Thread.sleep(500);
    } while (value.getAsInt() != before);
  }
}
