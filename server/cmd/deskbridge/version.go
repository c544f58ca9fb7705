package main

import (
	"fmt"
	"runtime/debug"
)

// version says what was built: "deskbridge v1.2.3, commit 0123abc, go1.26.0". The Go command notes all of it in every
// binary, whichever way it is built: go install knows the module's version, a build in a clone the tag and the commit.
// A build of sources without their repository is "(devel)".
func version() string {
	info, _ := debug.ReadBuildInfo()
	text := "deskbridge " + info.Main.Version
	for _, setting := range info.Settings {
		switch {
		case setting.Key == "vcs.revision":
			text += ", commit " + setting.Value
		case setting.Key == "vcs.modified" && setting.Value == "true":
			text += " with changes"
		}
	}
	return fmt.Sprintf("%s, %s", text, info.GoVersion)
}
