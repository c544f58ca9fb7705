// Prints all events: those in the journal first, then each as it arrives.
import { Client, StartPosition } from "@deskbridge/client";

const bridge = new Client({ address: process.env.DESKBRIDGE_ADDR ?? "127.0.0.1:9090" });
const events = bridge.subscribe({ start: { case: "startPosition", value: StartPosition.EARLIEST } });
for await (const event of events) {
  console.log([event.position, event.typeName, event.sessionId].join(" "));
}
