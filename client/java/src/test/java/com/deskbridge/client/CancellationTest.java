package com.deskbridge.client;

import static com.deskbridge.client.ScriptedBridge.batch;
import static com.deskbridge.client.ScriptedBridge.caughtUp;
import static com.deskbridge.client.ScriptedBridge.draining;
import static com.deskbridge.client.ScriptedBridge.heartbeat;
import static com.deskbridge.client.ScriptedBridge.opened;
import static com.deskbridge.client.ScriptedBridge.plays;
import static com.deskbridge.client.ScriptedBridge.stalls;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.deskbridge.client.ScriptedBridge.Script;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SubscribeRequest;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.CancellationException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@Timeout(60)
class CancellationTest {
  private static final SubscribeRequest ENDLESS = SubscribeRequest.getDefaultInstance();

  /** A loop in a thread of its own. */
  private static final class Loop extends Thread {
    private final Client client;
    private final Subscription events;
    volatile Throwable end;
    volatile boolean interrupted;

    Loop(Client client, CursorStore store) {
      this.client = client;
      events = client.subscribe(ENDLESS, SubscribeOptions.NONE.withCursorStore(store));
      start();
    }

    @Override
    public void run() {
      try {
        for (SessionEvent event : events) {
          assertEquals(1, event.getPosition());
        }
      } catch (Throwable e) {
        end = e;
      }
      interrupted = isInterrupted();
    }
  }

  private interface Canceller {
    void cancel(Loop loop);
  }

  static Stream<Arguments> endsALoop() {
    Canceller close = loop -> loop.events.close();
    Canceller closeClient = loop -> loop.client.close();
    Canceller interrupt = Thread::interrupt;
    Script waits = stalls(opened(0, 1), batch(1), heartbeat(1, 1)); // behind which the cursor is saved
    Script reconnects = plays(opened(0, 1), batch(1), draining(1, Duration.ofHours(1)));
    Script silent = stalls();
    return Stream.of(
        arguments("close, which waits for events", close, waits),
        arguments("close, which waits to reconnect", close, reconnects),
        arguments("close, which waits for the bridge", close, silent),
        arguments("client.close, which waits for events", closeClient, waits),
        arguments("client.close, which waits to reconnect", closeClient, reconnects),
        arguments("client.close, which waits for the bridge", closeClient, silent),
        arguments("interrupt, which waits for events", interrupt, waits),
        arguments("interrupt, which waits to reconnect", interrupt, reconnects),
        arguments("interrupt, which waits for the bridge", interrupt, silent));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource
  void endsALoop(String name, Canceller canceller, Script script) throws Exception {
    MemoryCursorStore store = new MemoryCursorStore();
    try (var bridge = new ScriptedBridge(script); Client client = bridge.client()) {
      Loop loop = new Loop(client, store);
      Await.until(() -> bridge.requests.size() == 1);
      boolean delivers = !name.endsWith("the bridge");
      Await.until(() -> !delivers || store.load().isPresent() && store.load().get().equals("e1:1"));
      canceller.cancel(loop);
      loop.join();
      assertInstanceOf(CancellationException.class, loop.end);
      assertEquals(name.startsWith("interrupt"), loop.interrupted);
      assertTrue(name.endsWith("reconnect") || bridge.cancelled.await(30, TimeUnit.SECONDS));
    }
  }

  @Test
  void aClosedClientSubscribesNoMore() throws Exception {
    try (var bridge = new ScriptedBridge(stalls()); Client client = bridge.client()) {
      client.close();
      client.close();
      assertThrows(CancellationException.class, () -> new Recorder().collect(client));
      assertEquals(0, bridge.requests.size());
    }
  }

  /** The body has dealt with the event: it must not come again. */
  @Test
  void savesTheEventThatABodyComesBackFromAfterClose() throws Exception {
    MemoryCursorStore store = new MemoryCursorStore();
    try (var bridge = new ScriptedBridge(stalls(opened(0, 3), batch(1, 2, 3)));
        Client client = bridge.client();
        Subscription events = client.subscribe(ENDLESS, SubscribeOptions.NONE.withCursorStore(store))) {
      assertThrows(CancellationException.class, () -> {
        for (SessionEvent event : events) {
          if (event.getPosition() == 2) {
            closeElsewhere(events);
            assertEquals("e1:1", store.load().orElseThrow());
          }
        }
      });
    }
    assertEquals("e1:2", store.load().orElseThrow());
  }

  private static void closeElsewhere(Subscription events) {
    Thread closer = new Thread(events::close);
    closer.start();
    assertTimely(closer);
  }

  private static void assertTimely(Thread thread) {
    try {
      thread.join(TimeUnit.SECONDS.toMillis(30));
    } catch (InterruptedException e) {
      throw new AssertionError(e);
    }
    assertFalse(thread.isAlive());
  }

  @Test
  void leavingALoopEndsTheStream() throws Exception {
    try (var bridge = new ScriptedBridge(stalls(opened(0, 3), batch(1, 2, 3))); Client client = bridge.client()) {
      try (Subscription events = client.subscribe(ENDLESS)) {
        for (SessionEvent event : events) {
          assertEquals(1, event.getPosition());
          break;
        }
      }
      assertTrue(bridge.cancelled.await(30, TimeUnit.SECONDS));
    }
  }

  @Test
  void leavesNoThreadThatKeepsTheProgramAlive() throws Exception {
    try (var bridge = new ScriptedBridge(plays(opened(0, 1), batch(1), caughtUp(1)))) {
      List<Thread> before = keepers();
      try (Client client = bridge.client()) {
        new Recorder().collect(client);
        client.subscribe(ENDLESS, SubscribeOptions.NONE, event -> {});
      }
      Await.until(() -> before.containsAll(keepers()));
    }
  }

  private static List<Thread> keepers() {
    return Thread.getAllStackTraces().keySet().stream().filter(thread -> !thread.isDaemon()).toList();
  }
}
