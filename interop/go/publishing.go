package main

import (
	"crypto/rand"
	"fmt"
	"strconv"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Everything that the client can write.
var headers = amqp.Table{
	"longstr":      "plain",
	"unicode":      "żółw 🐢",
	"empty string": "",
	"binary":       []byte{0, 255, 254},
	"true":         true,
	"false":        false,
	"byte":         byte(200),
	"int 8":        int8(-128),
	"int 16":       int16(-32768),
	"int 32":       int32(-123456),
	"int 64":       int64(-1 << 40),
	"float":        float32(1.5),
	"double":       3.141592653589793,
	"decimal":      amqp.Decimal{Scale: 2, Value: 1234},
	"timestamp":    time.Unix(981173106, 0),
	"void":         nil,
	"table": amqp.Table{
		"deep": amqp.Table{"deeper": []any{int32(1), "two", amqp.Table{"three": int32(3)}}}, "empty": amqp.Table{}},
	"array": []any{int32(1), int64(1) << 40, "text", []byte{1}, true, nil, 1.5, []any{"nested"}},
}

var publishing = []scenario{
	{"tutorial_7_confirms_in_batches", func(b *Broker) {
		channel := b.channel()
		queue := b.durableQueue(channel)
		check(channel.Confirm(false))
		confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 1000))
		texts := []string{}
		for n := 0; n < 1000; n++ {
			texts = append(texts, strconv.Itoa(n))
			publishWith(channel, "", queue, amqp.Publishing{Body: []byte(texts[n]), DeliveryMode: amqp.Persistent})
		}
		for tag := uint64(1); tag <= 1000; tag++ {
			equal(receive("all are confirmed", confirms), amqp.Confirmation{DeliveryTag: tag, Ack: true})
		}
		equal(bodies(drain(channel, queue)), texts)
	}},

	{"full_queue_that_rejects_nacks_the_publish", func(b *Broker) {
		channel := b.channel()
		queue := b.queue(channel, amqp.Table{"x-max-length": 1, "x-overflow": "reject-publish"})
		check(channel.Confirm(false))
		confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 2))
		publish(channel, "", queue, "fits")
		equal(receive("the first is confirmed", confirms), amqp.Confirmation{DeliveryTag: 1, Ack: true})
		publish(channel, "", queue, "does not")
		equal(receive("the second is refused", confirms), amqp.Confirmation{DeliveryTag: 2, Ack: false})
		equal(bodies(drain(channel, queue)), []string{"fits"})
	}},

	{"mandatory_message_is_returned_before_its_ack", func(b *Broker) {
		channel := b.channel()
		check(channel.Confirm(false))
		// Without room the client waits with each until it is taken, so the order is to be seen.
		events := make(chan string)
		returns := channel.NotifyReturn(make(chan amqp.Return))
		confirms := channel.NotifyPublish(make(chan amqp.Confirmation))
		go func() {
			for {
				select {
				case r := <-returns:
					events <- fmt.Sprint("return ", r.ReplyCode, " ", r.ReplyText, " ", r.Exchange, " ", r.RoutingKey, " ",
						r.MessageId, " ", string(r.Body))
				case c := <-confirms:
					events <- fmt.Sprint("confirm ", c.DeliveryTag, " ", c.Ack)
				}
			}
		}()
		check(channel.Publish("amq.direct", "no such key", true, false,
			amqp.Publishing{MessageId: "m-1", Body: []byte("stray")}))
		equal(receive("it comes back", events), "return 312 NO_ROUTE amq.direct no such key m-1 stray")
		equal(receive("it is confirmed", events), "confirm 1 true")
	}},

	{"every_header_type_survives", func(b *Broker) {
		channel := b.channel()
		queue := b.queue(channel, nil)
		publishWith(channel, "", queue, amqp.Publishing{Headers: headers})
		received := drain(channel, queue)[0].Headers
		equal(len(received), len(headers))
		for name, value := range headers {
			equal(received[name], value)
		}
	}},

	{"large_body_10_mib", func(b *Broker) {
		channel := b.channel()
		queue := b.queue(channel, nil)
		body := make([]byte, 10*1024*1024)
		must(rand.Read(body))
		publishWith(channel, "", queue, amqp.Publishing{Body: body})
		if string(drain(channel, queue)[0].Body) != string(body) {
			panic("the body came back changed")
		}
	}},

	{"direct_reply_to", func(b *Broker) {
		server, client := b.channel(), b.channel()
		queue := b.queue(server, nil)
		requests := must(server.Consume(queue, "", true, false, false, false, nil))
		go func() {
			for request := range requests {
				n := must(strconv.Atoi(string(request.Body)))
				publishWith(server, "", request.ReplyTo, amqp.Publishing{
					CorrelationId: request.CorrelationId, Body: []byte(strconv.Itoa(2 * n))})
			}
		}()
		replies := consume(client, "amq.rabbitmq.reply-to", "", true)
		for _, n := range []string{"30", "5", "12"} {
			publishWith(client, "", queue, amqp.Publishing{
				ReplyTo: "amq.rabbitmq.reply-to", CorrelationId: "call " + n, Body: []byte(n)})
		}
		until("all replies are here", func() bool { return len(replies.all()) == 3 })
		received := map[string]string{}
		for _, reply := range replies.all() {
			received[reply.CorrelationId] = string(reply.Body)
			equal(strings.HasPrefix(reply.RoutingKey, "amq.rabbitmq.reply-to."), true)
		}
		equal(received, map[string]string{"call 30": "60", "call 5": "10", "call 12": "24"})
	}},
}
