package com.deskbridge.client;

import com.deskbridge.v1.ListSessionEventsRequest;
import com.deskbridge.v1.ListSessionEventsResponse;
import com.deskbridge.v1.SessionEvent;
import java.util.Collections;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.function.Function;

/** The events of page after page. A page is asked for when the one before is used up. */
final class SessionEventPages implements Iterator<SessionEvent> {
  private final Function<ListSessionEventsRequest, ListSessionEventsResponse> list;
  /** The request for the next page; null after the last. */
  private ListSessionEventsRequest next;

  private Iterator<SessionEvent> page = Collections.emptyIterator();

  SessionEventPages(
      ListSessionEventsRequest request, Function<ListSessionEventsRequest, ListSessionEventsResponse> list) {
    this.next = request;
    this.list = list;
  }

  @Override
  public boolean hasNext() {
    while (!page.hasNext() && next != null) {
      ListSessionEventsResponse response = list.apply(next);
      String token = response.getNextPageToken();
      next = token.isEmpty() ? null : next.toBuilder().setPageToken(token).build();
      page = response.getEventsList().iterator();
    }
    return page.hasNext();
  }

  @Override
  public SessionEvent next() {
    if (!hasNext()) {
      throw new NoSuchElementException();
    }
    return page.next();
  }
}
