package com.deskbridge.client;

import static com.deskbridge.client.ScriptedBridge.batch;
import static com.deskbridge.client.ScriptedBridge.caughtUp;
import static com.deskbridge.client.ScriptedBridge.heartbeat;
import static com.deskbridge.client.ScriptedBridge.opened;
import static com.deskbridge.client.ScriptedBridge.plays;
import static com.deskbridge.client.ScriptedBridge.stalls;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SubscribeRequest;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CancellationException;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;

@Timeout(60)
class CursorStoreTest {
  /** Remembers what it was asked to save, and can fail. */
  private static final class RecordingStore implements CursorStore {
    final List<String> saved = new ArrayList<>();
    IOException loadFailure;
    IOException saveFailure;

    @Override
    public Optional<String> load() throws IOException {
      if (loadFailure != null) {
        throw loadFailure;
      }
      return saved.isEmpty() ? Optional.empty() : Optional.of(saved.get(saved.size() - 1));
    }

    @Override
    public void save(String cursor) throws IOException {
      if (saveFailure != null) {
        throw saveFailure;
      }
      assertTrue(!Thread.currentThread().isInterrupted(), "saved in an interrupted thread");
      saved.add(cursor);
    }
  }

  private final RecordingStore store = new RecordingStore();
  private final SubscribeOptions options = SubscribeOptions.NONE.withCursorStore(store);

  @Test
  void isSavedAtOnceBehindWhatIsNotEvents() throws Exception {
    try (var bridge = new ScriptedBridge(
            plays(opened(0, 9), batch(1, 2), heartbeat(5, 9), heartbeat(5, 9), batch(7), batch(8),
                caughtUp(9)));
        Client client = bridge.client()) {
      new Recorder().collect(client, Recorder.ALL, options);
    }
    assertEquals(List.of("e1:0", "e1:5", "e1:9"), store.saved);
  }

  @Test
  void isSavedBehindEventsOnceASecond() throws Exception {
    try (var bridge = new ScriptedBridge(plays(opened(0, 4), batch(1), batch(2), batch(3), batch(4), caughtUp(4)));
        Client client = bridge.client();
        Subscription events = client.subscribe(Recorder.ALL, options)) {
      for (SessionEvent event : events) {
        Thread.sleep(event.getPosition() == 2 ? Progress.SAVE_INTERVAL.toMillis() + 10 : 0);
      }
    }
    assertEquals(List.of("e1:0", "e1:2", "e1:4"), store.saved);
  }

  @Test
  void isSavedWithinALongBatch() throws Exception {
    try (var bridge = new ScriptedBridge(plays(opened(0, 3), batch(1, 2, 3), caughtUp(3)));
        Client client = bridge.client();
        Subscription events = client.subscribe(Recorder.ALL, options)) {
      for (SessionEvent event : events) {
        if (event.getPosition() == 1) {
          Thread.sleep(Progress.SAVE_INTERVAL.toMillis() + 10);
        }
      }
    }
    assertEquals(List.of("e1:0", "e1:1", "e1:3"), store.saved);
  }

  /** The event that the loop was left with may not have been dealt with: it must come again. */
  @Test
  void staysBeforeTheEventThatTheLoopWasLeftWith() throws Exception {
    try (var bridge = new ScriptedBridge(
            stalls(opened(0, 3), heartbeat(1, 9), batch(2, 3, 4)),
            plays(opened(2, 9), batch(3, 4), caughtUp(9)));
        Client client = bridge.client()) {
      try (Subscription events = client.subscribe(SubscribeRequest.getDefaultInstance(), options)) {
        for (SessionEvent event : events) {
          if (event.getPosition() == 3) {
            break;
          }
        }
      }
      Recorder again = new Recorder();
      again.collect(client, Recorder.ALL, options);
      assertEquals(List.of(3L, 4L), again.positions);
      assertEquals(List.of("", "e1:2"), bridge.starts());
    }
  }

  @Test
  void ofAFilteredStreamIsNotTakenBack() throws Exception {
    try (var bridge = new ScriptedBridge(stalls(opened(0, 90), heartbeat(70, 90), batch(80)));
        Client client = bridge.client();
        Subscription events = client.subscribe(Recorder.ALL, options)) {
      assertEquals(80, events.iterator().next().getPosition());
    }
    assertEquals(List.of("e1:0", "e1:70"), store.saved);
  }

  @Test
  void isSavedThoughTheThreadWasInterrupted() throws Exception {
    try (var bridge = new ScriptedBridge(stalls(opened(0, 3), batch(1, 2, 3)));
        Client client = bridge.client();
        Subscription events = client.subscribe(Recorder.ALL, options)) {
      assertThrows(CancellationException.class, () -> {
        for (SessionEvent event : events) {
          if (event.getPosition() == 2) {
            Thread.currentThread().interrupt();
          }
        }
      });
      assertTrue(Thread.interrupted());
    }
    assertEquals(List.of("e1:0", "e1:2"), store.saved);
  }

  @Test
  void thatCannotBeLoadedEndsTheSubscription() throws Exception {
    store.loadFailure = new IOException("disk on fire");
    try (var bridge = new ScriptedBridge(stalls(opened(0, 1), batch(1))); Client client = bridge.client()) {
      var end = assertThrows(
          UncheckedIOException.class, () -> new Recorder().collect(client, Recorder.ALL, options));
      assertSame(store.loadFailure, end.getCause());
      assertEquals(0, bridge.requests.size());
    }
  }

  @Test
  void thatCannotBeSavedEndsTheSubscription() throws Exception {
    store.saveFailure = new IOException("disk on fire");
    try (var bridge = new ScriptedBridge(stalls(opened(0, 1), batch(1))); Client client = bridge.client()) {
      var end = assertThrows(
          UncheckedIOException.class, () -> new Recorder().collect(client, Recorder.ALL, options));
      assertSame(store.saveFailure, end.getCause());
    }
  }

  @Test
  void thatCannotBeSavedAtLastFailsTheClose() throws Exception {
    try (var bridge = new ScriptedBridge(stalls(opened(0, 2), batch(1, 2))); Client client = bridge.client()) {
      Subscription events = client.subscribe(Recorder.ALL, options);
      var iterator = events.iterator();
      iterator.next();
      iterator.next();
      store.saveFailure = new IOException("disk on fire");
      assertThrows(UncheckedIOException.class, client::close);
      client.close();
    }
  }

  @Test
  void inAFile(@TempDir Path directory) throws Exception {
    Path path = directory.resolve("cursor");
    Files.writeString(directory.resolve("cursor.tmp"), "what a kill has left");
    assertEquals(Optional.empty(), new FileCursorStore(path).load());
    for (String cursor : List.of("e1:7", "e1:12345678")) {
      Thread.currentThread().interrupt();
      new FileCursorStore(path).save(cursor);
      assertTrue(Thread.interrupted());
      assertEquals(Optional.of(cursor), new FileCursorStore(path).load());
    }
    try (var files = Files.list(directory)) {
      assertEquals(List.of(path), files.toList());
    }
    Files.writeString(path, "\n");
    assertEquals(Optional.empty(), new FileCursorStore(path).load());
  }

  @Test
  void inAFileThatCannotBe(@TempDir Path directory) throws Exception {
    Path taken = Files.createDirectory(directory.resolve("taken"));
    Files.createFile(taken.resolve("file"));
    assertThrows(IOException.class, () -> new FileCursorStore(directory.resolve("no/cursor")).save("e1:1"));
    assertThrows(IOException.class, () -> new FileCursorStore(taken).load());
    assertThrows(IOException.class, () -> new FileCursorStore(taken).save("e1:1"));
    try (var files = Files.list(directory)) {
      assertEquals(List.of(taken), files.toList());
    }
  }

  @Test
  void isText() {
    assertEquals("e1:18446744073709551615", Cursors.format("e1", -1));
    assertEquals(-1, Cursors.position("e:1:18446744073709551615"));
    assertEquals(0, Cursors.position("e1"));
    assertEquals(0, Cursors.position(""));
  }
}
