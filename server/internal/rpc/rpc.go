// Package rpc serves the gRPC services of the contract, thinly: it validates requests, asks the packages below, and is
// the only place that turns their errors into status codes. It must not store anything or know how bytes reach it.
package rpc
