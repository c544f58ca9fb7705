import com.deskbridge.client.Client;
import com.deskbridge.client.Hooks;
import com.deskbridge.client.SessionEventListener;
import com.deskbridge.client.SubscribeOptions;
import com.deskbridge.client.Subscription;
import com.deskbridge.v1.CaughtUp;
import com.deskbridge.v1.EventFilter;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.SessionEventType;
import com.deskbridge.v1.SubscribeRequest;
import com.deskbridge.v1.SubscriptionOpened;
import com.google.protobuf.Timestamp;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/**
 * Prints a line when a user has been queueing for an agent for longer than some seconds.
 *
 * <p>Run it with {@code java -cp 'client/java/target/classes:client/java/target/dependency/*'
 * examples/java/QueueAlert.java 30}.
 */
class QueueAlert implements SessionEventListener, Hooks {
  /** Who began to queue before this program began to look back is not seen. */
  private static final Duration LOOK_BACK = Duration.ofHours(1);

  private static final List<SessionEventType> TYPES = List.of(
      SessionEventType.SESSION_EVENT_TYPE_TRANSFERRING_TO_HUMAN_WAIT,
      // All others end the queueing.
      SessionEventType.SESSION_EVENT_TYPE_TRANSFER_TO_HUMAN_SUCCESS,
      SessionEventType.SESSION_EVENT_TYPE_NO_AGENT_ONLINE,
      SessionEventType.SESSION_EVENT_TYPE_SESSION_USER_END,
      SessionEventType.SESSION_EVENT_TYPE_SESSION_AGENT_END,
      SessionEventType.SESSION_EVENT_TYPE_SESSION_USER_TIMEOUT_END,
      SessionEventType.SESSION_EVENT_TYPE_SESSION_AGENT_TIMEOUT_END,
      SessionEventType.SESSION_EVENT_TYPE_SESSION_PENDING_AUTO_FINISH_END,
      SessionEventType.SESSION_EVENT_TYPE_SESSION_END);

  /** The event with which each session that is queueing began to, until it was alerted of. */
  private final Map<String, SessionEvent> queueing = new ConcurrentHashMap<>();

  private final Duration limit;
  /** While events of the past come, who seems to queue may have been answered long ago. */
  private volatile boolean caughtUp;

  private volatile boolean ended;

  private QueueAlert(Duration limit) {
    this.limit = limit;
  }

  public static void main(String[] args) throws InterruptedException {
    QueueAlert alert = new QueueAlert(Duration.ofSeconds(Long.parseLong(args[0])));
    String address = System.getenv().getOrDefault("DESKBRIDGE_ADDR", "127.0.0.1:9090");
    SubscribeRequest request = SubscribeRequest.newBuilder()
        .setFilter(EventFilter.newBuilder().addAllTypes(TYPES))
        .setAtTime(Timestamp.newBuilder().setSeconds(Instant.now().minus(LOOK_BACK).getEpochSecond()))
        .build();
    try (Client bridge = Client.builder(address).build();
        Subscription events = bridge.subscribe(request, SubscribeOptions.NONE.withHooks(alert), alert)) {
      while (!alert.ended) {
        alert.look();
        Thread.sleep(200);
      }
    }
  }

  @Override
  public void onEvent(SessionEvent event) {
    if (event.getType() == SessionEventType.SESSION_EVENT_TYPE_TRANSFERRING_TO_HUMAN_WAIT) {
      queueing.putIfAbsent(event.getSessionId(), event);
    } else {
      queueing.remove(event.getSessionId());
    }
  }

  @Override
  public void onEnd(Throwable cause) {
    System.err.println("no more events: " + cause);
    ended = true;
  }

  @Override
  public void onConnected(SubscriptionOpened opened) {
    caughtUp = false;
  }

  @Override
  public void onCaughtUp(CaughtUp head) {
    caughtUp = true;
  }

  private void look() {
    if (!caughtUp) {
      return;
    }
    queueing.values().removeIf(event -> {
      Duration queued = Duration.between(receiveTime(event), Instant.now());
      if (queued.compareTo(limit) <= 0) {
        return false;
      }
      System.out.println("ALERT: user " + event.getClientUserId() + " of session " + event.getSessionId()
          + " has been queueing for " + queued.toSeconds() + " s");
      return true;
    });
  }

  private static Instant receiveTime(SessionEvent event) {
    return Instant.ofEpochSecond(event.getReceiveTime().getSeconds(), event.getReceiveTime().getNanos());
  }
}
