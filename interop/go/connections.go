package main

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"net/url"
	"os"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"
)

var connections = []scenario{
	// The client puts a text of its own in the place of the broker's.
	{"wrong_password_403", func(b *Broker) {
		uri := must(url.Parse(b.uri))
		uri.User = url.UserPassword(uri.User.Username(), "wrong")
		_, err := amqp.Dial(uri.String())
		refused(err, 403, "username or password not allowed")
	}},

	{"messages_over_tls", func(b *Broker) {
		at, folder := must(url.Parse(needed("AMQPS_URI"))), needed("TLS_FOLDER")
		at.User, at.Path, at.RawPath = must(url.Parse(b.uri)).User, "//", "/%2f"
		if _, err := amqp.DialTLS(at.String(), &tls.Config{}); err == nil ||
			!strings.Contains(err.Error(), "unknown authority") {
			panic(err)
		}

		authorities := x509.NewCertPool()
		authorities.AppendCertsFromPEM(must(os.ReadFile(folder + "/ca.pem")))
		connection := must(amqp.DialTLS(at.String(), &tls.Config{RootCAs: authorities}))
		defer connection.Close()
		channel := must(connection.Channel())
		queue := b.queue(channel, nil)
		body := make([]byte, 500_000)
		must(rand.Read(body))
		publishWith(channel, "", queue, amqp.Publishing{Body: body})
		equal(drain(channel, queue)[0].Body, body)
	}},

	// A client that connects again finds its queue, and what was confirmed before.
	{"reconnect_after_broker_restart", func(b *Broker) {
		restart := b.restartable()
		connection := b.connect()
		closed := connection.NotifyClose(make(chan *amqp.Error, 1))
		channel := must(connection.Channel())
		check(channel.Confirm(false))
		confirms := channel.NotifyPublish(make(chan amqp.Confirmation, 1))
		queue := b.durableQueue(channel)
		publishWith(channel, "", queue, amqp.Publishing{Body: []byte("before"), DeliveryMode: amqp.Persistent})
		equal(receive("it is confirmed", confirms), amqp.Confirmation{DeliveryTag: 1, Ack: true})
		restart()
		refused(receive("the connection is closed", closed), 320, "CONNECTION_FORCED")

		channel = b.channel()
		inbox := consume(channel, queue, "", true)
		publish(channel, "", queue, "after")
		until("both are there", func() bool { return len(inbox.all()) == 2 })
		equal(inbox.bodies(), []string{"before", "after"})
	}},
}
