package callback

import deskbridgev1 "github.com/deskbridge/deskbridge/gen/go/deskbridge/v1"

// A file's name is FileName in the vendor's samples and fileName in one of its tables. The typed field takes either,
// FileName first. Where fileName occurs, extra_json has both spellings as they came, and overrides the field for both.
const (
	fileName      = "FileName"
	fileNameLower = "fileName"
)

var fileFields = []field[file]{
	intField("Download_Flag", func(m *file) **int64 { return &m.DownloadFlag }),
	stringField(fileName, func(m *file) **string { return &m.Name }),
	intField("FileSize", func(m *file) **int64 { return &m.Size }),
	stringField("UUID", func(m *file) **string { return &m.Uuid }),
	stringField("Url", func(m *file) **string { return &m.Url }),
}

func decodeFile(d *decoder, m *element) {
	c := new(file)
	m.Content = &deskbridgev1.MessageElement_File{File: c}
	l := decodeObject(d, c, fileFields)
	if lower, ok := d.find(l, fileNameLower); ok {
		d.keepFileNames(c, l, lower)
	}
	c.ExtraJson = d.take(l)
}

func (d *decoder) keepFileNames(c *file, l level, lower string) {
	if c.Name == nil {
		newDecoder(lower).stringValue(&c.Name)
		return
	}
	if _, kept := d.find(l, fileName); !kept {
		d.stringMember(fileName, c.Name)
	}
}

func encodeFile(w *writer, m *element) bool {
	c := m.GetFile()
	if c == nil {
		return false
	}
	l := w.begin()
	encodeFields(w, c, fileFields)
	if _, ok := lookup(c.GetExtraJson(), fileNameLower); ok {
		w.drop(fileName)
	}
	w.extra(c.GetExtraJson())
	w.finish(l)
	return true
}
