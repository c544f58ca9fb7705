package com.deskbridge.client;

/** The text of cursors. */
public final class Cursors {
  private Cursors() {}

  /**
   * Returns the cursor behind an event: epoch is that of {@link Hooks#onConnected}, position the event's, which is
   * unsigned.
   */
  public static String format(String epoch, long position) {
    return epoch + ":" + Long.toUnsignedString(position);
  }

  /** Returns the position in a cursor, 0 when it has none. */
  static long position(String cursor) {
    try {
      return Long.parseUnsignedLong(cursor.substring(cursor.lastIndexOf(':') + 1));
    } catch (NumberFormatException e) {
      return 0;
    }
  }

  static long max(long a, long b) {
    return Long.compareUnsigned(a, b) > 0 ? a : b;
  }
}
