package simulate

import (
	"fmt"
	"strings"
)

func (s *story) userMessage() []element {
	switch n := s.random.IntN(100); {
	case n < 58:
		return message(s.text(userLines))
	case n < 63:
		return message(s.text(userLines), s.face(), s.text(userLines))
	case n < 68:
		return message(s.face())
	case n < 76:
		return message(s.image())
	case n < 82:
		return message(s.sound())
	case n < 86:
		return message(s.video())
	case n < 90:
		return message(s.file())
	case n < 94:
		return message(s.location())
	case n < 97:
		return message(s.relay())
	default:
		return message(s.orderCard())
	}
}

func (s *story) agentMessage() []element {
	switch n := s.random.IntN(100); {
	case n < 72:
		return message(s.text(agentLines))
	case n < 78:
		return message(s.image())
	case n < 85:
		return message(s.file())
	case n < 90:
		return message(s.productCard())
	case n < 95:
		return message(s.richText())
	default:
		return message(s.relay())
	}
}

func (s *story) botMessage() []element {
	switch n := s.random.IntN(100); {
	case n < 45:
		return message(s.text(botLines))
	case n < 60:
		return message(s.menu())
	case n < 75:
		return message(s.branch())
	case n < 90:
		return message(s.streamedAnswer())
	default:
		return message(s.welcomeCard())
	}
}

func message(elements ...element) []element { return elements }

func (s *story) text(lines []string) element {
	text := pick(s, lines...)
	if s.chance(1) {
		text = strings.Repeat(text+" ", 4000/len(text))
	}
	return element{"TIMTextElem", fields{"Text": text}}
}

func (s *story) face() element {
	index := s.random.IntN(60)
	return element{"TIMFaceElem", fields{"Index": index, "Data": fmt.Sprintf("tt%02d", index)}}
}

func (s *story) location() element {
	return element{"TIMLocationElem", fields{
		"Desc":      pick(s, "Parcel locker 12", "前台", "Warehouse, gate \"B\""),
		"Latitude":  s.random.Float64()*180 - 90,
		"Longitude": s.random.Float64()*360 - 180,
	}}
}

func (s *story) sound() element {
	return element{"TIMSoundElem", fields{
		"Url": s.fileURL("voice"), "UUID": s.hex(40), "Size": 8000 + s.random.IntN(400_000),
		"Second": 1 + s.random.IntN(60), "Download_Flag": 2,
	}}
}

// image has its original's size only: the vendor sends 0 for the renditions it derives.
func (s *story) image() element {
	url := s.fileURL("image")
	width, height := 320+s.random.IntN(3000), 240+s.random.IntN(3000)
	rendition := func(kind, size, width, height int, query string) fields {
		return fields{"Type": kind, "Size": size, "Width": width, "Height": height, "URL": url + query}
	}
	return element{"TIMImageElem", fields{
		"UUID": s.fileKey(), "ImageFormat": pick(s, 1, 2, 3, 4, 255),
		"ImageInfoArray": []fields{
			rendition(1, 20_000+s.random.IntN(4_000_000), width, height, "?imageMogr2/"),
			rendition(2, 0, 0, 0, "?imageMogr2/thumbnail/720x&imageView2/3/h/720"),
			rendition(3, 0, 0, 0, "?imageMogr2/thumbnail/198x&imageView2/3/h/198"),
		},
	}}
}

func (s *story) file() element {
	return element{"TIMFileElem", fields{
		"Url": s.fileURL("file"), "UUID": s.hex(32), "FileSize": 1000 + s.random.IntN(90_000_000),
		"FileName":      pick(s, "refund form (v2).pdf", "发票.xlsx", "log\n2.txt", "file:///sdcard/photo 1.heic"),
		"Download_Flag": 2,
	}}
}

func (s *story) video() element {
	return element{"TIMVideoFileElem", fields{
		"VideoUrl": s.fileURL("video"), "VideoUUID": s.fileKey(), "VideoFormat": "mp4",
		"VideoSize": 100_000 + s.random.IntN(90_000_000), "VideoSecond": s.random.IntN(60), "VideoDownloadFlag": 2,
		"ThumbUrl": s.fileURL("thumb"), "ThumbUUID": s.fileKey(), "ThumbFormat": pick(s, "JPG", "BMP"),
		"ThumbSize": 4000 + s.random.IntN(60_000), "ThumbWidth": 720, "ThumbHeight": 1280, "ThumbDownloadFlag": 2,
	}}
}

// relay forwards a few messages as one. A large one comes as a key in place of the messages.
func (s *story) relay() element {
	count := 1 + s.random.IntN(4)
	content := fields{
		"Title": "Chat with " + s.user, "MsgNum": count,
		"CompatibleText": "Please upgrade to see forwarded messages",
	}
	var digest []string
	var relayed []fields
	for range count {
		text := pick(s, userLines...)
		digest = append(digest, s.user+": "+text)
		relayed = append(relayed, s.relayed(text))
	}
	content["AbstractList"] = digest
	if s.chance(20) {
		content["JsonMsgKey"] = s.hex(32)
	} else {
		content["MsgList"] = relayed
	}
	return element{"TIMRelayElem", content}
}

func (s *story) relayed(text string) fields {
	return fields{
		"From_Account": s.user, "To_Account": s.account,
		"MsgSeq": s.random.Uint32(), "MsgRandom": s.random.Uint32(), "MsgTimeStamp": s.pastSeconds(),
		"MsgBody":         message(element{"TIMTextElem", fields{"Text": text}}),
		"CloudCustomData": "",
	}
}
