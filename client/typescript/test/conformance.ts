// The program that the conformance suite drives: one subscription, in lines of JSON. The suite, written in Go, says what
// the lines mean. It must end by itself: what the client leaves behind would keep it alive.
import { once } from "node:events";
import { createInterface, type Interface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { fromJson, type JsonValue, toJson } from "@bufbuild/protobuf";
import { durationMs } from "@bufbuild/protobuf/wkt";
import {
  Client,
  Code,
  DeskbridgeError,
  ErrorReason,
  FileCursorStore,
  type Hooks,
  type SessionEvent,
  SessionEventSchema,
  type SubscribeOptions,
  SubscribeRequestSchema,
} from "../src/index.js";

interface Scenario {
  address: string;
  token: string;
  request: JsonValue;
  beside?: JsonValue;
  cursorFile: string;
  limit: number;
  delayMs: number;
  print: "events" | "positions";
}

function print(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

function printEvent(scenario: Scenario, event: SessionEvent): void {
  print(
    scenario.print === "positions"
      ? { at: [event.position.toString(), event.id] }
      : { event: toJson(SessionEventSchema, event) },
  );
}

/** Names as the contract has them: OutOfRange is OUT_OF_RANGE. */
function codeName(code: Code): string {
  return code === Code.Canceled ? "CANCELLED" : Code[code].replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}

function reasonName(reason: ErrorReason): string {
  return ErrorReason[reason] ?? String(reason);
}

function hooks(): Hooks {
  return {
    connected: ({ epoch, startPosition, headPosition }) =>
      print({ state: "connected", epoch, start: startPosition.toString(), head: headPosition.toString() }),
    caughtUp: ({ headPosition }) => print({ state: "caught_up", head: headPosition.toString() }),
    fellBehind: ({ headPosition, lag }) =>
      print({ state: "fell_behind", head: headPosition.toString(), lag: lag.toString() }),
    draining: ({ reconnectDelay }) =>
      print({ state: "draining", delayMs: reconnectDelay ? durationMs(reconnectDelay) : 0 }),
    reconnecting: (cause, delayMs) => {
      const reason = cause instanceof DeskbridgeError && cause.reason ? reasonName(cause.reason) : "";
      print({ state: "reconnecting", reason, delayMs: Math.round(delayMs) });
    },
    heartbeat: (_, lag) => print({ state: "heartbeat", lag: lag.toString() }),
  };
}

/** Consumes events. Returns how the loop ended, unless it threw. */
async function consume(client: Client, scenario: Scenario, signal: AbortSignal): Promise<"finished" | "left"> {
  const options: SubscribeOptions = { hooks: hooks(), signal };
  if (scenario.cursorFile) {
    options.cursorStore = new FileCursorStore(scenario.cursorFile);
  }
  let count = 0;
  for await (const event of client.subscribe(fromJson(SubscribeRequestSchema, scenario.request), options)) {
    printEvent(scenario, event);
    count++;
    if (count === scenario.limit) {
      return "left";
    }
    if (scenario.delayMs) {
      await setTimeout(scenario.delayMs);
    }
  }
  return "finished";
}

function endOf(error: unknown, signal: AbortSignal): object {
  if (error === signal.reason) {
    return { cause: "cancelled" };
  }
  if (error instanceof DeskbridgeError) {
    const { reason, code, field, earliestCursor, latestCursor, message } = error;
    return {
      cause: "error",
      reason: reasonName(reason),
      code: codeName(code),
      field,
      earliestCursor,
      latestCursor,
      message,
    };
  }
  return { cause: "error", message: String(error) };
}

/** Follows the subscription beside the other, until the client is closed. */
async function ignore(client: Client, request: JsonValue): Promise<void> {
  for await (const _ of client.subscribe(fromJson(SubscribeRequestSchema, request))) {
  }
}

async function run(scenario: Scenario, lines: Interface): Promise<void> {
  const cancel = new AbortController();
  lines.on("line", (line) => line === "cancel" && cancel.abort());
  lines.on("close", () => cancel.abort());
  const client = new Client({ address: scenario.address, ...(scenario.token && { token: scenario.token }) });
  const beside = scenario.beside ? ignore(client, scenario.beside).catch(() => undefined) : undefined;
  try {
    print({ end: { cause: await consume(client, scenario, cancel.signal) } });
  } catch (error) {
    print({ end: endOf(error, cancel.signal) });
  } finally {
    client.close();
    await beside;
  }
}

const lines = createInterface({ input: process.stdin });
const [first] = await once(lines, "line");
await run(JSON.parse(first), lines);
lines.close();
process.stdin.destroy();
