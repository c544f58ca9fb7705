package simulate

// What people say, with what breaks naive readers: quotes, line breaks, other scripts, emoji, markup.

var userLines = []string{
	"Where is my parcel 8831?",
	"How to request a refund?",
	"I was charged twice!!",
	"你好，我的订单还没有发货",
	"مرحبا، أين طلبي؟",
	"Ça ne marche pas « du tout » 😡",
	"first line\nsecond line\n\tthird",
	"the page says \"error 17\" \\o/",
	"<b>hello</b> & goodbye",
	"ok",
	"👩‍💻👍🏽",
	"agent please",
}

var agentLines = []string{
	"Hello, I am happy to help.",
	"Could you send me the order number?",
	"您好，我帮您查一下。",
	"It left our warehouse this morning; tracking: https://example.com/t?id=8831&lang=en",
	"I have refunded it. Anything else?",
	"One moment please…",
}

var botLines = []string{
	"Hi! Ask me anything.",
	"Your order has been shipped.",
	"抱歉，我没有理解您的问题。",
	"You can return goods within 14 days:\n1. open the order\n2. choose \"return\"",
	"Shall I connect you to an agent?",
}
