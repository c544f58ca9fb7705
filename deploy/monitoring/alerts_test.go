// Package monitoring_test evaluates the alert rules with Prometheus' own engine. That every name in them exists is held
// by the tests of the server, which has the metrics.
package monitoring_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/storage"
)

// alertCases are half an hour of series, a sample a minute, and the alerts that fire at its end: these and no others.
var alertCases = []struct {
	name, series string
	want         []string
}{
	{"all is well", `
		deskbridge_ready 1x30
		deskbridge_callbacks_refused_total{code="CALLBACK_ERROR_CODE_INTERNAL"} 7x30
		deskbridge_callbacks_refused_total{code="CALLBACK_ERROR_CODE_BODY_TOO_LARGE"} 7x30
		deskbridge_callbacks_refused_total{code="CALLBACK_ERROR_CODE_SIGNATURE_INVALID"} 0+1x30
		deskbridge_callback_seconds_bucket{le="1"} 0+100x30
		deskbridge_callback_seconds_bucket{le="2"} 0+100x30
		deskbridge_callback_seconds_bucket{le="+Inf"} 0+100x30
		deskbridge_silence_seconds 1800x30
		deskbridge_quarantine_callbacks 0x30
		deskbridge_disk_free_bytes 200x30
		deskbridge_disk_reserve_bytes 100x30
		deskbridge_journal_reachable 1x30
		deskbridge_spool_oldest_seconds 120x30
		deskbridge_tail_lag_events 1000x30
		deskbridge_subscription_lag_seconds{name="crm"} 300x30
		deskbridge_streams_ended_total{reason="CURSOR_EXPIRED"} 3x30
		deskbridge_streams_refused_total{reason="CURSOR_EXPIRED"} 4x30
		deskbridge_streams_ended_total{reason="JOURNAL_DAMAGED"} 3x30
		deskbridge_streams_ended_total{reason="SLOW_READER"} 0x28 1 2
		deskbridge_fell_behind_total 0x28 1 2
		deskbridge_streams{state="live",transport="grpc"} 9x30
		deskbridge_streams_limit 10x30
		deskbridge_file_stale{setting="access-file"} 0x28 1 1
		deskbridge_tls_certificate_expiry_timestamp_seconds 606600x30`, nil},

	{"down", `
		up{job="deskbridge",instance="a"} 1x30
		up{job="deskbridge",instance="b"} 1x27 0x2
		deskbridge_ready{instance="b"} 1x27`, []string{"DeskbridgeDown"}},
	{"gone", `
		up{job="deskbridge",instance="a"} 1x20
		up{job="other",instance="a"} 1x30
		deskbridge_ready 1x20`, []string{"DeskbridgeDown"}},
	{"down for a scrape", `
		up{job="deskbridge",instance="a"} 1x28 0 1
		deskbridge_ready 1x30`, nil},

	{"not ready", `deskbridge_ready 1x27 0x2`, []string{"DeskbridgeNotReady"}},
	{"not ready for a minute", `deskbridge_ready 1x28 0x1`, nil},
	{
		"refused", `
		deskbridge_callbacks_refused_total{code="CALLBACK_ERROR_CODE_JOURNAL_FULL"} 0x20 1+1x9
		deskbridge_callbacks_refused_total{code="CALLBACK_ERROR_CODE_INTERNAL"} 0x30`,
		[]string{"DeskbridgeCallbacksRefused"},
	},
	{"too large", `
		deskbridge_callbacks_refused_total{code="CALLBACK_ERROR_CODE_BODY_TOO_LARGE"} 0x28 1 1
		deskbridge_callbacks_refused_total{code="CALLBACK_ERROR_CODE_BODY_TIMEOUT"} 0x30`, []string{"DeskbridgeCallbacksLost"}},
	{
		"unauthentic", `deskbridge_callbacks_refused_total{code="CALLBACK_ERROR_CODE_SIGNATURE_INVALID"} 0+60x30`,
		[]string{"DeskbridgeCallbacksUnauthentic"},
	},
	{"slow", `
		deskbridge_callback_seconds_bucket{le="1"} 0+98x30
		deskbridge_callback_seconds_bucket{le="2"} 0+100x30
		deskbridge_callback_seconds_bucket{le="+Inf"} 0+100x30`, []string{"DeskbridgeCallbacksSlow"}},
	{"silence", `deskbridge_silence_seconds 1440+60x30`, []string{"DeskbridgeSilence"}},
	{"quarantine", `deskbridge_quarantine_callbacks 0x20 1x9`, []string{"DeskbridgeQuarantine"}},

	{"disk low", `
		deskbridge_disk_free_bytes 199x30
		deskbridge_disk_reserve_bytes 100x30`, []string{"DeskbridgeDiskLow"}},
	{"journal away", `deskbridge_journal_reachable 1x27 0x2`, []string{"DeskbridgeJournalUnreachable"}},
	{"spool", `deskbridge_spool_oldest_seconds 0+60x30`, []string{"DeskbridgeSpoolWaits"}},
	{"tail", `deskbridge_tail_lag_events 1001x30`, []string{"DeskbridgeTailLags"}},

	{"a name lags", `
		deskbridge_subscription_lag_seconds{name="crm"} 301x30
		deskbridge_subscription_lag_seconds{name="other"} 0x30`, []string{"DeskbridgeSubscriptionLags"}},
	{"expired while streaming", `
		deskbridge_streams_ended_total{reason="CURSOR_EXPIRED"} 0x28 1 1
		deskbridge_streams_refused_total{reason="CURSOR_EXPIRED"} 0x30`, []string{"DeskbridgeEventsMissed"}},
	{"expired before it came back", `
		deskbridge_streams_ended_total{reason="CURSOR_EXPIRED"} 0x30
		deskbridge_streams_refused_total{reason="CURSOR_EXPIRED"} 0x28 1 1`, []string{"DeskbridgeEventsMissed"}},
	{
		"damaged", `deskbridge_streams_ended_total{reason="JOURNAL_DAMAGED"} 0x28 1 1`,
		[]string{"DeskbridgeJournalDamaged"},
	},
	{
		"slow readers", `deskbridge_streams_ended_total{reason="SLOW_READER"} 0+1x30`,
		[]string{"DeskbridgeSlowReadersCut"},
	},
	{"fall behind", `deskbridge_fell_behind_total 0+1x30`, []string{"DeskbridgeReadersFallBehind"}},
	{"streams", `
		deskbridge_streams{state="live",transport="grpc"} 6x30
		deskbridge_streams{state="catching_up",transport="grpc"} 4x30
		deskbridge_streams_limit 10x30`, []string{"DeskbridgeStreamsNearLimit"}},

	{"stale file", `
		deskbridge_file_stale{setting="access-file"} 0x27 1 1 1
		deskbridge_file_stale{setting="tls-cert-file"} 0x30`, []string{"DeskbridgeFileStale"}},
	{
		"certificate", `deskbridge_tls_certificate_expiry_timestamp_seconds 606599x30`,
		[]string{"DeskbridgeCertificateExpires"},
	},
}

// up is of a bridge that is scraped, where a case doesn't say otherwise.
const up = `
	up{job="deskbridge",instance="a"} 1x30`

func TestAlerts(t *testing.T) {
	rules, fired := readRules(t), map[string]bool{}
	for _, tt := range alertCases {
		series := "load 1m\n\t" + strings.TrimSpace(tt.series)
		if !strings.Contains(series, "up{") {
			series += up
		}
		t.Run(tt.name, func(t *testing.T) {
			got := firing(t, rules, series)
			if !slices.Equal(got, tt.want) {
				t.Errorf("%q fire, want %q", got, tt.want)
			}
			for _, alert := range got {
				fired[alert] = true
			}
		})
	}
	for _, rule := range rules {
		if !fired[rule.Alert] {
			t.Errorf("no case has %s fire", rule.Alert)
		}
	}
}

// readRules checks the file as Prometheus does.
func readRules(t *testing.T) (rules []rulefmt.Rule) {
	t.Helper()
	groups, errs := rulefmt.ParseFile("alerts.yaml", false, model.UTF8Validation, parser.NewParser(parser.Options{}),
		slog.New(slog.DiscardHandler))
	for _, err := range errs {
		t.Fatal(err)
	}
	for _, group := range groups.Groups {
		rules = append(rules, group.Rules...)
	}
	return rules
}

// firing are the alerts of which the expression has held, each minute, for as long as the rule asks.
func firing(t *testing.T, rules []rulefmt.Rule, series string) (alerts []string) {
	t.Helper()
	stored := promqltest.LoadedStorage(t, series)
	engine := promqltest.NewTestEngine(t, false, 0, promqltest.DefaultMaxSamplesPerQuery)
	for _, rule := range rules {
		end := time.Unix(0, 0).Add(30 * time.Minute)
		holds := true
		for at := end.Add(-time.Duration(rule.For)); holds && !at.After(end); at = at.Add(time.Minute) {
			holds = isTrue(t, engine, stored, rule.Expr, at)
		}
		if holds {
			alerts = append(alerts, rule.Alert)
		}
	}
	return alerts
}

func isTrue(t *testing.T, engine *promql.Engine, stored storage.Queryable, expr string, at time.Time) bool {
	t.Helper()
	query, err := engine.NewInstantQuery(t.Context(), stored, nil, expr, at)
	if err != nil {
		t.Fatal(err)
	}
	defer query.Close()
	vector, err := query.Exec(t.Context()).Vector()
	if err != nil {
		t.Fatal(err)
	}
	return len(vector) > 0
}
