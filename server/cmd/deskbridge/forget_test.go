package main_test

import (
	"bytes"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// afterCuts does the work on a fresh disk for each of some seeds, cuts the power, and returns what look finds, counted.
func afterCuts(t *testing.T, work func(directory string) error, look func(directory string) string) map[string]int {
	t.Helper()
	directory := t.TempDir()
	found := map[string]int{}
	on := func(d *disk, act func()) {
		m, err := mountDisk(d, directory)
		if err != nil {
			t.Fatal(err)
		}
		act()
		if err := m.unmount(); err != nil {
			t.Fatal(err)
		}
	}
	for seed := range uint64(40) {
		d := newDisk(rand.New(rand.NewPCG(seed, 0)))
		on(d, func() {
			if err := work(directory); err != nil {
				t.Fatal(err)
			}
		})
		on(d.cut(), func() { found[look(directory)]++ })
	}
	return found
}

func syncPath(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

func appendFile(path string, flags int, content []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND|flags, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

// TestDiskForgets is a test of the tests: what was synced must be there after every cut, and what was not must be there
// after some, gone after others, and half there after yet others.
func TestDiskForgets(t *testing.T) {
	if reason := noPowerCuts(); reason != nil {
		reportUntested(t, reason)
		return
	}
	first, second := bytes.Repeat([]byte("1"), 2000), bytes.Repeat([]byte("2"), 2000)
	both := string(first) + string(second)
	look := func(directory string) string {
		content, err := os.ReadFile(filepath.Join(directory, "file"))
		switch {
		case err != nil:
			return "nothing"
		case string(content) == both:
			return "all"
		case bytes.Equal(content, first):
			return "first"
		case bytes.Contains(content, []byte("2")):
			return "torn"
		default:
			return "less"
		}
	}
	steps := func(steps ...func(path string) error) func(string) error {
		return func(directory string) error {
			for _, step := range steps {
				if err := step(filepath.Join(directory, "file")); err != nil {
					return err
				}
			}
			return nil
		}
	}
	write := func(content []byte, flags int) func(string) error {
		return func(path string) error { return appendFile(path, flags, content) }
	}
	syncName := func(path string) error { return syncPath(filepath.Dir(path)) }
	replace := func(path string) error {
		return errors.Join(appendFile(path+".new", os.O_SYNC, []byte(both)), os.Rename(path+".new", path))
	}
	for name, test := range map[string]struct {
		work func(string) error
		want []string // each of them, and nothing else
	}{
		"synced":              {steps(write([]byte(both), 0), syncPath, syncName), []string{"all"}},
		"written with O_SYNC": {steps(write(first, os.O_SYNC), write(second, os.O_SYNC), syncName), []string{"all"}},
		"name not synced":     {steps(write([]byte(both), 0), syncPath), []string{"all", "nothing"}},
		"not synced":          {steps(write([]byte(both), 0), syncName), []string{"all", "less", "torn"}},
		"end not synced":      {steps(write(first, 0), syncPath, syncName, write(second, 0)), []string{"all", "first", "less", "torn"}},
		"rename not synced":   {steps(write(first, 0), syncPath, syncName, replace), []string{"all", "first"}},
		"rename synced":       {steps(write(first, 0), syncPath, syncName, replace, syncName), []string{"all"}},
		"removal not synced":  {steps(write(first, 0), syncPath, syncName, os.Remove), []string{"first", "nothing"}},
		"removal synced":      {steps(write(first, 0), syncPath, syncName, os.Remove, syncName), []string{"nothing"}},
	} {
		found := afterCuts(t, test.work, look)
		if got := slices.Sorted(maps.Keys(found)); !slices.Equal(got, test.want) {
			t.Errorf("%s: found %v, want each of %v", name, found, test.want)
		}
	}
}
