//go:build !linux

package journal

import "os"

// identityOf can't tell a file from a copy of it here. Who restores a backup has to remove the file "checkpoint".
func identityOf(*os.File) (uint64, error) { return 1, nil }
