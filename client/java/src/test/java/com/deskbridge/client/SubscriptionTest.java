package com.deskbridge.client;

import static com.deskbridge.client.ScriptedBridge.at;
import static com.deskbridge.client.ScriptedBridge.batch;
import static com.deskbridge.client.ScriptedBridge.caughtUp;
import static com.deskbridge.client.ScriptedBridge.draining;
import static com.deskbridge.client.ScriptedBridge.failure;
import static com.deskbridge.client.ScriptedBridge.fails;
import static com.deskbridge.client.ScriptedBridge.fellBehind;
import static com.deskbridge.client.ScriptedBridge.heartbeat;
import static com.deskbridge.client.ScriptedBridge.opened;
import static com.deskbridge.client.ScriptedBridge.plays;
import static com.deskbridge.client.ScriptedBridge.stalls;
import static com.deskbridge.client.ScriptedBridge.unavailable;
import static com.deskbridge.client.ScriptedBridge.unknown;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.params.provider.Arguments.arguments;

import com.deskbridge.client.ScriptedBridge.Script;
import com.deskbridge.v1.ErrorDetail;
import com.deskbridge.v1.ErrorReason;
import com.deskbridge.v1.EventBatch;
import com.deskbridge.v1.EventFilter;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.StartPosition;
import com.deskbridge.v1.SubscribeRequest;
import com.deskbridge.v1.SubscribeResponse;
import com.deskbridge.v1.SubscriptionOpened;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.stub.ServerCallStreamObserver;
import java.time.Duration;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

@Timeout(60)
class SubscriptionTest {
  static Stream<Arguments> resumes() {
    return Stream.of(
        arguments("no trouble", List.of(1L, 2L, 3L, 4L), List.of(""),
            List.of(plays(opened(0, 4), batch(1, 2), batch(3, 4), caughtUp(4)))),
        arguments("cut by the network", List.of(1L, 2L, 3L, 4L), List.of("", "e1:2"),
            List.of(
                fails(unavailable(), opened(0, 4), batch(1, 2)),
                plays(opened(2, 4), batch(3, 4), caughtUp(4)))),
        arguments("ended without an error", List.of(1L, 2L, 3L, 4L), List.of("", "e1:3"),
            List.of(plays(opened(0, 4), batch(1, 2, 3)), plays(opened(3, 4), batch(4), caughtUp(4)))),
        arguments("cut before anything came", List.of(1L, 2L), List.of("", ""),
            List.of(fails(unavailable()), plays(opened(0, 2), batch(1, 2), caughtUp(2)))),
        arguments("cut right after the opening", List.of(1L, 2L), List.of("", "e1:0"),
            List.of(fails(unavailable(), opened(0, 2)), plays(opened(0, 2), batch(1, 2), caughtUp(2)))),
        arguments("repeats", List.of(1L, 2L, 3L, 4L), List.of("", "e1:3"),
            List.of(
                fails(unavailable(), opened(0, 4), batch(1, 2, 3)),
                plays(opened(0, 4), batch(2, 3, 4), batch(4), caughtUp(4)))),
        arguments("a heartbeat's cursor", List.of(1L, 2L, 80L), List.of("", "e1:70"),
            List.of(
                fails(unavailable(), opened(0, 90), batch(1, 2), heartbeat(70, 90)),
                plays(opened(70, 90), batch(80), caughtUp(90)))),
        arguments("a kind newer than the client", List.of(1L, 4L), List.of("", "e1:3"),
            List.of(
                fails(unavailable(), opened(0, 4), batch(1), unknown(3)),
                plays(opened(3, 4), batch(4), caughtUp(4)))),
        arguments("positions with the highest bit", List.of(Long.MAX_VALUE, Long.MIN_VALUE, -1L),
            List.of("", "e1:9223372036854775808"),
            List.of(
                fails(unavailable(), opened(0, -1), batch(Long.MAX_VALUE, Long.MIN_VALUE)),
                plays(opened(0, -1), batch(Long.MIN_VALUE, -1), caughtUp(-1)))));
  }

  @ParameterizedTest(name = "{0}")
  @MethodSource
  void resumes(String name, List<Long> events, List<String> starts, List<Script> scripts) throws Exception {
    Recorder seen = new Recorder();
    try (var bridge = new ScriptedBridge(scripts.toArray(Script[]::new)); Client client = bridge.client()) {
      seen.collect(client);
      assertEquals(events, seen.positions);
      assertEquals(starts, bridge.starts());
    }
  }

  @Test
  void asksForTheSameAgain() throws Exception {
    SubscribeRequest request = Recorder.ALL.toBuilder()
        .setFilter(EventFilter.newBuilder().addTypeNames("Human.*"))
        .setStartPosition(StartPosition.START_POSITION_EARLIEST)
        .build();
    try (var bridge = new ScriptedBridge(
            fails(unavailable(), opened(0, 1), batch(1)), plays(opened(1, 1), caughtUp(1)));
        Client client = bridge.client()) {
      new Recorder().collect(client, request, SubscribeOptions.NONE);
      assertEquals(List.of(request, request.toBuilder().setAfterCursor(at(1)).build()), bridge.requests);
    }
  }

  @Test
  void waitsAsLongAsADrainingBridgeAsks() throws Exception {
    Duration delay = Duration.ofMillis(1234);
    Recorder seen = new Recorder();
    try (var bridge = new ScriptedBridge(
            plays(opened(0, 3), batch(1), draining(1, delay), batch(2)),
            plays(opened(2, 3), batch(3), caughtUp(3)));
        Client client = bridge.client()) {
      long started = System.nanoTime();
      seen.collect(client);
      assertTrue(System.nanoTime() - started >= delay.toNanos());
      assertEquals(List.of(1L, 2L, 3L), seen.positions);
      assertEquals(List.of(delay), seen.delays);
    }
  }

  @Test
  void backsOffAndRecovers() throws Exception {
    Script refuses = fails(unavailable());
    Recorder seen = new Recorder();
    try (var bridge = new ScriptedBridge(
            refuses, refuses, refuses,
            fails(unavailable(), opened(0, 2)), // to be opened is not health yet
            fails(unavailable(), opened(0, 2), batch(1)),
            refuses,
            fails(unavailable(), opened(0, 2), heartbeat(1, 2)),
            plays(opened(1, 2), batch(2), caughtUp(2)));
        Client client = bridge.client()) {
      seen.collect(client);
    }
    List<Integer> ceilings = List.of(100, 200, 400, 800, 100, 200, 100);
    assertEquals(ceilings.size(), seen.delays.size(), seen.delays::toString);
    for (int i = 0; i < ceilings.size(); i++) {
      long delay = seen.delays.get(i).toMillis();
      assertTrue(delay >= ceilings.get(i) / 2 && delay <= ceilings.get(i), "delay " + i + " is " + delay);
    }
  }

  @Test
  void delaysGrowToTenSeconds() {
    Backoff backoff = new Backoff();
    for (int ceiling : List.of(100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000)) {
      long delay = backoff.next().toMillis();
      assertTrue(delay >= ceiling / 2 && delay <= ceiling, delay + " ms of " + ceiling);
    }
  }

  static Stream<Arguments> finalReasons() {
    return Stream.of(
        arguments(Status.Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_REQUEST_INVALID),
        arguments(Status.Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_FILTER_INVALID),
        arguments(Status.Code.INVALID_ARGUMENT, ErrorReason.ERROR_REASON_CURSOR_MALFORMED),
        arguments(Status.Code.OUT_OF_RANGE, ErrorReason.ERROR_REASON_CURSOR_EXPIRED),
        arguments(Status.Code.OUT_OF_RANGE, ErrorReason.ERROR_REASON_CURSOR_IN_FUTURE),
        arguments(Status.Code.FAILED_PRECONDITION, ErrorReason.ERROR_REASON_CURSOR_FOREIGN_EPOCH),
        arguments(Status.Code.UNIMPLEMENTED, ErrorReason.ERROR_REASON_NOT_SERVED),
        arguments(Status.Code.DATA_LOSS, ErrorReason.ERROR_REASON_JOURNAL_DAMAGED),
        arguments(Status.Code.UNAUTHENTICATED, ErrorReason.ERROR_REASON_UNAUTHENTICATED),
        arguments(Status.Code.PERMISSION_DENIED, ErrorReason.ERROR_REASON_PERMISSION_DENIED),
        arguments(Status.Code.NOT_FOUND, ErrorReason.ERROR_REASON_NOT_FOUND),
        arguments(Status.Code.PERMISSION_DENIED, ErrorReason.ERROR_REASON_UNSPECIFIED));
  }

  @ParameterizedTest
  @MethodSource("finalReasons")
  void endsWhereTheApplicationMustDecide(Status.Code code, ErrorReason reason) throws Exception {
    ErrorDetail detail = ErrorDetail.newBuilder()
        .setReason(reason).setField("after_cursor").setEarliestCursor("e1:10").setLatestCursor("e1:20").build();
    Recorder seen = new Recorder();
    try (var bridge = new ScriptedBridge(fails(failure(code, detail), opened(0, 1), batch(1)));
        Client client = bridge.client()) {
      var end = assertThrows(DeskbridgeException.class, () -> seen.collect(client));
      assertEquals(reason, end.reason());
      assertEquals(code, end.code());
      assertEquals("after_cursor", end.field());
      assertEquals("e1:10", end.earliestCursor());
      assertEquals("e1:20", end.latestCursor());
      assertEquals("deskbridge: for people", end.getMessage());
      assertEquals(List.of(1L), seen.positions);
      assertEquals(1, bridge.requests.size());
    }
  }

  static Stream<StatusRuntimeException> temporary() {
    return Stream.of(
        failure(Status.Code.UNAVAILABLE, reason(ErrorReason.ERROR_REASON_DRAINING)),
        failure(Status.Code.UNAVAILABLE, reason(ErrorReason.ERROR_REASON_JOURNAL_UNAVAILABLE)),
        failure(Status.Code.RESOURCE_EXHAUSTED, reason(ErrorReason.ERROR_REASON_LIMIT_EXCEEDED)),
        failure(Status.Code.INTERNAL, reason(ErrorReason.ERROR_REASON_INTERNAL)),
        failure(Status.Code.ABORTED, reason(ErrorReason.ERROR_REASON_SLOW_READER)),
        failure(Status.Code.UNAVAILABLE, ErrorDetail.newBuilder().setReasonValue(4711).build()),
        Status.CANCELLED.withDescription("RST_STREAM").asRuntimeException(),
        Status.UNKNOWN.withDescription("HTTP status code 520").asRuntimeException(),
        Status.DEADLINE_EXCEEDED.withDescription("stream timeout").asRuntimeException());
  }

  private static ErrorDetail reason(ErrorReason reason) {
    return ErrorDetail.newBuilder().setReason(reason).build();
  }

  @ParameterizedTest
  @MethodSource("temporary")
  void mendsWhatIsTemporary(StatusRuntimeException end) throws Exception {
    Recorder seen = new Recorder();
    try (var bridge = new ScriptedBridge(fails(end, opened(0, 1)), plays(opened(0, 1), batch(1), caughtUp(1)));
        Client client = bridge.client()) {
      seen.collect(client);
      assertEquals(List.of(end.getStatus().getCode()), seen.causes.stream().map(DeskbridgeException::code).toList());
      assertEquals(List.of(1L), seen.positions);
    }
  }

  @Test
  void tellsItsHooks() throws Exception {
    Recorder seen = new Recorder();
    try (var bridge = new ScriptedBridge(
            plays(opened(0, 5), heartbeat(2, 9), heartbeat(9, 9), fellBehind(2, 9), caughtUp(9)));
        Client client = bridge.client()) {
      seen.collect(client);
    }
    assertEquals(List.of("connected 5", "heartbeat 7", "heartbeat 0", "fell behind 7", "caught up 9"), seen.told);
  }

  @Test
  void endsWithWhatAHookThrows() throws Exception {
    Hooks broken = new Hooks() {
      @Override
      public void onConnected(SubscriptionOpened opened) {
        throw new IllegalStateException("broken");
      }
    };
    try (var bridge = new ScriptedBridge(stalls(opened(0, 1), batch(1)));
        Client client = bridge.client();
        Subscription events = client.subscribe(Recorder.ALL, SubscribeOptions.NONE.withHooks(broken))) {
      Iterator<SessionEvent> iterator = events.iterator();
      assertThrows(IllegalStateException.class, iterator::hasNext);
      assertTrue(bridge.cancelled.await(30, TimeUnit.SECONDS));
    }
  }

  @Test
  void keepsTheContractOfIterators() throws Exception {
    try (var bridge = new ScriptedBridge(plays(opened(0, 2), batch(1, 2), caughtUp(2)));
        Client client = bridge.client();
        Subscription events = client.subscribe(Recorder.ALL)) {
      Iterator<SessionEvent> iterator = events.iterator();
      assertTrue(iterator.hasNext() && iterator.hasNext());
      assertEquals(1, iterator.next().getPosition());
      assertEquals(2, iterator.next().getPosition());
      assertThrows(NoSuchElementException.class, iterator::next);
      assertThrows(NoSuchElementException.class, iterator::next);
      assertThrows(IllegalStateException.class, events::iterator);
    }
  }

  /** What a loop doesn't take stays with the bridge: far more than fits the buffers in between is not sent. */
  @Test
  void holdsUpTheBridgeWhenItIsSlow() throws Exception {
    var sent = new AtomicInteger();
    int size = 256 * 1024;
    int count = 200;
    Script fillsTheWindow = (request, stream) -> {
      stream.onNext(opened(0, count));
      var call = (ServerCallStreamObserver<SubscribeResponse>) stream;
      Runnable send = () -> {
        while (call.isReady() && sent.get() < count) {
          int position = sent.incrementAndGet();
          var event = ScriptedBridge.event(position).toBuilder().setExtraJson("x".repeat(size));
          call.onNext(batch(position).toBuilder()
              .setEvents(EventBatch.newBuilder().addEvents(event)).build());
        }
        if (sent.get() == count && !call.isCancelled()) {
          call.onNext(caughtUp(count));
        }
      };
      call.setOnReadyHandler(send);
      send.run();
    };
    try (var bridge = new ScriptedBridge(fillsTheWindow);
        Client client = bridge.client();
        Subscription events = client.subscribe(Recorder.ALL)) {
      int seen = 0;
      for (SessionEvent event : events) {
        if (++seen == 1) {
          Await.unchanged(sent::get);
          assertTrue(sent.get() < count / 2, "the bridge could send " + sent);
        }
        assertEquals(seen, event.getPosition());
      }
      assertEquals(count, seen);
    }
  }
}
