package callback

import (
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789abcdef"

// escapeLength returns the length of the escape that text begins with, 0 when it begins with none.
func escapeLength(text string) int {
	if len(text) < 2 || text[0] != '\\' {
		return 0
	}
	switch text[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hexUnit(text); ok {
			return 6
		}
	}
	return 0
}

// hexUnit returns the UTF-16 unit of the \uXXXX that text begins with.
func hexUnit(text string) (rune, bool) {
	if len(text) < 6 || text[0] != '\\' || text[1] != 'u' {
		return 0, false
	}
	var unit rune
	for i := 2; i < 6; i++ {
		c := text[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		unit = unit<<4 | rune(c)
	}
	return unit, true
}

// escape decodes the checked escape, or pair of surrogate escapes, that text begins with, and returns its length. A
// lone surrogate is returned as it is.
func escape(text string) (r rune, n int) {
	switch text[1] {
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		r, _ = hexUnit(text)
		if low, ok := hexUnit(text[6:]); ok && utf16.IsSurrogate(r) {
			if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
				return pair, 12
			}
		}
		return r, 6
	}
	return rune(text[1]), 2
}

// unescape returns the text of a checked literal. A lone surrogate becomes U+FFFD, which protobuf can carry, and makes
// the result inexact.
func unescape(raw string) (text string, exact bool) {
	buf := make([]byte, 0, len(raw))
	exact = true
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			buf = append(buf, raw[i])
			i++
			continue
		}
		r, n := escape(raw[i:])
		exact = exact && !utf16.IsSurrogate(r)
		buf = utf8.AppendRune(buf, r)
		i += n
	}
	return string(buf), exact
}

// appendCanonical appends the canonical form of a checked literal, without quotes. It is never longer than raw.
func appendCanonical(dst []byte, raw string) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			i++
			continue
		}
		r, n := escape(raw[i:])
		dst = appendRune(dst, r)
		i += n
	}
	return dst
}

// appendText appends text, valid UTF-8, as it stands in a canonical literal.
func appendText(dst []byte, text string) []byte {
	start := 0
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == '"' || c == '\\' {
			dst = append(dst, text[start:i]...)
			dst = appendRune(dst, rune(c))
			start = i + 1
		}
	}
	return append(dst, text[start:]...)
}

// appendRune appends r as it stands in a canonical literal: escaped only where JSON asks for it.
func appendRune(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	if r >= ' ' && !utf16.IsSurrogate(r) {
		return utf8.AppendRune(dst, r)
	}
	return append(dst, '\\', 'u',
		hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}
