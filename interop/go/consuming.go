package main

import (
	"strconv"

	amqp "github.com/rabbitmq/amqp091-go"
)

func publishNumbers(channel *amqp.Channel, queue string, last int) {
	for n := 1; n <= last; n++ {
		publish(channel, "", queue, strconv.Itoa(n))
	}
}

var consuming = []scenario{
	{"prefetch_per_consumer", func(b *Broker) {
		channel := b.channel()
		queue := b.queue(channel, nil)
		check(channel.Qos(2, 0, false))
		first, second := consume(channel, queue, "", false), consume(channel, queue, "", false)
		publishNumbers(channel, queue, 10)
		until("both consumers are full", func() bool { return len(first.all())+len(second.all()) == 4 })
		untilReady(channel, queue, 6)
		equal([]int{len(first.all()), len(second.all())}, []int{2, 2})
		check(first.all()[0].Ack(false))
		until("the ack made room", func() bool { return len(first.all()) == 3 })
		untilReady(channel, queue, 5)
		equal(len(second.all()), 2)
	}},

	{"nacked_messages_return_to_their_places", func(b *Broker) {
		channel := b.channel()
		queue := b.queue(channel, nil)
		publishNumbers(channel, queue, 5)
		taken := []amqp.Delivery{}
		for n := 0; n < 4; n++ {
			delivery, _, err := channel.Get(queue, false)
			check(err)
			equal(delivery.Redelivered, false)
			taken = append(taken, delivery)
		}
		check(taken[3].Nack(false, true))
		check(taken[1].Reject(true))
		again := drain(channel, queue)
		equal(bodies(again), []string{"2", "4", "5"})
		equal([]bool{again[0].Redelivered, again[1].Redelivered, again[2].Redelivered}, []bool{true, true, false})
	}},

	{"consumer_is_told_when_its_queue_is_deleted", func(b *Broker) {
		consumer, other := b.channel(), b.channel()
		queue := b.queue(other, nil)
		cancelled := consumer.NotifyCancel(make(chan string, 1))
		consume(consumer, queue, "a tag", false)
		must(other.QueueDelete(queue, false, false, false))
		equal(receive("the server cancels the consumer", cancelled), "a tag")
		equal(consumer.IsClosed(), false)
	}},

	{"cancelled_consumer_gets_no_more", func(b *Broker) {
		channel := b.channel()
		queue := b.queue(channel, nil)
		inbox := consume(channel, queue, "a tag", false)
		publish(channel, "", queue, "before")
		until("the first is delivered", func() bool { return len(inbox.all()) == 1 })
		check(channel.Cancel("a tag", false))
		publish(channel, "", queue, "after")
		check(inbox.all()[0].Ack(false))
		equal(bodies(drain(channel, queue)), []string{"after"})
		equal(len(inbox.all()), 1)
	}},

	{"exclusive_queue_is_locked_for_others_405", func(b *Broker) {
		owner, other := b.channel(), b.connect()
		queue := name("queue")
		must(owner.QueueDeclare(queue, false, false, true, false, nil))
		text := "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '" + queue + "' in vhost '/'. It could " +
			"be originally declared on another connection or the exclusive property value does not match that of " +
			"the original declaration."
		for _, attempt := range []func(*amqp.Channel) error{
			func(c *amqp.Channel) error {
				_, err := c.QueueDeclare(queue, false, false, true, false, nil)
				return err
			},
			func(c *amqp.Channel) error { _, err := c.QueueInspect(queue); return err },
			func(c *amqp.Channel) error { _, _, err := c.Get(queue, true); return err },
			func(c *amqp.Channel) error {
				_, err := c.Consume(queue, "", true, false, false, false, nil)
				return err
			},
			func(c *amqp.Channel) error { _, err := c.QueuePurge(queue, false); return err },
			func(c *amqp.Channel) error { _, err := c.QueueDelete(queue, false, false, false); return err },
		} {
			refused(attempt(must(other.Channel())), 405, text)
		}
	}},

	{"expired_message_is_dead_lettered", func(b *Broker) {
		channel := b.channel()
		graveyard := b.queue(channel, nil)
		queue := b.queue(channel, amqp.Table{
			"x-message-ttl": 50, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": graveyard})
		inbox := consume(channel, graveyard, "", true)
		publish(channel, "", queue, "short life")
		until("the message expires", func() bool { return len(inbox.all()) == 1 })
		death := inbox.all()[0].Headers["x-death"].([]any)[0].(amqp.Table)
		equal([]any{death["queue"], death["reason"], death["count"]}, []any{queue, "expired", int64(1)})
		equal([]any{death["exchange"], death["routing-keys"]}, []any{"", []any{queue}})
	}},

	{"priority_queue_serves_the_highest_first", func(b *Broker) {
		channel := b.channel()
		queue := b.queue(channel, amqp.Table{"x-max-priority": 5})
		for _, priority := range []uint8{1, 5, 0, 3, 5} {
			publishWith(channel, "", queue, amqp.Publishing{
				Priority: priority, Body: []byte(strconv.Itoa(int(priority)))})
		}
		equal(bodies(drain(channel, queue)), []string{"5", "5", "3", "1", "0"})
	}},
}
