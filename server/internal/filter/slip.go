package filter

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// maxMeant bounds what an error offers in place of a slip.
const maxMeant = 3

// meantNames returns the known names that an unknown one resembles, quoted and the nearest first. Three letters in
// seven may differ, and what a known name has before its dot may be missing. It is nil when the name is known, or far
// from all that are.
func meantNames(name string) []string {
	if slices.Contains(typeNames(), name) {
		return nil
	}
	limit := 3 * len(name) / 7 // SessionStart is one, Session.Archived is none
	near := map[string]int{}
	for _, known := range typeNames() {
		_, last, _ := strings.Cut(known, ".")
		if d := min(distance(name, known, limit), distance(name, last, limit)); d <= limit {
			near[known] = d
		}
	}
	return nearest(near)
}

// meantPrefixes is meantNames for a prefix without its *. It must be nearer to be taken for a slip, and end as the
// known one does: a prefix is how to ask for types that are not known, such as Session.*.
func meantPrefixes(prefix string) []string {
	limit := 0
	if len(prefix) >= 4 {
		limit = max(1, len(prefix)/5)
	}
	near := map[string]int{}
	for _, known := range typeNames() {
		if strings.HasPrefix(known, prefix) {
			return nil
		}
		for end := max(1, len(prefix)-limit); end <= min(len(known), len(prefix)+limit); end++ {
			d := distance(prefix, known[:end], limit)
			if d <= limit && strings.EqualFold(prefix[len(prefix)-1:], known[end-1:end]) {
				near[known[:end]+"*"] = d
			}
		}
	}
	return nearest(near)
}

// nearest returns the names with the least distances, or little more, quoted.
func nearest(near map[string]int) []string {
	var names []string
	for name := range near {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(near[a]-near[b], strings.Compare(a, b)) })
	names = slices.DeleteFunc(names, func(name string) bool { return 2*near[name] > 3*near[names[0]] })
	names = names[:min(len(names), maxMeant)]
	for i, name := range names {
		names[i] = strconv.Quote(name)
	}
	return names
}

// distance is the Levenshtein distance of a and b, ignoring case, or more than limit when that is. Names that differ in
// case alone have distance 0.
func distance(a, b string, limit int) int {
	if len(a)-len(b) > limit || len(b)-len(a) > limit {
		return limit + 1
	}
	a, b = strings.ToLower(a), strings.ToLower(b)
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			step := diagonal
			if a[i] != b[j] {
				step++
			}
			diagonal = row[j+1]
			row[j+1] = min(step, row[j]+1, diagonal+1)
		}
	}
	return row[len(b)]
}
