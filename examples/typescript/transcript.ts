// Prints a live transcript of one session, from its first event until it ends.
import { Client, type MessageElement, type SessionEvent, SessionEventType, StartPosition } from "@deskbridge/client";

/** Who speaks in an event of the type; other events are printed by their name. */
const speakers = new Map([
  [SessionEventType.CHAT_BOT_USER_SEND_MSG, "user"],
  [SessionEventType.HUMAN_USER_SEND_MSG, "user"],
  [SessionEventType.CHAT_BOT_ROBOT_SEND_MSG, "bot"],
  [SessionEventType.HUMAN_AGENT_SEND_MSG, "agent"],
]);

function textOf({ content, typeName }: MessageElement): string {
  return content.case === "text" ? (content.value.text ?? "") : `[${typeName ?? "?"}]`;
}

function lineOf(event: SessionEvent): string {
  const time = new Date(Number(event.eventTime?.seconds ?? 0n) * 1000).toISOString().slice(11, 19);
  const speaker = speakers.get(event.type);
  const text = (event.message?.elements ?? []).map(textOf).join(" ");
  return speaker ? `${time} ${speaker}: ${text}` : `${time} -- ${event.typeName ?? "?"}`;
}

const [sessionId] = process.argv.slice(2);
if (!sessionId) {
  throw new Error("usage: transcript.js <session id>");
}
const bridge = new Client({ address: process.env.DESKBRIDGE_ADDR ?? "127.0.0.1:9090" });
const interrupt = new AbortController();
process.once("SIGINT", () => interrupt.abort());
try {
  const events = bridge.subscribe(
    { filter: { sessionIds: [sessionId] }, start: { case: "startPosition", value: StartPosition.EARLIEST } },
    { signal: interrupt.signal },
  );
  for await (const event of events) {
    console.log(lineOf(event));
    if (event.type === SessionEventType.SESSION_END) {
      break;
    }
  }
} catch (error) {
  if (!interrupt.signal.aborted) {
    throw error;
  }
} finally {
  bridge.close();
}
