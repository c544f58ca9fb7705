package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
	"github.com/deskbridge/deskbridge/server/internal/access"
	"github.com/deskbridge/deskbridge/server/internal/callback"
	"github.com/deskbridge/deskbridge/server/internal/journal"
)

// quarantine keeps a callback whole. It must succeed before the vendor hears OK.
func (c *Callbacks) quarantine(
	ctx context.Context, req *deskbridgev1.NotifySessionEventRequest, received time.Time, why *unfitError,
) error {
	origin := callback.OriginOf(ctx)
	data, err := proto.Marshal(&deskbridgev1.QuarantinedCallback{
		Reason:          why.reason,
		Explanation:     why.explanation,
		ReceiveTime:     timestamppb.New(received),
		CallbackCommand: cmp.Or(why.command, cut(req.GetCallbackCommand(), maxCommand)),
		SdkAppId:        req.GetSdkAppId(),
		Query:           strings.ToValidUTF8(callback.WithoutSign(origin.Query), "\uFFFD"),
		Headers:         keptHeaders(origin),
		Body:            req.GetBody(),
		BodySize:        int64(len(req.GetBody())),
	})
	if err != nil {
		return err
	}
	id, err := c.config.Journal.Quarantine().Put(ctx, data)
	if err != nil {
		return fmt.Errorf("quarantine: %w", err)
	}
	c.kept.WithLabelValues("quarantined", why.reason.String()).Inc()
	// The explanation stays in the quarantine: it may quote the callback.
	c.config.Logger.WarnContext(ctx, "callback quarantined", "quarantine_id", id, "reason", why.reason.String())
	return nil
}

// ListQuarantinedCallbacks implements QuarantineServiceServer. Its page token is the last id of the page.
func (c *Callbacks) ListQuarantinedCallbacks(
	ctx context.Context, req *deskbridgev1.ListQuarantinedCallbacksRequest,
) (*deskbridgev1.ListQuarantinedCallbacksResponse, error) {
	limit, after, err := numberedPage(req)
	if err != nil {
		return nil, err
	}
	records, more, err := c.config.Journal.Quarantine().List(ctx, after, limit)
	if err != nil {
		return nil, classify(err)
	}
	response := &deskbridgev1.ListQuarantinedCallbacksResponse{}
	for size := 0; len(records) > 0 && size < maxPageBytes; records = records[1:] {
		kept, err := decodeQuarantined(records[0])
		if err != nil {
			return nil, classify(err)
		}
		kept.Body = nil
		if !access.PrincipalOf(ctx).MayReadAny() {
			kept.Explanation, kept.Query = hidden, ""
		}
		response.Callbacks = append(response.Callbacks, kept)
		size += proto.Size(kept)
	}
	if last := len(response.Callbacks) - 1; more || len(records) > 0 {
		response.NextPageToken = strconv.FormatUint(response.GetCallbacks()[last].GetQuarantineId(), 10)
	}
	return response, nil
}

// GetQuarantinedCallback implements QuarantineServiceServer.
func (c *Callbacks) GetQuarantinedCallback(
	ctx context.Context, req *deskbridgev1.GetQuarantinedCallbackRequest,
) (*deskbridgev1.GetQuarantinedCallbackResponse, error) {
	if !access.PrincipalOf(ctx).MayReadAny() {
		return nil, classify(fmt.Errorf("%w: a callback in quarantine is %s", access.ErrDenied, hidden))
	}
	kept, err := c.quarantined(ctx, req.GetQuarantineId())
	if err != nil {
		return nil, classify(err)
	}
	return &deskbridgev1.GetQuarantinedCallbackResponse{Callback: kept}, nil
}

// hidden stands for an explanation, which may quote the callback, where there is no right to content.
const hidden = "for administrators with a right to all content only"

// RedriveQuarantinedCallback implements QuarantineServiceServer. The callback leaves the quarantine only after the
// journal has it: a crash in between leaves it in both, and the dedupe window makes a second redrive harmless.
func (c *Callbacks) RedriveQuarantinedCallback(
	ctx context.Context, req *deskbridgev1.RedriveQuarantinedCallbackRequest,
) (*deskbridgev1.RedriveQuarantinedCallbackResponse, error) {
	kept, err := c.quarantined(ctx, req.GetQuarantineId())
	if err != nil {
		return nil, classify(err)
	}
	receipt, err := c.ingest(ctx, requestOf(kept), kept.GetReceiveTime().AsTime())
	var unfit *unfitError
	switch {
	case errors.As(err, &unfit) && !access.PrincipalOf(ctx).MayReadAny():
		return &deskbridgev1.RedriveQuarantinedCallbackResponse{Explanation: hidden}, nil
	case errors.As(err, &unfit):
		return &deskbridgev1.RedriveQuarantinedCallbackResponse{Explanation: unfit.explanation}, nil
	case err != nil:
		return nil, classify(err)
	}
	if err := c.config.Journal.Quarantine().Delete(ctx, req.GetQuarantineId()); err != nil {
		return nil, classify(err)
	}
	return &deskbridgev1.RedriveQuarantinedCallbackResponse{Stored: true, Position: receipt.Position}, nil
}

// DropQuarantinedCallback implements QuarantineServiceServer.
func (c *Callbacks) DropQuarantinedCallback(
	ctx context.Context, req *deskbridgev1.DropQuarantinedCallbackRequest,
) (*deskbridgev1.DropQuarantinedCallbackResponse, error) {
	if err := c.config.Journal.Quarantine().Delete(ctx, req.GetQuarantineId()); err != nil {
		return nil, classify(err)
	}
	c.config.Logger.InfoContext(ctx, "quarantined callback dropped", "quarantine_id", req.GetQuarantineId())
	return &deskbridgev1.DropQuarantinedCallbackResponse{}, nil
}

func (c *Callbacks) quarantined(ctx context.Context, id uint64) (*deskbridgev1.QuarantinedCallback, error) {
	record, err := c.config.Journal.Quarantine().Get(ctx, id)
	if err != nil {
		return nil, err
	}
	return decodeQuarantined(record)
}

func decodeQuarantined(record journal.QuarantineRecord) (*deskbridgev1.QuarantinedCallback, error) {
	kept := &deskbridgev1.QuarantinedCallback{}
	if err := proto.Unmarshal(record.Data, kept); err != nil {
		return nil, fmt.Errorf("%w: quarantine %d: %w", journal.ErrDamaged, record.ID, err)
	}
	kept.QuarantineId = record.ID
	return kept, nil
}

// keptHeaders are those that may tell why a callback could not be decoded.
func keptHeaders(origin callback.Origin) map[string]string {
	kept := map[string]string{"Content-Type": origin.ContentType, "User-Agent": origin.UserAgent}
	for header, value := range kept {
		if kept[header] = strings.ToValidUTF8(value, "\uFFFD"); value == "" {
			delete(kept, header)
		}
	}
	return kept
}

// requestOf is the inverse of quarantine: the request as it came.
func requestOf(kept *deskbridgev1.QuarantinedCallback) *deskbridgev1.NotifySessionEventRequest {
	query := callback.ParseQuery(kept.GetQuery())
	return &deskbridgev1.NotifySessionEventRequest{
		Body:            kept.GetBody(),
		SdkAppId:        query.SDKAppID,
		CallbackCommand: query.Command,
		ClientIp:        query.ClientIP,
		OptPlatform:     query.Platform,
		RequestId:       query.RequestID,
	}
}
