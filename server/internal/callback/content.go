package callback

import (
	deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"
)

type (
	text      = deskbridgev1.TextElement
	location  = deskbridgev1.LocationElement
	face      = deskbridgev1.FaceElement
	custom    = deskbridgev1.CustomElement
	sound     = deskbridgev1.SoundElement
	image     = deskbridgev1.ImageElement
	rendition = deskbridgev1.ImageRendition
	file      = deskbridgev1.FileElement
	video     = deskbridgev1.VideoElement
)

// contentKinds has the documented types. It is filled at start, because the table of a relay's fields leads back to it.
var contentKinds []contentKind

func init() {
	contentKinds = []contentKind{
		contentOf("TIMTextElem", textFields, (*element).GetText,
			func(m *element, c *text) { m.Content = &deskbridgev1.MessageElement_Text{Text: c} },
			func(c *text) *string { return &c.ExtraJson }),
		contentOf("TIMLocationElem", locationFields, (*element).GetLocation,
			func(m *element, c *location) { m.Content = &deskbridgev1.MessageElement_Location{Location: c} },
			func(c *location) *string { return &c.ExtraJson }),
		contentOf("TIMFaceElem", faceFields, (*element).GetFace,
			func(m *element, c *face) { m.Content = &deskbridgev1.MessageElement_Face{Face: c} },
			func(c *face) *string { return &c.ExtraJson }),
		contentOf("TIMCustomElem", customFields, (*element).GetCustom,
			func(m *element, c *custom) { m.Content = &deskbridgev1.MessageElement_Custom{Custom: c} },
			func(c *custom) *string { return &c.ExtraJson }),
		contentOf("TIMSoundElem", soundFields, (*element).GetSound,
			func(m *element, c *sound) { m.Content = &deskbridgev1.MessageElement_Sound{Sound: c} },
			func(c *sound) *string { return &c.ExtraJson }),
		contentOf("TIMImageElem", imageFields, (*element).GetImage,
			func(m *element, c *image) { m.Content = &deskbridgev1.MessageElement_Image{Image: c} },
			func(c *image) *string { return &c.ExtraJson }),
		{typeName: "TIMFileElem", decode: decodeFile, encode: encodeFile},
		contentOf("TIMVideoFileElem", videoFields, (*element).GetVideo,
			func(m *element, c *video) { m.Content = &deskbridgev1.MessageElement_Video{Video: c} },
			func(c *video) *string { return &c.ExtraJson }),
		contentOf("TIMRelayElem", relayFields, (*element).GetRelay,
			func(m *element, c *relay) { m.Content = &deskbridgev1.MessageElement_Relay{Relay: c} },
			func(c *relay) *string { return &c.ExtraJson }),
	}
}

var textFields = []field[text]{
	stringField("Text", func(m *text) **string { return &m.Text }),
}

var locationFields = []field[location]{
	stringField("Desc", func(m *location) **string { return &m.Description }),
	floatField("Latitude", func(m *location) **float64 { return &m.Latitude }),
	floatField("Longitude", func(m *location) **float64 { return &m.Longitude }),
}

var faceFields = []field[face]{
	stringField("Data", func(m *face) **string { return &m.Data }),
	intField("Index", func(m *face) **int64 { return &m.Index }),
}

var customFields = []field[custom]{
	stringField("Data", func(m *custom) **string { return &m.Data }),
	stringField("Desc", func(m *custom) **string { return &m.Description }),
	stringField("Ext", func(m *custom) **string { return &m.Extension }),
	stringField("Sound", func(m *custom) **string { return &m.Sound }),
}

var soundFields = []field[sound]{
	intField("Download_Flag", func(m *sound) **int64 { return &m.DownloadFlag }),
	intField("Second", func(m *sound) **int64 { return &m.Seconds }),
	intField("Size", func(m *sound) **int64 { return &m.Size }),
	stringField("UUID", func(m *sound) **string { return &m.Uuid }),
	stringField("Url", func(m *sound) **string { return &m.Url }),
}

var imageFields = []field[image]{
	intField("ImageFormat", func(m *image) **int64 { return &m.Format }),
	listField("ImageInfoArray", func(m *image) *[]*rendition { return &m.Renditions }, renditionEntry),
	stringField("UUID", func(m *image) **string { return &m.Uuid }),
}

var renditionFields = []field[rendition]{
	intField("Height", func(m *rendition) **int64 { return &m.Height }),
	intField("Size", func(m *rendition) **int64 { return &m.Size }),
	intField("Type", func(m *rendition) **int64 { return &m.Type }),
	stringField("URL", func(m *rendition) **string { return &m.Url }),
	intField("Width", func(m *rendition) **int64 { return &m.Width }),
}

func renditionEntry() entry[rendition] {
	return entry[rendition]{
		object: func(d *decoder, m *rendition) {
			l := decodeObject(d, m, renditionFields)
			m.ExtraJson = d.take(l)
		},
		raw:    func(m *rendition) *string { return &m.RawJson },
		encode: func(w *writer, m *rendition) { encodeObject(w, m, renditionFields, m.GetExtraJson()) },
	}
}

var videoFields = []field[video]{
	intField("ThumbDownloadFlag", func(m *video) **int64 { return &m.ThumbDownloadFlag }),
	stringField("ThumbFormat", func(m *video) **string { return &m.ThumbFormat }),
	intField("ThumbHeight", func(m *video) **int64 { return &m.ThumbHeight }),
	intField("ThumbSize", func(m *video) **int64 { return &m.ThumbSize }),
	stringField("ThumbUUID", func(m *video) **string { return &m.ThumbUuid }),
	stringField("ThumbUrl", func(m *video) **string { return &m.ThumbUrl }),
	intField("ThumbWidth", func(m *video) **int64 { return &m.ThumbWidth }),
	intField("VideoDownloadFlag", func(m *video) **int64 { return &m.DownloadFlag }),
	stringField("VideoFormat", func(m *video) **string { return &m.Format }),
	intField("VideoSecond", func(m *video) **int64 { return &m.Seconds }),
	intField("VideoSize", func(m *video) **int64 { return &m.Size }),
	stringField("VideoUUID", func(m *video) **string { return &m.Uuid }),
	stringField("VideoUrl", func(m *video) **string { return &m.Url }),
}
