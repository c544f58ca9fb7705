package com.deskbridge.client;

import static com.deskbridge.client.ScriptedBridge.batch;
import static com.deskbridge.client.ScriptedBridge.caughtUp;
import static com.deskbridge.client.ScriptedBridge.fails;
import static com.deskbridge.client.ScriptedBridge.opened;
import static com.deskbridge.client.ScriptedBridge.plays;
import static com.deskbridge.client.ScriptedBridge.stalls;
import static com.deskbridge.client.ScriptedBridge.unavailable;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.deskbridge.v1.ErrorReason;
import com.deskbridge.v1.GetJournalInfoRequest;
import com.deskbridge.v1.ListSessionEventsRequest;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SessionEventServiceGrpc;
import com.deskbridge.v1.SubscribeRequest;
import io.grpc.InsecureServerCredentials;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(120)
class ConnectionTest {
  private static SubscribeRequest heartbeatEvery(Duration interval) {
    return Recorder.ALL.toBuilder()
        .setHeartbeatInterval(com.google.protobuf.Duration.newBuilder().setNanos(interval.getNano()))
        .build();
  }

  @Test
  void leavesAConnectionThatVanished() throws Exception {
    Recorder seen = new Recorder();
    try (var bridge = new ScriptedBridge(
            stalls(opened(0, 2), batch(1)), plays(opened(1, 2), batch(2), caughtUp(2)));
        Wire wire = new Wire(bridge.port());
        Client client = Client.builder(wire.address()).build();
        Subscription events = client.subscribe(
            heartbeatEvery(Duration.ofMillis(500)), SubscribeOptions.NONE.withHooks(seen))) {
      for (SessionEvent event : events) {
        seen.positions.add(event.getPosition());
        if (event.getPosition() == 1) {
          wire.vanish();
        }
      }
      assertEquals(List.of(1L, 2L), seen.positions);
      assertTrue(wire.accepted() >= 2);
    }
    // Once, but for a machine so slow that a good stream seems silent. On the old connection it would be again and
    // again.
    assertTrue(!seen.causes.isEmpty() && seen.causes.size() < 10, seen.causes::toString);
    assertEquals("deskbridge: no heartbeat from the bridge for PT1.5S", seen.causes.get(0).getMessage());
  }

  @Test
  void letsALoopTakeItsTime() throws Exception {
    Recorder seen = new Recorder();
    try (var bridge = new ScriptedBridge(plays(opened(0, 2), batch(1), batch(2), caughtUp(2)));
        Client client = bridge.client();
        Subscription events = client.subscribe(
            heartbeatEvery(Duration.ofMillis(500)), SubscribeOptions.NONE.withHooks(seen))) {
      for (SessionEvent event : events) {
        seen.positions.add(event.getPosition());
        Thread.sleep(event.getPosition() == 1 ? 2000 : 0);
      }
    }
    assertEquals(List.of(1L, 2L), seen.positions);
    assertEquals(List.of(), seen.causes);
  }

  @Test
  void outlivesARestart() throws Exception {
    List<ScriptedBridge> bridges = new ArrayList<>();
    bridges.add(new ScriptedBridge(stalls(opened(0, 2), batch(1))));
    int port = bridges.get(0).port();
    Hooks restart = new Hooks() {
      private int attempts;

      @Override
      public void onReconnecting(DeskbridgeException cause, Duration delay) {
        if (++attempts == 3) { // after the cut, and connections that were refused
          try {
            bridges.add(new ScriptedBridge(
                port, InsecureServerCredentials.create(), plays(opened(1, 2), batch(2), caughtUp(2))));
          } catch (IOException e) {
            throw new UncheckedIOException(e);
          }
        }
      }
    };
    List<Long> positions = new ArrayList<>();
    try (Client client = bridges.get(0).client();
        Subscription events = client.subscribe(Recorder.ALL, SubscribeOptions.NONE.withHooks(restart))) {
      for (SessionEvent event : events) {
        positions.add(event.getPosition());
        if (event.getPosition() == 1) {
          bridges.get(0).close();
        }
      }
      assertEquals(List.of("e1:1"), bridges.get(1).starts());
    } finally {
      bridges.forEach(ScriptedBridge::close);
    }
    assertEquals(List.of(1L, 2L), positions);
  }

  @Test
  void isSharedBySubscriptions() throws Exception {
    try (var bridge = new ScriptedBridge(plays(opened(0, 1), batch(1), caughtUp(1)));
        Wire wire = new Wire(bridge.port());
        Client client = Client.builder(wire.address()).build()) {
      List<Thread> threads = new ArrayList<>();
      List<Long> positions = new CopyOnWriteArrayList<>();
      for (int i = 0; i < 20; i++) {
        Thread thread = new Thread(() -> {
          Recorder seen = new Recorder();
          seen.collect(client);
          positions.addAll(seen.positions);
        });
        threads.add(thread);
        thread.start();
      }
      for (Thread thread : threads) {
        thread.join();
      }
      assertEquals(20, positions.size());
      assertEquals(1, wire.accepted());
    }
  }

  @Test
  void isKeptForOthersByASubscriptionThatWasRefused() throws Exception {
    isKeptForOthers(fails(unavailable()));
  }

  @Test
  void isKeptForOthersByASubscriptionThatWasSilent() throws Exception {
    isKeptForOthers(stalls());
  }

  private static void isKeptForOthers(ScriptedBridge.Script trouble) throws Exception {
    Recorder well = new Recorder();
    try (var bridge = new ScriptedBridge(stalls(opened(0, 1), batch(1)), trouble); Client client = bridge.client()) {
      SessionEventListener ignore = event -> {};
      client.subscribe(SubscribeRequest.getDefaultInstance(), SubscribeOptions.NONE.withHooks(well), ignore);
      Await.until(() -> bridge.requests.size() == 1);
      client.subscribe(heartbeatEvery(Duration.ofMillis(50)), SubscribeOptions.NONE, ignore);
      Await.until(() -> bridge.requests.size() >= 4);
    }
    assertEquals(List.of(), well.causes);
  }

  @Test
  void listsASessionPageByPage() throws Exception {
    try (var bridge = new ScriptedBridge(stalls()); Client client = bridge.client()) {
      var events = client.listSessionEvents(ListSessionEventsRequest.newBuilder().setSessionId("s1").build());
      for (int round = 0; round < 2; round++) {
        List<String> seen = new ArrayList<>();
        events.forEach(event -> seen.add(event.getSessionId() + "/" + event.getPosition()));
        assertEquals(List.of("s1/1", "s1/2", "s1/3"), seen);
      }
    }
  }

  @Test
  void reportsTheErrorsOfCalls() throws Exception {
    try (var bridge = new ScriptedBridge(stalls()); Client client = bridge.client()) {
      var failure = assertThrows(DeskbridgeException.class, client::getJournalInfo);
      assertEquals(ErrorReason.ERROR_REASON_JOURNAL_UNAVAILABLE, failure.reason());
      assertEquals(Status.Code.UNAVAILABLE, failure.code());
    }
  }

  @Test
  void servesGeneratedStubs() throws Exception {
    try (var bridge = new ScriptedBridge(stalls()); Client client = bridge.client()) {
      var stub = SessionEventServiceGrpc.newBlockingStub(client.channel());
      var failure = assertThrows(
          StatusRuntimeException.class, () -> stub.getJournalInfo(GetJournalInfoRequest.getDefaultInstance()));
      assertEquals(ErrorReason.ERROR_REASON_JOURNAL_UNAVAILABLE, DeskbridgeException.of(failure).reason());
    }
  }
}
