package callback

import (
	"errors"
	"strings"
	"testing"
	"time"
)

const (
	vectorToken = "DeskToken2025"
	vectorTime  = "1735689600"
	vectorSign  = "0902ab962e65d401c05ab8df23af6949cff0c17cbfe951046027de006fd2fc99"
)

var vectorNow = time.Unix(1735689600, 0)

func TestVerify(t *testing.T) {
	t.Parallel()
	signed := Query{SDKAppID: sampleApp, Sign: vectorSign, RequestTime: vectorTime}
	with := func(change func(q *Query)) Query {
		q := signed
		change(&q)
		return q
	}
	// The vendor's own example, and the one of its older pages, where token and hash don't belong together.
	vendor := Query{
		Sign:        "17773bc39a671d7b9aa835458704d2a6db81360a5940292b587d6d760d484061",
		RequestTime: "1669872112",
	}
	vendorNow := time.Unix(1669872112, 0)
	trap := Query{
		Sign:        "e78a85473bed2cdc8d6fa8c4d5a4ba4735fd64156e15a99516b9890293e135de",
		RequestTime: "1669872112",
	}
	rows := []struct {
		name   string
		tokens []string
		apps   []string
		query  Query
		now    time.Time
		want   error
	}{
		{"the vendor's vector", []string{"xxxxyyyy"}, nil, vendor, vendorNow, nil},
		{"the old pages' token with that hash", []string{"xxxyyy"}, nil, vendor, vendorNow, ErrSignatureInvalid},
		{"the old pages' token with its hash", []string{"xxxyyy"}, nil, trap, vendorNow, nil},
		{"signed", []string{vectorToken}, []string{sampleApp}, signed, vectorNow, nil},
		{"upper-case hex", []string{vectorToken}, nil, with(func(q *Query) { q.Sign = strings.ToUpper(q.Sign) }), vectorNow, nil},
		{"first of two tokens", []string{vectorToken, "next"}, nil, signed, vectorNow, nil},
		{"second of two tokens", []string{"previous", vectorToken}, nil, signed, vectorNow, nil},
		{"none of two tokens", []string{"previous", "next"}, nil, signed, vectorNow, ErrSignatureInvalid},
		{"no token configured", nil, nil, Query{}, vectorNow, nil},
		{"no token configured, Sign there", nil, nil, with(func(q *Query) { q.Sign = "x" }), vectorNow, nil},
		{"no Sign", []string{vectorToken}, nil, with(func(q *Query) { q.Sign = "" }), vectorNow, ErrSignatureMissing},
		{"no RequestTime", []string{vectorToken}, nil, with(func(q *Query) { q.RequestTime = "" }), vectorNow, ErrSignatureMissing},
		{"wrong Sign", []string{vectorToken}, nil, with(func(q *Query) { q.Sign = strings.Repeat("0", 64) }), vectorNow, ErrSignatureInvalid},
		{"short Sign", []string{vectorToken}, nil, with(func(q *Query) { q.Sign = q.Sign[:62] }), vectorNow, ErrSignatureInvalid},
		{"long Sign", []string{vectorToken}, nil, with(func(q *Query) { q.Sign += "00" }), vectorNow, ErrSignatureInvalid},
		{"Sign not hex", []string{vectorToken}, nil, with(func(q *Query) { q.Sign = strings.Repeat("z", 64) }), vectorNow, ErrSignatureInvalid},
		{"RequestTime changed", []string{vectorToken}, nil, with(func(q *Query) { q.RequestTime = "1735689601" }), vectorNow, ErrSignatureInvalid},
		{"RequestTime no number", []string{vectorToken}, nil, with(func(q *Query) { q.RequestTime = "now" }), vectorNow, ErrSignatureInvalid},
		{"60 s late", []string{vectorToken}, nil, signed, vectorNow.Add(60 * time.Second), nil},
		{"more than 60 s late", []string{vectorToken}, nil, signed, vectorNow.Add(60*time.Second + 1), ErrSignatureStale},
		{"60 s early", []string{vectorToken}, nil, signed, vectorNow.Add(-60 * time.Second), nil},
		{"more than 60 s early", []string{vectorToken}, nil, signed, vectorNow.Add(-60*time.Second - 1), ErrSignatureStale},
		{"clock at its zero value", []string{vectorToken}, nil, signed, time.Time{}, ErrSignatureStale},
		{"foreign app", nil, []string{"1", "2"}, signed, vectorNow, ErrAppForeign},
		{"no app", nil, []string{sampleApp}, Query{}, vectorNow, ErrAppForeign},
		{"app with a leading zero", nil, []string{sampleApp}, Query{SDKAppID: "0" + sampleApp}, vectorNow, ErrAppForeign},
		{"second of two apps", nil, []string{"1", sampleApp}, signed, vectorNow, nil},
		{"bad signature and foreign app", []string{"other"}, []string{"1"}, signed, vectorNow, ErrSignatureInvalid},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			auth, err := NewAuthenticator(AuthConfig{Tokens: row.tokens, AppIDs: row.apps})
			if err != nil {
				t.Fatal(err)
			}
			if got := auth.Verify(row.query, row.now); !errors.Is(got, row.want) {
				t.Errorf("Verify = %v, want %v", got, row.want)
			}
			if auth.Signed() != (row.tokens != nil) {
				t.Errorf("Signed = %v", auth.Signed())
			}
		})
	}
}

func TestMaxSkew(t *testing.T) {
	t.Parallel()
	auth, err := NewAuthenticator(AuthConfig{Tokens: []string{vectorToken}, MaxSkew: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	q := Query{Sign: vectorSign, RequestTime: vectorTime}
	if err := auth.Verify(q, vectorNow.Add(time.Hour)); err != nil {
		t.Errorf("at the window's end: %v", err)
	}
	if err := auth.Verify(q, vectorNow.Add(time.Hour+1)); !errors.Is(err, ErrSignatureStale) {
		t.Errorf("behind the window: %v", err)
	}
}

func TestNewAuthenticatorRefuses(t *testing.T) {
	t.Parallel()
	rows := map[string]AuthConfig{
		"callback tokens":   {Tokens: []string{"a", "b", "c"}},
		"callback token 2":  {Tokens: []string{"secret", ""}},
		"callback token 1":  {Tokens: []string{"secret\n"}},
		"app id 1":          {AppIDs: []string{" 1"}},
		"callback max skew": {MaxSkew: -1},
	}
	for field, config := range rows {
		_, err := NewAuthenticator(config)
		if err == nil || !strings.HasPrefix(err.Error(), field+":") {
			t.Errorf("error = %v, want one that names %q", err, field)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("error shows a token: %v", err)
		}
	}
}
