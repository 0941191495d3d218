<?php

use PhpAmqpLib\Exception\AMQPConnectionClosedException;
use PhpAmqpLib\Exception\AMQPIOException;
use PhpAmqpLib\Message\AMQPMessage;

// The client's way to log in is AMQPLAIN.
scenario('wrong_password_403', function (Broker $broker) {
    $config = $broker->config();
    $config->setPassword('wrong');
    $text = 'ACCESS_REFUSED - Login was refused using authentication mechanism AMQPLAIN. '
        . 'For details see the broker logfile.';
    refused(AMQPConnectionClosedException::class, 403, $text, fn () => $broker->connect($config));
});

scenario('messages_over_tls', function (Broker $broker) {
    [$at, $folder] = needed('AMQPS_URI', 'TLS_FOLDER');
    $config = $broker->config();
    $config->setIsSecure(true);
    $config->setNetworkProtocol('ssl');
    $config->setHost(parse_url($at, PHP_URL_HOST));
    $config->setPort(parse_url($at, PHP_URL_PORT));
    $config->setSslVerify(true);
    $stranger = clone $config;
    refused(AMQPIOException::class, 0, 'Unable to connect to ssl:', fn () => @$broker->connect($stranger));

    $config->setSslCaCert("$folder/ca.pem");
    $channel = $broker->connect($config)->channel();
    $queue = $broker->queue($channel);
    $body = random_bytes(500_000);
    publish($channel, '', $queue, $body);
    equal($channel->basic_get($queue, true)->getBody() === $body, true, 'the body came back unchanged');
});

// A client that connects again finds its queue, and what was confirmed before.
scenario('reconnect_after_broker_restart', function (Broker $broker) {
    $restart = $broker->restartable();
    $connection = $broker->connect();
    $channel = $connection->channel();
    $channel->confirm_select();
    $queue = $broker->queue($channel, durable: true);
    publish($channel, '', $queue, 'before', ['delivery_mode' => AMQPMessage::DELIVERY_MODE_PERSISTENT]);
    $channel->wait_for_pending_acks(DEADLINE_SECONDS);
    $restart();
    try {
        $channel->wait(null, false, DEADLINE_SECONDS);
        throw new Exception('the connection is still there');
    } catch (AMQPConnectionClosedException) {
        // The broker says 320, but has gone before the client can answer that, which hides it.
    }

    $connection->reconnect();
    $channel = $connection->channel();
    $inbox = new Inbox($channel, $queue);
    publish($channel, '', $queue, 'after');
    $broker->waitUntil(fn () => $inbox->count() === 2, 'both are there');
    equal($inbox->bodies(), ['before', 'after']);
});
