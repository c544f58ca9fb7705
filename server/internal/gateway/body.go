package gateway

import (
	"net/http"
	"time"
)

// bodyGrace is how long the rest of a body that nobody reads may take to arrive. Were it cut at once, a sender that is
// about to finish could find its connection reset in place of the answer.
const bodyGrace = 500 * time.Millisecond

// Bodiless serves what a listener has: but for callbacks, no request of it has a body.
func Bodiless(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != CallbackPath {
			leaveBody(w, r)
		}
		next.ServeHTTP(w, r)
	})
}

// leaveBody bounds the wait for a body that will not be read: net/http waits for its end, without a bound, before it
// answers. The connection ends then. Were it used again, its requests could begin with a context that has ended, as
// net/http takes the deadline that has passed for the end of the connection. HTTP/2 doesn't wait.
func leaveBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 && r.ProtoMajor == 1 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(bodyGrace))
		w.Header().Set("Connection", "close")
	}
}
