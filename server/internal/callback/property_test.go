package callback

import (
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"
)

// jsonTree is a JSON text that can be written in several ways: a scalar, an array, or an object if it has names.
type jsonTree struct {
	scalar   string
	names    []string // literals
	children []jsonTree
}

// write appends the text. The order of members and the white space are drawn when shuffle is set.
func (j jsonTree) write(t *rapid.T, out *strings.Builder, shuffle bool) {
	if j.scalar != "" {
		out.WriteString(j.scalar)
		return
	}
	order := make([]int, len(j.children))
	for i := range order {
		order[i] = i
	}
	if shuffle && j.names != nil {
		order = rapid.Permutation(order).Draw(t, "order")
	}
	space := func() {
		if shuffle {
			out.WriteString(rapid.SampledFrom([]string{"", "", " ", "\n\t\r"}).Draw(t, "space"))
		}
	}
	brackets := "[]"
	if j.names != nil {
		brackets = "{}"
	}
	out.WriteByte(brackets[0])
	for i, child := range order {
		if i > 0 {
			out.WriteByte(',')
		}
		space()
		if j.names != nil {
			out.WriteString(j.names[child] + ":")
			space()
		}
		j.children[child].write(t, out, shuffle)
		space()
	}
	out.WriteByte(brackets[1])
}

func (j jsonTree) text(t *rapid.T, shuffle bool) []byte {
	var out strings.Builder
	j.write(t, &out, shuffle)
	return []byte(out.String())
}

var scalars = rapid.SampledFrom([]string{
	`null`, `true`, `false`, `"true"`, `"0"`, `0`, `1`, `-1`, `-0`, `5`, `"5"`, `5.0`, `5e0`, `0.1`, `0.10`, `1e-7`, `1E+2`,
	`1735689600123`, `"1735689600123"`, `1735689600`, `253402300800000`, `-62135596800001`, `3998651049`, `2147483648`,
	`9007199254740993`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `1e308`, `1e309`, `5e-324`,
	`29.340656774469956`, `116.77497920478824`, `29.340656774469956000`,
	`""`, `"a"`, `"SDK"`, `"Web(H5)"`, `"Web (H5)"`, `"SessionBegin"`, `"Human.UserSendMsg"`, `"Desk.SessionEventNotify"`,
	`"TIMTextElem"`, `"TIMRelayElem"`, `"TIMStickerElem"`, `"\u0000"`, `"\ud83d"`, `"\ude00\ud83d"`, `"\uD83D\uDE00"`,
	`"\/\"\\\b\f\n\r\t"`, `"&<>\u2028"`, `"ÿ\uffff"`, `"{\"a\":1}"`, `[]`, `{}`,
})

// anyTree draws a value of any form.
func anyTree(t *rapid.T, depth int) jsonTree {
	if depth == 0 || rapid.IntRange(0, 3).Draw(t, "kind") > 0 {
		return jsonTree{scalar: scalars.Draw(t, "scalar")}
	}
	if rapid.Bool().Draw(t, "array") {
		var j jsonTree
		for range rapid.IntRange(1, 3).Draw(t, "entries") {
			j.children = append(j.children, anyTree(t, depth-1))
		}
		return j
	}
	return objectTree(t, nil, depth-1)
}

// grammar draws the usual value of a member, by its name.
type grammar map[string]func(t *rapid.T, depth int) jsonTree

var otherNames = rapid.SampledFrom([]string{`"Text"`, `"Data"`, `"Url"`, `"x"`, `"sessionid"`, `""`, `"\u0000"`, `"\ud800"`})

// objectTree draws an object of known and other members, without duplicates, and with some values of any form.
func objectTree(t *rapid.T, known grammar, depth int) jsonTree {
	names := otherNames
	if len(known) > 0 {
		usual := rapid.Map(rapid.SampledFrom(slices.Sorted(maps.Keys(known))), strconv.Quote)
		names = rapid.OneOf(usual, usual, usual, usual, otherNames)
	}
	j := jsonTree{names: rapid.SliceOfNDistinct(names, 0, 6, rapid.ID).Draw(t, "names")}
	if len(j.names) == 0 {
		return jsonTree{scalar: "{}"}
	}
	for _, name := range j.names {
		draw := known[strings.Trim(name, `"`)]
		if draw == nil || rapid.IntRange(0, 9).Draw(t, "odd") == 0 {
			draw = anyTree
		}
		j.children = append(j.children, draw(t, depth))
	}
	return j
}

func scalarTree(t *rapid.T, _ int) jsonTree {
	return jsonTree{scalar: scalars.Draw(t, "scalar")}
}

// listOf draws an array of objects.
func listOf(known func() grammar) func(*rapid.T, int) jsonTree {
	return func(t *rapid.T, depth int) jsonTree {
		if depth == 0 {
			return jsonTree{scalar: "[]"}
		}
		j := jsonTree{children: []jsonTree{}}
		for range rapid.IntRange(1, 3).Draw(t, "entries") {
			j.children = append(j.children, objectTree(t, known(), depth-1))
		}
		return j
	}
}

func eventGrammar() grammar {
	g := scalarsOf(eventFields)
	g["MsgBody"] = listOf(elementGrammar)
	return g
}

// elementGrammar draws a type and half the time the content that fits.
func elementGrammar() grammar {
	contents := []grammar{
		scalarsOf(textFields), scalarsOf(locationFields), scalarsOf(faceFields), scalarsOf(customFields),
		scalarsOf(soundFields), scalarsOf(imageFields), scalarsOf(fileFields), scalarsOf(videoFields),
		scalarsOf(relayFields),
	}
	contents[5]["ImageInfoArray"] = listOf(func() grammar { return scalarsOf(renditionFields) })
	contents[6][fileNameLower] = scalarTree
	contents[8]["MsgList"] = listOf(func() grammar {
		g := scalarsOf(relayedFields)
		g["MsgBody"] = listOf(elementGrammar)
		return g
	})
	contents[8]["AbstractList"] = func(t *rapid.T, _ int) jsonTree {
		return jsonTree{children: rapid.SliceOf(rapid.Just(jsonTree{scalar: `"a"`})).Draw(t, "digest")}
	}
	kind := -1
	return grammar{
		"MsgType": func(t *rapid.T, _ int) jsonTree {
			if kind < 0 {
				kind = rapid.IntRange(0, len(contents)-1).Draw(t, "type")
			}
			return jsonTree{scalar: strconv.Quote(contentKinds[kind].typeName)}
		},
		"MsgContent": func(t *rapid.T, depth int) jsonTree {
			if kind < 0 {
				kind = rapid.IntRange(0, len(contents)-1).Draw(t, "type")
			}
			return objectTree(t, contents[kind], depth)
		},
	}
}

func scalarsOf[M any](fields []field[M]) grammar {
	g := make(grammar)
	for _, f := range fields {
		g[f.name] = scalarTree
	}
	return g
}

const grammarDepth = 8

// TestLossless draws callbacks in and out of the documented form.
func TestLossless(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tree := objectTree(t, eventGrammar(), grammarDepth)
		if tree.names == nil {
			return
		}
		checkLossless(t, tree.text(t, true))
	})
}

// TestOrderIsNoMatter checks that identity and content do not depend on the order of members and on white space.
func TestOrderIsNoMatter(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		tree := objectTree(t, eventGrammar(), grammarDepth)
		one, other := checkLossless(t, tree.text(t, false)), checkLossless(t, tree.text(t, true))
		if !proto.Equal(one, other) {
			t.Fatalf("events differ:\n%v\n%v", one, other)
		}
		if q := (Query{SDKAppID: "1"}); ID(q, one) != ID(q, other) {
			t.Fatalf("identities differ: %s, %s", ID(q, one), ID(q, other))
		}
	})
}

// TestMutatedSamples changes the text of real callbacks: a piece is replaced by a piece of another.
func TestMutatedSamples(t *testing.T) {
	t.Parallel()
	var bodies []string
	for _, s := range samples(t) {
		bodies = append(bodies, s.Body)
	}
	pieces := regexp.MustCompile(`"(?:[^"\\]|\\.)*"|[0-9.]+|true|false|[{}\[\],:]`)
	decoded := 0
	rapid.Check(t, func(t *rapid.T) {
		body := rapid.SampledFrom(bodies).Draw(t, "body")
		other := rapid.SampledFrom(bodies).Draw(t, "other")
		for range rapid.IntRange(1, 4).Draw(t, "changes") {
			at := rapid.SampledFrom(pieces.FindAllStringIndex(body, -1)).Draw(t, "at")
			from := rapid.SampledFrom(pieces.FindAllString(other, -1)).Draw(t, "from")
			if rapid.Bool().Draw(t, "scalar") {
				from = scalars.Draw(t, "from")
			}
			body = body[:at[0]] + from + body[at[1]:]
		}
		_, err := Decode([]byte(body))
		if valid := json.Valid([]byte(body)) && body[0] == '{'; valid != (err == nil) {
			t.Fatalf("Decode: %v, json.Valid: %v\nbody %q", err, valid, body)
		}
		if err == nil {
			checkLossless(t, []byte(body))
			decoded++
		}
	})
	if decoded == 0 {
		t.Error("no mutated sample was JSON")
	}
}

// TestTables checks what the tables of fields rely on.
func TestTables(t *testing.T) {
	t.Parallel()
	checkTable(t, eventFields)
	checkTable(t, elementFields)
	checkTable(t, textFields)
	checkTable(t, locationFields)
	checkTable(t, faceFields)
	checkTable(t, customFields)
	checkTable(t, soundFields)
	checkTable(t, imageFields)
	checkTable(t, renditionFields)
	checkTable(t, fileFields)
	checkTable(t, videoFields)
	checkTable(t, relayFields)
	checkTable(t, relayedFields)
}

func checkTable[M any](t *testing.T, fields []field[M]) {
	t.Helper()
	byName := func(a, b field[M]) int { return strings.Compare(a.name, b.name) }
	if !slices.IsSortedFunc(fields, byName) {
		t.Errorf("%T is not sorted by name: every body would be sorted when it is encoded", fields)
	}
	if len(fields) > 64 {
		t.Errorf("%T has %d fields, decodeObject has bits for 64", fields, len(fields))
	}
}
