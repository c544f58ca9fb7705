package com.deskbridge.client;

import com.deskbridge.v1.Heartbeat;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SubscribeRequest;
import com.deskbridge.v1.SubscribeResponse;
import java.util.Collections;
import java.util.Iterator;
import java.util.NoSuchElementException;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;

/**
 * The events that a request asks for: each once and in order, across cuts of the connection and restarts of the bridge.
 * Loop over it once, in one thread, and close it there with try-with-resources.
 *
 * <p>An event counts as consumed when the loop comes back for the next one. When the loop is left by break, by return
 * or by an exception, the event it was left with is the first that the same CursorStore delivers again.
 *
 * <p>The loop ends
 *
 * <ul>
 *   <li>normally after the last event that there is, when the request has stop_when_caught_up;
 *   <li>with a {@link DeskbridgeException} where only the application can tell how to go on: a cursor that is expired,
 *       malformed, of another epoch or in the future, an invalid request or filter, missing permission, a damaged
 *       journal, something that is not served;
 *   <li>with a {@link CancellationException} when its thread is interrupted (the interrupt stays set), or when the
 *       subscription or the client is closed;
 *   <li>with an {@link java.io.UncheckedIOException} when the CursorStore fails.
 * </ul>
 *
 * <p>Everything else (connections refused or cut, a bridge that restarts or drains, a stream silent for three heartbeat
 * intervals, a reader that was too slow) is mended within: the client reconnects behind the last event consumed, with
 * growing, jittered delays of at most ten seconds. {@link Hooks} tell.
 *
 * <p>At most a few responses are held in memory, however slow the loop is.
 */
public final class Subscription implements Iterable<SessionEvent>, AutoCloseable {
  private static final long LISTENER_TIMEOUT_MILLIS = TimeUnit.SECONDS.toMillis(5);

  private final Client client;
  private final SubscribeRequest request;
  private final Hooks hooks;
  private final Progress progress;
  private final Streams streams;

  private boolean iterated;
  private boolean started;
  /** The response that is being worked on, and those of its events that are left. */
  private SubscribeResponse response = SubscribeResponse.getDefaultInstance();

  private Iterator<SessionEvent> batch = Collections.emptyIterator();
  /** The event to hand out next. */
  private SessionEvent ready;
  /** The event that the loop body has. */
  private SessionEvent handed;

  private boolean ended;
  /** Why it ended; null after the last event that there is. */
  private RuntimeException failure;

  private volatile Thread listening;

  Subscription(Client client, SubscribeRequest request, SubscribeOptions options) {
    this.client = client;
    this.request = request;
    hooks = options.hooks() != null ? options.hooks() : new Hooks() {};
    progress = new Progress(options.cursorStore());
    streams = new Streams(
        client.connection(), hooks, Streams.duration(request.getHeartbeatInterval()), this::nextRequest);
  }

  /**
   * Returns the events, once.
   *
   * @throws IllegalStateException when it was called before
   */
  @Override
  public synchronized Iterator<SessionEvent> iterator() {
    if (iterated) {
      throw new IllegalStateException("a subscription can be iterated once");
    }
    iterated = true;
    return new Events();
  }

  /**
   * Ends the subscription and saves the cursor behind what was consumed. Called by another thread than the one that
   * loops, it ends that loop as soon as its body comes back; it waits for a listener, but not for a loop body.
   *
   * @throws java.io.UncheckedIOException when the CursorStore fails
   */
  @Override
  public void close() {
    streams.close();
    try {
      end();
    } finally {
      awaitListener();
    }
  }

  void listen(SessionEventListener listener) {
    String name = "deskbridge-subscription-" + request.getName();
    listening = new Thread(() -> run(listener), name);
    listening.setDaemon(false); // whatever the thread is that subscribes
    listening.start();
  }

  private void run(SessionEventListener listener) {
    Throwable cause = null;
    try (this) {
      for (SessionEvent event : this) {
        listener.onEvent(event);
      }
    } catch (Throwable e) {
      cause = e;
    }
    listener.onEnd(cause);
  }

  private void awaitListener() {
    if (listening == null || listening == Thread.currentThread()) {
      return;
    }
    try {
      listening.join(LISTENER_TIMEOUT_MILLIS);
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }

  private synchronized void end() {
    if (!ended) {
      stop(Streams.closedException());
      progress.saveFinal();
    }
  }

  private void stop(RuntimeException cause) {
    ended = true;
    failure = cause;
    ready = null;
    streams.close();
    client.remove(this);
  }

  /** The loop wants the next event. Returns false after the last that there is. */
  private synchronized boolean advance() {
    if (ready != null) {
      return true;
    }
    try {
      consumeHanded();
      if (!ended) {
        ready = nextEvent();
      }
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
      stop(new CancellationException("interrupted"));
    } catch (RuntimeException e) {
      stop(e);
    }
    if (ready == null) {
      finish();
    }
    return ready != null;
  }

  private synchronized SessionEvent take() {
    if (!advance()) {
      throw new NoSuchElementException();
    }
    handed = ready;
    ready = null;
    return handed;
  }

  private void consumeHanded() {
    if (handed != null) {
      progress.consumed(handed);
      handed = null;
      progress.saveNowAndThen();
    }
  }

  /** Saves what was consumed last, and fails if there is a failure. */
  private void finish() {
    if (!ended) {
      stop(null);
    }
    try {
      progress.saveFinal();
    } catch (RuntimeException e) {
      failure = joined(failure, e);
    }
    if (failure != null) {
      throw failure;
    }
  }

  private static RuntimeException joined(RuntimeException first, RuntimeException second) {
    if (first == null) {
      return second;
    }
    first.addSuppressed(second);
    return first;
  }

  /** Returns null after the last event that there is. */
  private SessionEvent nextEvent() throws InterruptedException {
    while (true) {
      checkWanted();
      start();
      while (batch.hasNext()) {
        SessionEvent event = batch.next();
        if (!progress.isRepeat(event)) {
          return event;
        }
      }
      progress.advance(response.getCursor());
      if (response.hasCaughtUp() && request.getStopWhenCaughtUp()) {
        return null;
      }
      saveBehind(response);
      begin(streams.next());
    }
  }

  /** At once behind what is not events, and rare: the stream has caught up, or is quiet. */
  private void saveBehind(SubscribeResponse response) {
    if (response.hasEvents()) {
      progress.saveNowAndThen();
    } else {
      progress.save();
    }
  }

  private void checkWanted() throws InterruptedException {
    if (Thread.interrupted()) {
      throw new InterruptedException();
    }
    if (streams.isClosed()) {
      throw Streams.closedException();
    }
  }

  private void start() {
    if (!started) {
      started = true;
      client.add(this);
      progress.load();
    }
  }

  /** Hands on what a response says around the events. */
  private void begin(SubscribeResponse next) {
    response = next;
    batch = response.getEvents().getEventsList().iterator();
    switch (response.getKindCase()) {
      case OPENED -> {
        progress.open(response.getOpened());
        hooks.onConnected(response.getOpened());
      }
      case HEARTBEAT -> hooks.onHeartbeat(response.getHeartbeat(), lag(response.getHeartbeat()));
      case CAUGHT_UP -> hooks.onCaughtUp(response.getCaughtUp());
      case FELL_BEHIND -> hooks.onFellBehind(response.getFellBehind());
      case DRAINING -> hooks.onDraining(response.getDraining());
      default -> {} // events, and what is newer than this client
    }
  }

  private long lag(Heartbeat heartbeat) {
    long position = Cursors.position(response.getCursor());
    return Cursors.max(heartbeat.getHeadPosition(), position) - position;
  }

  private SubscribeRequest nextRequest() {
    String cursor = progress.cursor();
    return cursor.isEmpty() ? request : request.toBuilder().setAfterCursor(cursor).build();
  }

  private final class Events implements Iterator<SessionEvent> {
    @Override
    public boolean hasNext() {
      return advance();
    }

    @Override
    public SessionEvent next() {
      return take();
    }
  }
}
