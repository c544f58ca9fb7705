package client

import "testing"

func TestIsLocal(t *testing.T) {
	t.Parallel()
	local := []string{
		"127.0.0.1:9090", "127.8.8.8:1", "localhost:9090", "localhost", "[::1]:9090", "::1",
		"dns:///localhost:9090", "passthrough:///127.0.0.1:1", "ipv4:127.0.0.1:9090", "ipv6:[::1]:9090",
		"unix:/run/bridge.sock", "unix:///run/bridge.sock", "unix-abstract:bridge",
	}
	remote := []string{
		"bridge:9090", "bridge.internal:9090", "10.0.0.1:9090", "0.0.0.0:9090", "localhost.example.com:9090",
		"dns:///bridge:9090", "dns://127.0.0.1/bridge:9090", "127.0.0.1.example.com:9090", "[2001:db8::1]:9090", ":9090",
	}
	for _, target := range local {
		if !isLocal(target) {
			t.Errorf("%s is taken for another machine", target)
		}
	}
	for _, target := range remote {
		if isLocal(target) {
			t.Errorf("%s is taken for this machine: it would be reached in plain text", target)
		}
	}
}
