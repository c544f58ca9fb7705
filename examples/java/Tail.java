import com.deskbridge.client.Client;
import com.deskbridge.client.Subscription;
import com.deskbridge.v1.SessionEvent;
import com.deskbridge.v1.StartPosition;
import com.deskbridge.v1.SubscribeRequest;

/**
 * Prints every event there is, and then each as it arrives.
 *
 * <p>Run it with {@code java -cp 'client/java/target/classes:client/java/target/dependency/*' examples/java/Tail.java}.
 */
class Tail {
  public static void main(String[] args) {
    String address = System.getenv().getOrDefault("DESKBRIDGE_ADDR", "127.0.0.1:9090");
    SubscribeRequest request = SubscribeRequest.newBuilder()
        .setStartPosition(StartPosition.START_POSITION_EARLIEST)
        .build();
    try (Client bridge = Client.builder(address).build();
        Subscription events = bridge.subscribe(request)) {
      for (SessionEvent event : events) {
        System.out.println(event.getPosition() + " " + event.getTypeName() + " " + event.getSessionId());
      }
    }
  }
}
