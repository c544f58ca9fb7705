package journal

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// settingsFile holds the streams' settings as the log engine has stored them.
//
// The engine replaces a stream's settings, the epoch among them, by files that it doesn't sync, one with the settings
// and one with their checksum, and leaves out a stream whose settings it can't read. A power cut soon after a start, or
// a crash between the two, would leave nothing to open. So the journal keeps a copy of what is known to be safe, in one
// file that is replaced at once, and puts it back before the engine starts.
const settingsFile = "settings"

// keepSettings copies what the engine has. It must be synced already.
func (d *directory) keepSettings() error {
	kept := map[string][]byte{}
	for _, stream := range []string{eventsStream, quarantineStream} {
		for _, name := range []string{"meta.inf", "meta.sum"} {
			path := filepath.Join("jetstream", "$G", "streams", stream, name)
			content, err := os.ReadFile(filepath.Join(d.streams(), path))
			if err != nil {
				return err
			}
			kept[path] = content
		}
	}
	content, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return ensureFile(filepath.Join(d.path, settingsFile), content)
}

// restoreSettings is for before the engine starts.
func (d *directory) restoreSettings() error {
	content, err := os.ReadFile(filepath.Join(d.path, settingsFile))
	if errors.Is(err, os.ErrNotExist) {
		return d.putUnfinishedAside()
	}
	if err != nil {
		return err
	}
	var kept map[string][]byte
	if err := json.Unmarshal(content, &kept); err != nil {
		return fmt.Errorf("%w: the file %q: %w", ErrDamaged, settingsFile, err)
	}
	for path, content := range kept {
		err := ensureFile(filepath.Join(d.streams(), path), content)
		if err != nil && !errors.Is(err, os.ErrNotExist) { // a stream that is gone is noticed when it is opened
			return err
		}
	}
	return nil
}

// ensureFile leaves a file alone that has the content: there may be no room to write it again, and a full disk must not
// keep the journal from being read.
func ensureFile(path string, content []byte) error {
	if existing, err := os.ReadFile(path); err == nil && bytes.Equal(existing, content) {
		return nil
	}
	return writeFileSynced(path, content)
}

// putUnfinishedAside makes way when the first start was never complete. Nothing was acknowledged then, and the engine
// doesn't write settings again that it can't read.
func (d *directory) putUnfinishedAside() error {
	if _, err := os.Stat(filepath.Join(d.path, checkpointFile)); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	aside := d.streams() + ".unfinished"
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := os.Rename(d.streams(), aside); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
