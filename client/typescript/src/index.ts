/**
 * Reads session events from a deskbridge, with the parts that every consumer would otherwise write for itself: a
 * subscription survives cuts, restarts and dead connections without a gap and without a repeat, and ends only with an
 * error that the application has to decide.
 *
 * It adds nothing to the contract, whose messages are exported from here too.
 *
 * @module
 */
export { Code } from "@connectrpc/connect";
export { type CallOptions, Client } from "./client.js";
export type { ClientOptions } from "./connection.js";
export { type Token, tokenFile } from "./credentials.js";
export { type CursorStore, CursorStoreError, formatCursor, MemoryCursorStore } from "./cursor.js";
export { FileCursorStore } from "./cursorfile.js";
export { ClosedError, DeskbridgeError, EndedError, SilentError } from "./error.js";
export * from "./gen/deskbridge/v1/error_pb.js";
export * from "./gen/deskbridge/v1/session_event_pb.js";
export * from "./gen/deskbridge/v1/session_event_service_pb.js";
export type { Hooks } from "./hooks.js";
export type { SubscribeOptions } from "./subscription.js";
