package com.deskbridge.client;

/**
 * Adds to a subscription what is not part of the request: {@code SubscribeOptions.NONE.withCursorStore(store)}.
 *
 * @param cursorStore where the subscription resumes, kept up to date; a cursor in it goes before the request's start;
 *     may be null
 * @param hooks what is told of what happens around the events; may be null
 */
public record SubscribeOptions(CursorStore cursorStore, Hooks hooks) {
  /** Neither a store nor hooks. */
  public static final SubscribeOptions NONE = new SubscribeOptions(null, null);

  public SubscribeOptions withCursorStore(CursorStore cursorStore) {
    return new SubscribeOptions(cursorStore, hooks);
  }

  public SubscribeOptions withHooks(Hooks hooks) {
    return new SubscribeOptions(cursorStore, hooks);
  }
}
