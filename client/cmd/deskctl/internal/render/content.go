package render

import (
	"fmt"
	"strconv"
	"strings"

	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

// textWidth bounds how much of a text a summary shows, in characters.
const textWidth = 160

// Content summarises what an event carries: the parts of its message, or its rating. Empty when there is nothing.
func Content(event *deskbridgev1.SessionEvent) string {
	var parts []string
	for _, element := range event.GetMessage().GetElements() {
		parts = append(parts, summary(element))
	}
	if event.SatisfactionRating != nil && event.GetSatisfactionRating() != 0 {
		parts = append(parts, stars(event.GetSatisfactionRating()))
	}
	return strings.Join(parts, " + ")
}

func stars(rating int32) string {
	if rating < 1 || rating > 5 {
		return fmt.Sprintf("rating %d", rating)
	}
	return strings.Repeat("★", int(rating)) + strings.Repeat("☆", 5-int(rating))
}

func summary(element *deskbridgev1.MessageElement) string {
	switch content := element.GetContent().(type) {
	case *deskbridgev1.MessageElement_Text:
		return quote(content.Text.GetText())
	case *deskbridgev1.MessageElement_Location:
		return location(content.Location)
	case *deskbridgev1.MessageElement_Face:
		index := strconv.FormatInt(content.Face.GetIndex(), 10)
		return describe("face", index, quoteUnlessEmpty(content.Face.GetData()))
	case *deskbridgev1.MessageElement_Custom:
		return custom(content.Custom)
	case *deskbridgev1.MessageElement_Sound:
		return describe("sound", seconds(content.Sound.GetSeconds()), size(content.Sound.GetSize()))
	case *deskbridgev1.MessageElement_Image:
		return image(content.Image)
	case *deskbridgev1.MessageElement_File:
		return describe("file", quote(content.File.GetName()), size(content.File.GetSize()))
	case *deskbridgev1.MessageElement_Video:
		return video(content.Video)
	case *deskbridgev1.MessageElement_Relay:
		return relay(content.Relay)
	default:
		return unknown(element)
	}
}

func location(l *deskbridgev1.LocationElement) string {
	return describe("location", quoteUnlessEmpty(l.GetDescription()),
		fmt.Sprintf("%.5f,%.5f", l.GetLatitude(), l.GetLongitude()))
}

// custom shows the payload only where there is nothing for people.
func custom(c *deskbridgev1.CustomElement) string {
	if c.GetDescription() != "" {
		return describe("custom", quote(c.GetDescription()))
	}
	return describe("custom", clip(c.GetData()))
}

func image(i *deskbridgev1.ImageElement) string {
	for _, rendition := range i.GetRenditions() {
		if rendition.GetWidth() > 0 {
			pixels := fmt.Sprintf("%d×%d", rendition.GetWidth(), rendition.GetHeight())
			return describe("image", pixels, size(rendition.GetSize()))
		}
	}
	return "image"
}

func video(v *deskbridgev1.VideoElement) string {
	return describe("video", seconds(v.GetSeconds()), size(v.GetSize()), Escape(v.GetFormat()))
}

func relay(r *deskbridgev1.RelayElement) string {
	return describe("relay", quote(r.GetTitle()), fmt.Sprintf("%d messages", r.GetMessageCount()))
}

func unknown(element *deskbridgev1.MessageElement) string {
	return describe("element", Escape(element.GetTypeName()), clip(element.GetOther().GetContentJson()))
}

// describe joins the parts that are not empty.
func describe(kind string, parts ...string) string {
	words := []string{kind}
	for _, part := range parts {
		if part != "" {
			words = append(words, part)
		}
	}
	return strings.Join(words, " ")
}

func seconds(n int64) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprintf("%d s", n)
}

func size(n int64) string {
	switch {
	case n <= 0:
		return ""
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}

func quoteUnlessEmpty(text string) string {
	if text == "" {
		return ""
	}
	return quote(text)
}

// quote makes a text one visible line, and shows the beginning of a long one.
func quote(text string) string {
	shown := shorten(text, textWidth)
	return strconv.QuoteToGraphic(shown) + ellipsis(text, shown)
}

// clip does the same without quotes, for what is no text but a payload.
func clip(payload string) string {
	shown := shorten(payload, textWidth)
	return Escape(shown) + ellipsis(payload, shown)
}

func ellipsis(text, shown string) string {
	if len(shown) < len(text) {
		return "…"
	}
	return ""
}
