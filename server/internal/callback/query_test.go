package callback

import (
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseQuery(t *testing.T) {
	t.Parallel()
	whole := Query{
		SDKAppID: "1600012345", Command: "Desk.SessionEventNotify", ContentType: "json", ClientIP: "203.0.113.24",
		Platform: "iOS", RequestID: "req-1", Sign: "ab", RequestTime: "1735689600",
	}
	rows := []struct {
		name, raw string
		want      Query
	}{
		{"empty", "", Query{}},
		{"whole", "SdkAppid=1600012345&CallbackCommand=Desk.SessionEventNotify&contenttype=json&ClientIP=203.0.113.24" +
			"&OptPlatform=iOS&RequestID=req-1&Sign=ab&RequestTime=1735689600", whole},
		{"other case", "SDKAPPID=1600012345&callbackcommand=Desk.SessionEventNotify&ContentType=json&clientip=203.0.113.24" +
			"&optPlatform=iOS&RequestId=req-1&sign=ab&requesttime=1735689600", whole},
		{"other order", "RequestTime=1735689600&Sign=ab&RequestID=req-1&OptPlatform=iOS&ClientIP=203.0.113.24" +
			"&contenttype=json&CallbackCommand=Desk.SessionEventNotify&SdkAppid=1600012345", whole},
		{"names without =", "SdkAppid=1&contenttype=json&ClientIP&OptPlatform", Query{SDKAppID: "1", ContentType: "json"}},
		{"empty values", "SdkAppid=&ClientIP=&Sign=", Query{}},
		{"empty parameters", "&&SdkAppid=1&", Query{SDKAppID: "1"}},
		{"unknown parameters", "x=1&=2&SdkAppidx=3&SdkAppid=1&SdkAppi=4", Query{SDKAppID: "1"}},
		{"the last one counts", "SdkAppid=1&sdkappid=2&SDKAPPID=3", Query{SDKAppID: "3"}},
		{"a value with =", "RequestID=a==", Query{RequestID: "a=="}},
		{"escapes", "RequestID=%41+%2b%26&%53ign=x", Query{RequestID: "A +&", Sign: "x"}},
		{"semicolon", "RequestID=a;b", Query{RequestID: "a;b"}},
		{"not UTF-8", "ClientIP=%ff&RequestID=a\xffb", Query{ClientIP: "\ufffd", RequestID: "a\ufffdb"}},
		{
			"malformed escapes", "SdkAppid=1&Nick=100%&ClientIP=%zz&RequestID=50%off%41&%4=x&%",
			Query{SDKAppID: "1", ClientIP: "%zz", RequestID: "50%off%41"},
		},
		{"letters that fold to ASCII", "\u017fdkAppid=1&Reque\u017ftID=2", Query{}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := ParseQuery(row.raw); got != row.want {
				t.Errorf("ParseQuery(%q) = %+v, want %+v", row.raw, got, row.want)
			}
		})
	}
}

func FuzzQuery(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.Query)
	}
	f.Add("ClientIP&OptPlatform&&=&%41=%")
	f.Fuzz(func(t *testing.T, raw string) {
		q := ParseQuery(raw)
		for _, value := range []string{
			q.SDKAppID, q.Command, q.ContentType, q.ClientIP, q.Platform, q.RequestID, q.Sign, q.RequestTime,
		} {
			if !utf8.ValidString(value) {
				t.Fatalf("not UTF-8: %q", value)
			}
		}
		if id := ID(q, nil); !idForm.MatchString(id) {
			t.Fatalf("ID = %q", id)
		}
		checkAgainstURL(t, raw, q)
	})
}

// checkAgainstURL compares with net/url, which refuses semicolons and malformed escapes, and knows names by exact
// spelling only.
func checkAgainstURL(t *testing.T, raw string, q Query) {
	t.Helper()
	values, err := url.ParseQuery(raw)
	if err != nil {
		return
	}
	var same []string
	for name, list := range values {
		if strings.EqualFold(name, "RequestID") && len(name) == len("RequestID") {
			same = append(same, list...)
		}
	}
	if len(same) == 1 && strings.ToValidUTF8(same[0], "\ufffd") != q.RequestID {
		t.Fatalf("RequestID = %q, net/url has %q", q.RequestID, same)
	}
}
