package simulate

import (
	"encoding/json"
	"fmt"
)

// Desk's own messages travel as custom elements, with JSON inside the string Data. `src` tells them apart; it comes as
// a number and as a string.

func (s *story) menu() element {
	return s.custom("Menu", fields{"customerServicePlugin": 0, "src": 9, "content": s.choices("What is it about?")})
}

func (s *story) branch() element {
	const header = "Pick a topic"
	return s.custom(header, fields{"customerServicePlugin": 0, "src": "15", "content": s.choices(header)})
}

func (s *story) choices(header string) fields {
	items := []fields{}
	for _, topic := range []string{"Delivery", "Refund", "退款", "Talk to a human"} {
		items = append(items, fields{"content": topic, "desc": ""})
	}
	return fields{"header": header, "items": items}
}

func (s *story) streamedAnswer() element {
	return s.custom("", fields{
		"chatbotPlugin": 2, "src": 31, "isFinished": s.random.IntN(2), "msgID": s.hex(16),
		"chunks": []string{"Your parcel is ", "on its way ", "🚚."},
	})
}

func (s *story) welcomeCard() element {
	return s.custom("Welcome", fields{
		"customerServicePlugin": 0, "src": "29",
		"content": fields{"title": "Welcome!", "content": "您好，请问有什么可以帮您？"},
	})
}

func (s *story) richText() element {
	return s.custom("", fields{
		"customerServicePlugin": 0, "src": 30,
		"content": "<p>See <a href=\"https://example.com/?a=1&b=2\">here</a></p>",
	})
}

func (s *story) productCard() element {
	return s.custom("Product", fields{"customerServicePlugin": 0, "src": 22, "content": fields{
		"header": "Headphones", "desc": "Black, wireless", "pic": s.fileURL("product"), "url": "https://example.com/p",
	}})
}

func (s *story) orderCard() element {
	return s.custom("Order", fields{"customerServicePlugin": 0, "src": "28", "content": fields{
		"guide": "Your order", "header": fmt.Sprintf("Order %08d", s.random.IntN(100_000_000)), "desc": "¥ 129.00",
	}})
}

func (s *story) custom(description string, payload fields) element {
	return element{"TIMCustomElem", fields{
		"Data": jsonString(payload), "Desc": description, "Ext": "", "Sound": pick(s, "", "", "dingdong.aiff"),
	}}
}

func (s *story) customData() string {
	if s.chance(70) {
		return ""
	}
	return jsonString(fields{"messageFeature": fields{"needTyping": 1, "version": 1}})
}

// jsonString encodes what has no way to fail: maps of strings, numbers and lists of them.
func jsonString(value fields) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}
