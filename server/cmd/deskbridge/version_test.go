package main_test

import (
	"os/exec"
	"regexp"
	"testing"
)

func TestVersion(t *testing.T) {
	t.Parallel()
	want := regexp.MustCompile(`^deskbridge \S+(, commit [0-9a-f]{40}( with changes)?)?, go1\.\d+.*\n$`)
	for _, args := range [][]string{{"version"}, {"--version"}} {
		output, err := exec.Command(program("deskbridge"), args...).Output()
		if err != nil || !want.Match(output) {
			t.Errorf("%q: got %q, %v", args, output, err)
		}
	}
}
