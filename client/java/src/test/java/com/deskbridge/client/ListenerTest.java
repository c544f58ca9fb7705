package com.deskbridge.client;

import static com.deskbridge.client.ScriptedBridge.batch;
import static com.deskbridge.client.ScriptedBridge.caughtUp;
import static com.deskbridge.client.ScriptedBridge.failure;
import static com.deskbridge.client.ScriptedBridge.fails;
import static com.deskbridge.client.ScriptedBridge.opened;
import static com.deskbridge.client.ScriptedBridge.plays;
import static com.deskbridge.client.ScriptedBridge.stalls;
import static com.deskbridge.client.ScriptedBridge.unavailable;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.deskbridge.v1.ErrorDetail;
import com.deskbridge.v1.ErrorReason;
import com.deskbridge.v1.SessionEvent;
import io.grpc.Status;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.function.LongConsumer;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class ListenerTest {
  private static final class Listener implements SessionEventListener {
    final List<Long> positions = new CopyOnWriteArrayList<>();
    private final CountDownLatch ended = new CountDownLatch(1);
    private final LongConsumer body;
    private volatile Throwable cause;

    Listener(LongConsumer body) {
      this.body = body;
    }

    Listener() {
      this(position -> {});
    }

    @Override
    public void onEvent(SessionEvent event) {
      positions.add(event.getPosition());
      body.accept(event.getPosition());
    }

    @Override
    public void onEnd(Throwable cause) {
      this.cause = cause;
      ended.countDown();
    }

    Throwable end() throws InterruptedException {
      if (!ended.await(30, TimeUnit.SECONDS)) {
        throw new AssertionError("no end");
      }
      return cause;
    }
  }

  private final MemoryCursorStore store = new MemoryCursorStore();
  private final SubscribeOptions options = SubscribeOptions.NONE.withCursorStore(store);

  @Test
  void isHandedWhatALoopWouldGet() throws Exception {
    Listener listener = new Listener();
    try (var bridge = new ScriptedBridge(
            fails(unavailable(), opened(0, 3), batch(1, 2)), plays(opened(2, 3), batch(3), caughtUp(3)));
        Client client = bridge.client();
        Subscription events = client.subscribe(Recorder.ALL, options, listener)) {
      assertNull(listener.end());
      assertEquals(List.of(1L, 2L, 3L), listener.positions);
      assertThrows(IllegalStateException.class, events::iterator);
    }
    assertEquals("e1:3", store.load().orElseThrow());
  }

  @Test
  void isToldOfAnError() throws Exception {
    var error = ErrorDetail.newBuilder().setReason(ErrorReason.ERROR_REASON_CURSOR_EXPIRED).build();
    Listener listener = new Listener();
    try (var bridge = new ScriptedBridge(fails(failure(Status.Code.OUT_OF_RANGE, error)));
        Client client = bridge.client();
        Subscription events = client.subscribe(Recorder.ALL, options, listener)) {
      var end = assertInstanceOf(DeskbridgeException.class, listener.end());
      assertEquals(ErrorReason.ERROR_REASON_CURSOR_EXPIRED, end.reason());
    }
  }

  @Test
  void hasEndedWhenCloseReturns() throws Exception {
    Listener listener = new Listener();
    try (var bridge = new ScriptedBridge(stalls(opened(0, 1), batch(1))); Client client = bridge.client()) {
      client.subscribe(Recorder.ALL, options, listener);
      Await.until(() -> listener.positions.size() == 1);
      client.close();
      assertInstanceOf(CancellationException.class, listener.cause);
    }
  }

  @Test
  void mayCloseItself() throws Exception {
    var subscription = new CompletableFuture<Subscription>();
    Listener listener = new Listener(position -> subscription.join().close());
    try (var bridge = new ScriptedBridge(stalls(opened(0, 2), batch(1, 2))); Client client = bridge.client()) {
      subscription.complete(client.subscribe(Recorder.ALL, options, listener));
      assertInstanceOf(CancellationException.class, listener.end());
      assertEquals(List.of(1L), listener.positions);
    }
    assertEquals("e1:1", store.load().orElseThrow());
  }

  @Test
  void thatThrowsEndsTheSubscriptionBeforeTheEvent() throws Exception {
    Listener listener = new Listener(position -> {
      if (position == 2) {
        throw new IllegalStateException("no room");
      }
    });
    try (var bridge = new ScriptedBridge(stalls(opened(0, 2), batch(1, 2))); Client client = bridge.client()) {
      client.subscribe(Recorder.ALL, options, listener);
      assertInstanceOf(IllegalStateException.class, listener.end());
      assertEquals("e1:1", store.load().orElseThrow());
      assertTrue(bridge.cancelled.await(30, TimeUnit.SECONDS));
    }
  }
}
