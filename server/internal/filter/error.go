package filter

import (
	"errors"
	"fmt"
)

// ErrMalformed says that the bytes are not an encoded event.
var ErrMalformed = errors.New("malformed event")

// Error is a mistake in a filter. It never holds text from an event.
type Error struct {
	// Field in the request, such as "filter.type_names[2]".
	Field string
	// Reason says what is wrong with it.
	Reason string
	// Denied: there is nothing wrong with it, but its owner may not read what it asks for.
	Denied bool
}

// Error implements error.
func (e *Error) Error() string { return e.Field + ": " + e.Reason }

func fieldError(name, reason string, args ...any) error {
	return &Error{Field: "filter." + name, Reason: fmt.Sprintf(reason, args...)}
}

func valueError(name string, i int, reason string, args ...any) error {
	return fieldError(fmt.Sprintf("%s[%d]", name, i), reason, args...)
}
