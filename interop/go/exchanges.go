package main

import amqp "github.com/rabbitmq/amqp091-go"

// A consumer on an exclusive queue of its own, bound with these keys.
func subscribe(b *Broker, exchange string, keys ...string) *Inbox {
	channel := b.channel()
	queue := must(channel.QueueDeclare("", false, false, true, false, nil)).Name
	for _, key := range keys {
		check(channel.QueueBind(queue, key, exchange, false, nil))
	}
	return consume(channel, queue, "", true)
}

var exchanges = []scenario{
	{"tutorial_1_hello_world", func(b *Broker) {
		sender, receiver := b.channel(), b.channel()
		queue := b.queue(sender, nil)
		inbox := consume(receiver, queue, "", true)
		publish(sender, "", queue, "Hello World!")
		until("the message arrives", func() bool { return len(inbox.all()) == 1 })
		message := inbox.all()[0]
		equal(string(message.Body), "Hello World!")
		equal([]any{message.Exchange, message.RoutingKey, message.Redelivered}, []any{"", queue, false})
	}},

	{"tutorial_3_publish_subscribe", func(b *Broker) {
		sender := b.channel()
		logs := b.exchange(sender, "fanout", nil)
		inboxes := []*Inbox{subscribe(b, logs, ""), subscribe(b, logs, ""), subscribe(b, logs, "")}
		lines := []string{"one", "two", "three"}
		for _, line := range lines {
			publish(sender, logs, "the key is ignored", line)
		}
		for _, inbox := range inboxes {
			until("a subscriber has all", func() bool { return len(inbox.all()) == 3 })
			equal(inbox.bodies(), lines)
		}
	}},

	{"tutorial_4_routing", func(b *Broker) {
		sender := b.channel()
		logs := b.exchange(sender, "direct", nil)
		disk, screen := subscribe(b, logs, "error"), subscribe(b, logs, "info", "warning", "error")
		for _, severity := range []string{"info", "debug", "error", "warning"} {
			publish(sender, logs, severity, severity)
		}
		until("the logs arrive", func() bool { return len(disk.all()) == 1 && len(screen.all()) == 3 })
		equal(disk.bodies(), []string{"error"})
		equal(screen.bodies(), []string{"info", "error", "warning"})
	}},

	{"tutorial_5_topics", func(b *Broker) {
		channel := b.channel()
		animals := b.exchange(channel, "topic", nil)
		keys := []string{"quick.orange.rabbit", "lazy.orange.elephant", "lazy.brown.fox", "orange", "lazy", ""}
		expected := map[string][]string{
			"*.orange.*": {"quick.orange.rabbit", "lazy.orange.elephant"},
			"*.*.rabbit": {"quick.orange.rabbit"},
			"lazy.#":     {"lazy.orange.elephant", "lazy.brown.fox", "lazy"},
			"#":          keys,
		}
		queues := map[string]string{}
		for pattern := range expected {
			queues[pattern] = b.queue(channel, nil)
			check(channel.QueueBind(queues[pattern], pattern, animals, false, nil))
		}
		for _, key := range keys {
			publish(channel, animals, key, key)
		}
		for pattern, queue := range queues {
			equal(bodies(drain(channel, queue)), expected[pattern])
		}
	}},

	{"headers_exchange_all_and_any", func(b *Broker) {
		channel := b.channel()
		exchange := b.exchange(channel, "headers", nil)
		queues := map[string]string{}
		for _, match := range []string{"all", "any"} {
			queues[match] = b.queue(channel, nil)
			arguments := amqp.Table{"x-match": match, "format": "pdf", "pages": 3}
			check(channel.QueueBind(queues[match], "", exchange, false, arguments))
		}
		for text, headers := range map[string]amqp.Table{
			"both":                   {"format": "pdf", "pages": 3, "more": true},
			"string is not a number": {"pages": "3"},
			"no headers":             {},
		} {
			publishWith(channel, exchange, "", amqp.Publishing{Headers: headers, Body: []byte(text)})
		}
		publishWith(channel, exchange, "", amqp.Publishing{
			Headers: amqp.Table{"format": "pdf", "pages": 4}, Body: []byte("one")})
		equal(bodies(drain(channel, queues["all"])), []string{"both"})
		equal(bodies(drain(channel, queues["any"])), []string{"both", "one"})
	}},

	{"alternate_exchange_takes_the_unroutable", func(b *Broker) {
		channel := b.channel()
		strays := b.exchange(channel, "fanout", nil)
		main := b.exchange(channel, "direct", amqp.Table{"alternate-exchange": strays})
		routed, unrouted := b.queue(channel, nil), b.queue(channel, nil)
		check(channel.QueueBind(routed, "known", main, false, nil))
		check(channel.QueueBind(unrouted, "", strays, false, nil))
		publish(channel, main, "known", "known")
		publish(channel, main, "unknown", "unknown")
		equal(bodies(drain(channel, routed)), []string{"known"})
		stray := drain(channel, unrouted)
		equal(bodies(stray), []string{"unknown"})
		equal(stray[0].Exchange, main)
	}},
}
