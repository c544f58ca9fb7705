package server_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.yaml.in/yaml/v3"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

const (
	alertsFile    = "../deploy/monitoring/alerts.yaml"
	dashboardFile = "../deploy/monitoring/dashboard.json"
)

// scrape reads the metrics as Prometheus does.
func (b *bridge) scrape() map[string]*dto.MetricFamily {
	b.t.Helper()
	_, text := b.get(b.MetricsAddr(), "/metrics")
	return parseMetrics(b.t, text)
}

func (s *secured) scrape(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	_, text := s.refusals(t)
	return parseMetrics(t, text)
}

func parseMetrics(t *testing.T, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// everyFamily is what a bridge at work tells, and what one with TLS and access control tells besides.
func everyFamily(t *testing.T) map[string]*dto.MetricFamily {
	t.Helper()
	families := startSecured(t, principals()).scrape(t)
	maps.Copy(families, startBusy(t).scrape())
	return families
}

// value is that of the series with these labels.
func (b *bridge) value(name string, labels ...string) float64 {
	b.t.Helper()
	for _, metric := range b.scrape()[name].GetMetric() {
		if slices.Equal(labelsOf(metric), labels) {
			return metric.GetGauge().GetValue() + metric.GetCounter().GetValue()
		}
	}
	b.t.Fatalf("no %s with %q", name, labels)
	return 0
}

func labelsOf(metric *dto.Metric) (values []string) {
	for _, label := range metric.GetLabel() {
		values = append(values, label.GetName()+"="+label.GetValue())
	}
	return values
}

func startMeasured(t *testing.T) *bridge {
	t.Helper()
	config := testConfig(t)
	config.MetricsAddr = "127.0.0.1:0"
	return startBridge(t, config)
}

// startBusy is a bridge that has taken an event and has a reader.
func startBusy(t *testing.T) *bridge {
	t.Helper()
	b := startMeasured(t)
	b.mustPost(documentQuery, `{"SessionId":"a","Event":"SessionBegin"}`)
	reader := b.subscribe(&deskbridgev1.SubscribeRequest{
		Name: "crm", Start: &deskbridgev1.SubscribeRequest_StartPosition{
			StartPosition: deskbridgev1.StartPosition_START_POSITION_EARLIEST,
		},
	})
	reader.awaitCaughtUp()
	return b
}

// alertRules is an alert file, as far as it is read here.
type alertRules struct {
	Groups []struct {
		Name  string
		Rules []alertRule
	}
}

type alertRule struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readAlerts(t *testing.T) (all []alertRule) {
	t.Helper()
	text, err := os.ReadFile(alertsFile)
	if err != nil {
		t.Fatal(err)
	}
	var file alertRules
	decoder := yaml.NewDecoder(strings.NewReader(string(text)))
	decoder.KnownFields(true)
	if err := decoder.Decode(&file); err != nil {
		t.Fatalf("%s: %v", alertsFile, err)
	}
	for _, group := range file.Groups {
		all = append(all, group.Rules...)
	}
	return all
}

// readDashboard returns the expressions of all panels.
func readDashboard(t *testing.T) (expressions []string) {
	t.Helper()
	text, err := os.ReadFile(dashboardFile)
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatalf("%s: %v", dashboardFile, err)
	}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			expressions = append(expressions, target.Expr)
		}
	}
	return expressions
}

var (
	metricName = regexp.MustCompile(`\b(deskbridge|process|go)_[a-z0-9_]+`)
	// selectors are a metric's name with its matchers; values are what a matcher asks for, be it a choice of them.
	selectors = regexp.MustCompile(`\b(deskbridge_[a-z0-9_]+)\{([^}]*)\}`)
	matchers  = regexp.MustCompile(`([a-z_]+)=~?"([^"$]*)"`)
)

// TestDashboardAndAlertsUseWhatIsMeasured holds each name, and each label's value, to a bridge at work.
func TestDashboardAndAlertsUseWhatIsMeasured(t *testing.T) {
	t.Parallel()
	families := everyFamily(t)
	used := map[string]bool{}
	expressions := readDashboard(t)
	for _, rule := range readAlerts(t) {
		if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["action"] == "" {
			t.Errorf("%s lacks a severity, a summary or an action", rule.Alert)
		}
		expressions = append(expressions, rule.Expr)
	}
	for _, expression := range expressions {
		for _, name := range metricName.FindAllString(expression, -1) {
			used[familyOf(families, name)] = true
			if families[familyOf(families, name)] == nil {
				t.Errorf("%s: the bridge has no metric %s", expression, name)
			}
		}
		for _, selector := range selectors.FindAllStringSubmatch(expression, -1) {
			checkMatchers(t, families[familyOf(families, selector[1])], selector[2])
		}
	}
	for name := range families {
		if strings.HasPrefix(name, "deskbridge_") && !used[name] {
			t.Errorf("neither the dashboard nor an alert shows %s", name)
		}
	}
}

// familyOf takes off what a histogram's series have at their end.
func familyOf(families map[string]*dto.MetricFamily, name string) string {
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		if family, cut := strings.CutSuffix(name, suffix); cut && families[family] != nil {
			return family
		}
	}
	return name
}

func checkMatchers(t *testing.T, family *dto.MetricFamily, text string) {
	t.Helper()
	known := map[string]bool{}
	for _, metric := range family.GetMetric() {
		for _, label := range labelsOf(metric) {
			known[label] = true
		}
	}
	for _, matcher := range matchers.FindAllStringSubmatch(text, -1) {
		for _, value := range choices(matcher[2]) {
			if !known[matcher[1]+"="+value] {
				t.Errorf("%s has no series with %s=%q", family.GetName(), matcher[1], value)
			}
		}
	}
}

// choices of "prefix(one|two)".
func choices(pattern string) (all []string) {
	prefix, list, _ := strings.Cut(strings.TrimSuffix(pattern, ")"), "(")
	for choice := range strings.SplitSeq(list, "|") {
		all = append(all, prefix+choice)
	}
	return all
}

// TestOperationsListsEveryMetric holds the tables of metrics and alerts to a bridge at work and to the alert file. go
// test ./server -update rewrites them.
func TestOperationsListsEveryMetric(t *testing.T) {
	t.Parallel()
	families := everyFamily(t)
	var table strings.Builder
	table.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, name := range slices.Sorted(maps.Keys(families)) {
		if family := families[name]; strings.HasPrefix(name, "deskbridge_") {
			fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", name, strings.ToLower(family.GetType().String()),
				labelNames(family), family.GetHelp())
		}
	}
	holdSection(t, "metrics", table.String())
}

func labelNames(family *dto.MetricFamily) string {
	var names []string
	for _, label := range family.GetMetric()[0].GetLabel() {
		names = append(names, "`"+label.GetName()+"`")
	}
	return strings.Join(names, ", ")
}

func TestOperationsExplainsEveryAlert(t *testing.T) {
	t.Parallel()
	var table strings.Builder
	table.WriteString("| alert | what it means | what to do |\n| --- | --- | --- |\n")
	for _, rule := range readAlerts(t) {
		fmt.Fprintf(&table, "| %s (%s) | %s | %s |\n", rule.Alert, rule.Labels["severity"], rule.Annotations["summary"],
			rule.Annotations["action"])
	}
	holdSection(t, "alerts", table.String())
}

// TestLagOfReaders has a reader of each kind: one that nothing matches for is not behind, and names are bounded.
func TestLagOfReaders(t *testing.T) {
	t.Parallel()
	b := startMeasured(t)
	open := func(request *deskbridgev1.SubscribeRequest) *stream {
		s := b.subscribe(request)
		s.awaitCaughtUp()
		return s
	}
	open(&deskbridgev1.SubscribeRequest{
		Name: "filtered", Filter: &deskbridgev1.EventFilter{SessionIds: []string{"another"}},
	})
	open(&deskbridgev1.SubscribeRequest{})
	for i := range 105 {
		open(&deskbridgev1.SubscribeRequest{Name: fmt.Sprintf("many-%03d", i)})
	}
	for range 20 {
		b.mustPost(documentQuery, `{"SessionId":"a","Event":"SessionBegin"}`)
	}
	b.eventually("no reader is behind", func() bool {
		return b.value("deskbridge_subscription_lag_events", "name=filtered") == 0 &&
			b.value("deskbridge_subscription_lag_events", "name=(none)") == 0 &&
			b.value("deskbridge_subscription_lag_seconds", "name=(other)") == 0
	})
	if n := b.value("deskbridge_subscription_streams", "name=(other)"); n != 7 {
		t.Errorf("%v streams have names beyond the bound, want 7", n)
	}
	if n := len(b.scrape()["deskbridge_subscription_streams"].GetMetric()); n != 101 {
		t.Errorf("%d names have series, want 100 and one for the rest", n)
	}
	if n := b.value("deskbridge_streams", "state=live", "transport=grpc"); n != 107 {
		t.Errorf("%v live streams, want 107", n)
	}
	if n := b.value("deskbridge_stream_events_total"); n != 106 {
		t.Errorf("%v deliveries of one event, which came 20 times, to 106 readers", n)
	}
}
