package callback

// maxDepth bounds the nesting of objects and arrays, and with it the stack.
const maxDepth = 512

// scanner reads JSON from text, value by value. The first error sticks: it moves pos to the end, so that every loop
// ends and every later read fails without an effect.
type scanner struct {
	text  string // valid UTF-8
	pos   int
	depth int
	err   error
}

func (s *scanner) fail(reason string) {
	if s.err == nil {
		s.err = &DecodeError{Offset: int64(s.pos), Reason: reason}
	}
	s.pos = len(s.text)
}

// peek returns the next byte, 0 at the end.
func (s *scanner) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
}

func (s *scanner) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// open enters the object or array that begins at pos, and reports whether it has a first entry. It is made for
//
//	for more := s.open('}'); more; more = s.next('}') { … }
func (s *scanner) open(closing byte) bool {
	if s.depth == maxDepth {
		s.fail("nested too deep")
		return false
	}
	s.depth++
	s.pos++
	s.space()
	if s.peek() == closing {
		s.leave()
		return false
	}
	return s.err == nil
}

// next reports whether another entry follows the one just read.
func (s *scanner) next(closing byte) bool {
	s.space()
	switch s.peek() {
	case ',':
		s.pos++
		s.space()
		return true
	case closing:
		s.leave()
		return false
	}
	s.fail("want a comma or the end of an object or array")
	return false
}

func (s *scanner) leave() {
	s.pos++
	s.depth--
}

// name reads a member's name and the colon behind it. The result is the name as it stands between the quotes of a
// canonical literal, which tells names apart that differ only in a lone surrogate.
func (s *scanner) name() string {
	if s.peek() != '"' {
		s.fail("want a member's name")
		return ""
	}
	raw, escaped := s.literal()
	if escaped {
		raw = string(appendCanonical(nil, raw))
	}
	s.space()
	if s.peek() != ':' {
		s.fail("want a colon")
		return ""
	}
	s.pos++
	s.space()
	return raw
}

// literal reads the string literal that begins at pos. It returns what is between the quotes.
func (s *scanner) literal() (raw string, escaped bool) {
	start := s.pos + 1
	rest := s.text[start:]
	for i := 0; i < len(rest); i++ {
		c := rest[i]
		if c != '"' && c != '\\' && c >= ' ' {
			continue
		}
		if c == '"' {
			s.pos = start + i + 1
			return rest[:i], escaped
		}
		n := escapeLength(rest[i:])
		if n == 0 {
			s.pos = start + i
			s.fail("malformed escape or control character in a string")
			return "", false
		}
		escaped = true
		i += n - 1
	}
	s.pos = len(s.text)
	s.fail("unexpected end")
	return "", false
}

// number reads the number that begins at pos. It returns the literal, and whether it has neither fraction nor exponent.
func (s *scanner) number() (literal string, integer bool) {
	n, integer := numberLength(s.text[s.pos:])
	if n == 0 {
		s.fail("malformed number")
		return "", false
	}
	literal = s.text[s.pos : s.pos+n]
	s.pos += n
	return literal, integer
}

// numberLength returns the length of the JSON number that text begins with, 0 when it begins with none.
func numberLength(text string) (n int, integer bool) {
	if n < len(text) && text[n] == '-' {
		n++
	}
	digits := countDigits(text[n:])
	if digits == 0 || digits > 1 && text[n] == '0' {
		return 0, false
	}
	n += digits
	integer = true
	if n < len(text) && text[n] == '.' {
		digits = countDigits(text[n+1:])
		if digits == 0 {
			return 0, false
		}
		n += 1 + digits
		integer = false
	}
	if n < len(text) && text[n]|0x20 == 'e' {
		n++
		if n < len(text) && (text[n] == '+' || text[n] == '-') {
			n++
		}
		digits = countDigits(text[n:])
		if digits == 0 {
			return 0, false
		}
		n += digits
		integer = false
	}
	return n, integer
}

func countDigits(text string) int {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return n
}

// word reads true, false or null.
func (s *scanner) word() string {
	for _, word := range [...]string{"true", "false", "null"} {
		if len(s.text)-s.pos >= len(word) && s.text[s.pos:s.pos+len(word)] == word {
			s.pos += len(word)
			return word
		}
	}
	if s.pos == len(s.text) {
		s.fail("unexpected end")
	} else {
		s.fail("want a value")
	}
	return ""
}

func isNumberStart(c byte) bool {
	return c == '-' || '0' <= c && c <= '9'
}

// skip reads a value of any kind and checks it.
func (s *scanner) skip() {
	switch c := s.peek(); {
	case c == '{':
		for more := s.open('}'); more; more = s.next('}') {
			s.name()
			s.skip()
		}
	case c == '[':
		for more := s.open(']'); more; more = s.next(']') {
			s.skip()
		}
	case c == '"':
		s.literal()
	case isNumberStart(c):
		s.number()
	default:
		s.word()
	}
}

// end checks that nothing but white space follows.
func (s *scanner) end() {
	s.space()
	if s.err == nil && s.pos < len(s.text) {
		s.fail("data after the end of the object")
	}
}
