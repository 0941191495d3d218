// What every scenario shares: connections, unique names, waiting, cleaning up. What goes wrong ends in a panic.
package main

import (
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const deadline = 50 * time.Second

// Broker is the one under test, and everything a scenario has opened or created on it.
type Broker struct {
	uri         string
	connections []*amqp.Connection
	queues      []string
	exchanges   []string
}

func (b *Broker) connect() *amqp.Connection {
	connection := must(amqp.Dial(b.uri))
	b.connections = append(b.connections, connection)
	return connection
}

// A channel on a connection of its own.
func (b *Broker) channel() *amqp.Channel {
	return must(b.connect().Channel())
}

// From here on use a broker that may be restarted by what this returns, or skip the scenario.
func (b *Broker) restartable() func() {
	b.uri = needed("RESTART_URI")
	command := needed("RESTART_BROKER")
	return func() { check(exec.Command("sh", "-c", command).Run()) }
}

func name(kind string) string {
	octets := make([]byte, 8)
	must(rand.Read(octets))
	return fmt.Sprintf("interop.%s.%x", kind, octets)
}

func (b *Broker) queue(channel *amqp.Channel, arguments amqp.Table) string {
	queue := name("queue")
	b.queues = append(b.queues, queue)
	must(channel.QueueDeclare(queue, false, false, false, false, arguments))
	return queue
}

func (b *Broker) durableQueue(channel *amqp.Channel) string {
	queue := name("queue")
	b.queues = append(b.queues, queue)
	must(channel.QueueDeclare(queue, true, false, false, false, nil))
	return queue
}

func (b *Broker) exchange(channel *amqp.Channel, kind string, arguments amqp.Table) string {
	exchange := name(kind)
	b.exchanges = append(b.exchanges, exchange)
	check(channel.ExchangeDeclare(exchange, kind, false, false, false, false, arguments))
	return exchange
}

func (b *Broker) cleanUp() {
	for _, connection := range b.connections {
		connection.Close()
	}
	connection := must(amqp.Dial(b.uri))
	defer connection.Close()
	channel := must(connection.Channel())
	for _, queue := range b.queues {
		must(channel.QueueDelete(queue, false, false, false))
	}
	for _, exchange := range b.exchanges {
		check(channel.ExchangeDelete(exchange, false, false))
	}
}

// Inbox is a consumer that keeps what it is given.
type Inbox struct {
	lock       sync.Mutex
	deliveries []amqp.Delivery
}

func consume(channel *amqp.Channel, queue string, tag string, autoAck bool) *Inbox {
	inbox := &Inbox{}
	deliveries := must(channel.Consume(queue, tag, autoAck, false, false, false, nil))
	go func() {
		for delivery := range deliveries {
			inbox.lock.Lock()
			inbox.deliveries = append(inbox.deliveries, delivery)
			inbox.lock.Unlock()
		}
	}()
	return inbox
}

func (i *Inbox) all() []amqp.Delivery {
	i.lock.Lock()
	defer i.lock.Unlock()
	return append([]amqp.Delivery{}, i.deliveries...)
}

func (i *Inbox) bodies() []string {
	return bodies(i.all())
}

func bodies(deliveries []amqp.Delivery) []string {
	texts := []string{}
	for _, delivery := range deliveries {
		texts = append(texts, string(delivery.Body))
	}
	return texts
}

func publish(channel *amqp.Channel, exchange, key, text string) {
	publishWith(channel, exchange, key, amqp.Publishing{Body: []byte(text)})
}

func publishWith(channel *amqp.Channel, exchange, key string, message amqp.Publishing) {
	check(channel.Publish(exchange, key, false, false, message))
}

// Everything that is in the queue.
func drain(channel *amqp.Channel, queue string) []amqp.Delivery {
	found := []amqp.Delivery{}
	for {
		delivery, ok, err := channel.Get(queue, true)
		check(err)
		if !ok {
			return found
		}
		found = append(found, delivery)
	}
}

func until(what string, condition func() bool) {
	end := time.Now().Add(deadline)
	for !condition() {
		if time.Now().After(end) {
			panic("timed out waiting until " + what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Wait until so many messages are ready. The count may lag behind earlier publishes.
func untilReady(channel *amqp.Channel, queue string, count int) {
	until(fmt.Sprint(count, " messages are ready"), func() bool {
		return must(channel.QueueInspect(queue)).Messages == count
	})
}

func receive[T any](what string, from <-chan T) T {
	select {
	case value := <-from:
		return value
	case <-time.After(deadline):
		panic("timed out waiting until " + what)
	}
}

func equal(actual, expected any) {
	if !reflect.DeepEqual(actual, expected) {
		panic(fmt.Sprintf("expected %#v, got %#v", expected, actual))
	}
}

// The error must be the broker's, with this code and text.
func refused(err error, code int, text string) {
	refusal, ok := err.(*amqp.Error)
	if !ok || refusal.Code != code || !strings.Contains(refusal.Reason, text) {
		panic(fmt.Sprintf("expected %d %s, got %v", code, text, err))
	}
}

// The value of an environment variable; the scenario is skipped without it.
func needed(name string) string {
	value := os.Getenv(name)
	if value == "" {
		fmt.Println("it needs", name)
		os.Exit(77)
	}
	return value
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
