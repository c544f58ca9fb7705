package com.deskbridge.client;

import com.deskbridge.v1.ErrorDetail;
import com.deskbridge.v1.ErrorReason;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;

/**
 * A failure that the bridge, or something between, has reported. Decide by {@link #reason}; the message is for people.
 * The cause is gRPC's own exception.
 */
public final class DeskbridgeException extends RuntimeException {
  private static final long serialVersionUID = 1;

  private final ErrorDetail detail;
  private final Status.Code code;

  private DeskbridgeException(StatusRuntimeException cause) {
    super("deskbridge: " + description(cause.getStatus()), cause);
    detail = detail(cause);
    code = cause.getStatus().getCode();
  }

  /** Returns the failure that gRPC's exception of a generated stub stands for. */
  public static DeskbridgeException of(StatusRuntimeException cause) {
    return new DeskbridgeException(cause);
  }

  /** UNSPECIFIED where the failure is not from the bridge itself (a proxy, the network): see its code. */
  public ErrorReason reason() {
    return detail.getReason();
  }

  /** The gRPC status code: it groups reasons. */
  public Status.Code code() {
    return code;
  }

  /** The request field at fault, such as "filter.type_names[2]"; empty when no single one is. */
  public String field() {
    return detail.getField();
  }

  /** The oldest cursor that a subscription could start behind instead. Set with the CURSOR reasons, else empty. */
  public String earliestCursor() {
    return detail.getEarliestCursor();
  }

  /** The cursor of the journal's head. Set with the CURSOR reasons, else empty. */
  public String latestCursor() {
    return detail.getLatestCursor();
  }

  /** Where a cut stream can be resumed: see the contract. A Subscription does so by itself. */
  public String resumeCursor() {
    return detail.getResumeCursor();
  }

  /** Says whether the same subscription may succeed later without anybody's decision. */
  boolean isTemporary() {
    return switch (reason()) {
      case ERROR_REASON_SLOW_READER,
          ERROR_REASON_DRAINING,
          ERROR_REASON_JOURNAL_UNAVAILABLE,
          ERROR_REASON_LIMIT_EXCEEDED,
          ERROR_REASON_INTERNAL -> true;
      // The other reasons of today are final by their codes as well; one newer than this client has only its code.
      default -> isTemporary(code);
    };
  }

  /**
   * Lists what is final, because proxies and gRPC itself report their troubles with all the others: a stream reset by a
   * peer as INTERNAL or CANCELLED, a proxy's timeout as DEADLINE_EXCEEDED, its 502 page as UNKNOWN.
   */
  private static boolean isTemporary(Status.Code code) {
    return switch (code) {
      case INVALID_ARGUMENT,
          NOT_FOUND,
          ALREADY_EXISTS,
          PERMISSION_DENIED,
          FAILED_PRECONDITION,
          OUT_OF_RANGE,
          UNIMPLEMENTED,
          DATA_LOSS,
          UNAUTHENTICATED -> false;
      default -> true;
    };
  }

  private static String description(Status status) {
    return status.getDescription() == null ? status.getCode().name() : status.getDescription();
  }

  private static ErrorDetail detail(StatusRuntimeException cause) {
    try {
      for (Any any : StatusProto.fromThrowable(cause).getDetailsList()) {
        if (any.is(ErrorDetail.class)) {
          return any.unpack(ErrorDetail.class);
        }
      }
    } catch (InvalidProtocolBufferException | IllegalArgumentException e) {
      cause.addSuppressed(e); // whatever this is, the bridge didn't write it
    }
    return ErrorDetail.getDefaultInstance();
  }
}
