import { Code, ConnectError } from "@connectrpc/connect";
import { type ErrorDetail, ErrorDetailSchema, ErrorReason } from "./gen/deskbridge/v1/error_pb.js";

/** A failure that the bridge, or something between, has reported. Decide by `reason`; the message is for people. */
export class DeskbridgeError extends Error {
  override readonly name = "DeskbridgeError";
  /** UNSPECIFIED where the failure is not from the bridge itself (a proxy, the network): see `code`. */
  readonly reason: ErrorReason;
  /** The request field at fault, such as "filter.type_names[2]"; "" when no single one is. */
  readonly field: string;
  /** With latestCursor: where a subscription could start instead. Set with the CURSOR reasons, else "". */
  readonly earliestCursor: string;
  readonly latestCursor: string;
  /** Where a cut stream can be resumed: see the contract. A subscription does so by itself. */
  readonly resumeCursor: string;

  constructor(
    message: string,
    /** The gRPC status code. */
    readonly code: Code,
    detail?: ErrorDetail,
    options?: ErrorOptions,
  ) {
    super(message, options);
    this.reason = detail?.reason ?? ErrorReason.UNSPECIFIED;
    this.field = detail?.field ?? "";
    this.earliestCursor = detail?.earliestCursor ?? "";
    this.latestCursor = detail?.latestCursor ?? "";
    this.resumeCursor = detail?.resumeCursor ?? "";
  }
}

/** The Client was closed while it was in use, or before. */
export class ClosedError extends Error {
  override readonly name = "ClosedError";

  constructor() {
    super("deskbridge client is closed");
  }
}

/** Nothing came for three heartbeat intervals. The connection is dead, or what is behind it is. A cause to reconnect. */
export class SilentError extends Error {
  override readonly name = "SilentError";

  constructor(silenceMs: number) {
    super(`no heartbeat from the bridge for ${silenceMs} ms`);
  }
}

/** The bridge ended the stream without an error. A cause to reconnect. */
export class EndedError extends Error {
  override readonly name = "EndedError";

  constructor() {
    super("stream ended by the bridge");
  }
}

/** Makes a DeskbridgeError of what a call failed with. */
export function asError(error: unknown): DeskbridgeError {
  const failure = ConnectError.from(error);
  const [detail] = failure.findDetails(ErrorDetailSchema);
  return new DeskbridgeError(failure.rawMessage, codeOf(failure), detail, { cause: error });
}

/**
 * Only what the far end has sent carries metadata. Everything else is made up on this side when a connection breaks, with
 * codes that would be final in a bridge's mouth: half a message is INVALID_ARGUMENT.
 */
function codeOf(error: ConnectError): Code {
  const isSent = !error.metadata.keys().next().done;
  return isSent ? error.code : Code.Unavailable;
}

/** Says whether a subscription that ended with the error may go on later without anybody's decision. */
export function isTemporary(error: unknown): error is Error {
  if (error instanceof DeskbridgeError) {
    return temporaryReasons.has(error.reason) || !finalCodes.has(error.code);
  }
  return error instanceof SilentError || error instanceof EndedError;
}

const temporaryReasons: ReadonlySet<ErrorReason> = new Set([
  ErrorReason.SLOW_READER,
  ErrorReason.DRAINING,
  ErrorReason.JOURNAL_UNAVAILABLE,
  ErrorReason.LIMIT_EXCEEDED,
  ErrorReason.INTERNAL,
]);

/**
 * The other reasons of today are final by their codes; one newer than this client has only its code. The list is of what
 * is final, because proxies and gRPC itself report their troubles with all the others: a stream reset by a peer as
 * INTERNAL or CANCELLED, a proxy's timeout as DEADLINE_EXCEEDED, its 502 page as UNAVAILABLE.
 */
const finalCodes: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.NotFound,
  Code.AlreadyExists,
  Code.PermissionDenied,
  Code.FailedPrecondition,
  Code.OutOfRange,
  Code.Unimplemented,
  Code.DataLoss,
  Code.Unauthenticated,
]);
